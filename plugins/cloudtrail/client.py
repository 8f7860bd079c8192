"""Clients of AWS: credentials, regions and endpoints, and requests that are repeated while a failure can pass."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import botocore.session
from botocore.config import Config as ClientConfig
from botocore.credentials import AssumeRoleCredentialFetcher, CredentialProvider, DeferredRefreshableCredentials
from botocore.exceptions import NoCredentialsError

from falco_plugin import Context

from .config import AwsConfig
from .problems import FAILURES, AwsError, Kind, explain
from .reports import Reports

_T = TypeVar("_T")

LONG_POLL = 20
"""Seconds that SQS waits for messages: the most that it allows."""
_CONNECT_TIMEOUT = 5.0
_READ_TIMEOUT = LONG_POLL + 10.0
"""Seconds until the next bytes of an answer must arrive."""
_ATTEMPTS = 3
"""Attempts of the client for each request, with less than 3 seconds between them. Further ones are `Aws.persist`'s."""
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0
"""Seconds between two attempts of `Aws.persist`, which double each time."""
_SESSION_NAME = "falco"


class ClosedError(Exception):
    """The source was closed while a request was repeated."""


class Aws:
    """Makes requests to AWS. Any thread may use it.

    Args:
        config: the settings below ``aws``.
        connections: number of connections to one service that are kept open.
        reports: logs failures that can pass.
    """

    def __init__(self, config: AwsConfig, connections: int, reports: Reports) -> None:
        self._config = config
        self.reports = reports
        self._lock = threading.Lock()
        self._session: Any = None
        self._clients: dict[tuple[str, str], Any] = {}
        self._generation = 0
        self._has_worked = False
        self._options = ClientConfig(
            connect_timeout=_CONNECT_TIMEOUT,
            read_timeout=_READ_TIMEOUT,
            max_pool_connections=connections,
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            # A bucket is not a part of the name of a host that the user chose.
            s3={"addressing_style": "path"} if config.endpoint else None,
        )
        for name, path in (("aws.config", config.config), ("aws.credentials", config.credentials)):
            if path and not Path(path).expanduser().is_file():
                raise ValueError(f"{name}: there is no file {path}: correct the path")

    def call(self, service: str, action: str, request: Callable[[Any], _T], region: str = "") -> _T:
        """Makes a request once, with the few attempts of the client.

        Args:
            service: ``s3`` or ``sqs``.
            action: the request in words for errors, such as ``read s3://bucket/key``.
            request: gets the client of botocore, and returns the result.
            region: of the service; that of the configuration without it.

        Raises:
            AwsError: the request failed.
        """
        try:
            result = request(self._client(service, region))
        except FAILURES as failure:
            raise explain(failure, action) from None
        self._has_worked = True
        return result

    def persist(
        self, context: Context, service: str, action: str, request: Callable[[Any], _T], region: str = ""
    ) -> _T:
        """Makes a request as `call`, and repeats it while its failure can pass.

        Wrong or missing credentials can pass if a request succeeded before: a profile or a role has new ones later.

        Raises:
            AwsError: the request failed, and another attempt would fail too.
            ClosedError: the context was cancelled before the request succeeded.
        """
        wait = _FIRST_WAIT
        while not context.cancelled:
            generation = self._generation
            try:
                return self.call(service, action, request, region)
            except AwsError as error:
                if not self.can_pass(error):
                    raise
                if error.kind is Kind.CREDENTIALS:
                    self._renew(generation)
                self.reports.report(logging.WARNING, error.code, f"{error}; trying again in {wait:g} s")
            if context.wait(wait):
                break
            wait = min(2 * wait, _LONGEST_WAIT)
        raise ClosedError

    def can_pass(self, error: AwsError) -> bool:
        """Returns whether another attempt may succeed."""
        return error.kind is Kind.PASSING or (error.kind is Kind.CREDENTIALS and self._has_worked)

    def _client(self, service: str, region: str) -> Any:
        # A session is not safe for threads, but its clients are.
        with self._lock:
            client = self._clients.get((service, region))
            if client is None:
                self._session = self._session or _make_session(self._config)
                client = self._session.create_client(
                    service,
                    region_name=region or self._config.region or None,
                    endpoint_url=self._config.endpoint or None,
                    config=self._options,
                )
                self._clients[service, region] = client
            return client

    def _renew(self, generation: int) -> None:
        """Reads the credentials again, unless another thread did so since the request that failed."""
        with self._lock:
            if self._generation == generation:
                self._generation += 1
                self._session = None
                self._clients.clear()


def _make_session(config: AwsConfig) -> Any:
    session = _plain_session(config)
    if config.role:
        session.get_component("credential_provider").providers.insert(0, _Role(_plain_session(config), config))
    return session


def _plain_session(config: AwsConfig) -> Any:
    session = botocore.session.Session(profile=config.profile or None)
    for variable, value in (("config_file", config.config), ("credentials_file", config.credentials)):
        if value:
            session.set_config_variable(variable, value)
    return session


class _Role(CredentialProvider):  # type: ignore[misc]
    """Provides the credentials of a role, which are renewed before they expire."""

    METHOD = "falco-role"

    def __init__(self, session: Any, config: AwsConfig) -> None:
        super().__init__()
        source = session.get_credentials()
        if source is None:
            raise NoCredentialsError

        def create_client(service: str, **options: Any) -> Any:
            return session.create_client(
                service, region_name=config.region or None, endpoint_url=config.endpoint or None, **options
            )

        self._fetcher = AssumeRoleCredentialFetcher(
            client_creator=create_client,
            source_credentials=source,
            role_arn=config.role,
            extra_args={"RoleSessionName": _SESSION_NAME},
        )

    def load(self) -> Any:
        return DeferredRefreshableCredentials(refresh_using=self._fetcher.fetch_credentials, method=self.METHOD)
