"""The base class of plugins that receive HTTP requests."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias

from falco_plugin import Context, Counter, OpenParam, Plugin, source
from falco_plugin.receiving import content
from falco_plugin.receiving.address import Address
from falco_plugin.receiving.config import ReceiverConfig, tls_context
from falco_plugin.receiving.delivery import Delivery
from falco_plugin.receiving.endpoint import Endpoint
from falco_plugin.receiving.rejections import RejectionLog
from falco_plugin.receiving.request import Request
from falco_plugin.receiving.server import Server
from falco_plugin.receiving.verification import HmacSignature, Verification

Item: TypeAlias = "bytes | tuple[bytes, int | datetime | None]"
"""An event: its bytes, or its bytes and its time in nanoseconds since the epoch or as an aware ``datetime``."""

_BODIES = 4
"""Bodies of the largest size whose events are in memory together."""

_TIMEOUT = 0.01
"""Seconds that Falco waits for more events of a batch. It delays the answer of each request by as much."""


class HttpReceiver(Plugin):
    """Base class of plugins that receive events as HTTP requests, such as webhooks.

    The open params are the URL to listen on, such as ``https://0.0.0.0:8443/hook``. Each document in the body of a
    ``POST`` to its path is an event. A client gets the answer 200 when Falco has processed the events, and 503 while
    Falco is behind. ``GET /healthz`` is answered with 200 while the source is open.

    A subclass states what differs: which :attr:`verification` its senders use, more settings in a subclass of
    :class:`ReceiverConfig`, and how a request becomes :meth:`events`.

    Example:
        ```python
        class GitHubHook(HttpReceiver):
            \"\"\"Webhooks of GitHub\"\"\"

            name = event_source = "githubhook"
            action = json_field("githubhook.action", "/action", desc="What happened")
        ```
    """

    description = ""
    if TYPE_CHECKING:
        # Type checkers would refuse a subclass that annotates it with its own class.
        config: Any
        """The ``init_config`` of falco.yaml: a :class:`ReceiverConfig`, or an object of the class that a subclass
        annotates, as in ``config: Config``."""
    else:
        config: ReceiverConfig

    verification: Verification = HmacSignature("X-Hub-Signature-256", prefix="sha256=")
    """How a request is verified with the secrets of the configuration. By default it has the signature of GitHub,
    which many other services use."""

    accepted_requests: Counter = Counter("accepted_requests", desc="Requests that were answered with 200")
    rejected_requests: Counter = Counter("rejected_requests", desc="Requests and connections that were rejected")
    postponed_requests: Counter = Counter("postponed_requests", desc="Requests that were answered with 503")

    @cached_property
    def rejections(self) -> RejectionLog:
        """Counts rejected input, and logs the counts in at most one line every 10 seconds. ``events`` can count the
        parts of a body in it that it skips.
        """
        return RejectionLog(self.log)

    def check(self, request: Request) -> None:
        """Checks the headers of a request before its body is read. The threads of all connections call it concurrently.

        By default it rejects bodies that rules could not read: forms, compressed bodies, UTF-16, and types that are
        neither JSON nor text.

        Args:
            request: the request without its body.

        Raises:
            Rejection: the request is rejected.
        """
        content.check_type(request)

    def events(self, request: Request) -> Iterable[Item]:
        """Returns the events of a verified request. The threads of all connections call it concurrently.

        By default each JSON document of the body is an event: one document, several in a row, JSON lines, or the
        elements of an array of objects. Any other body is one event. If there are no events, the answer is 200.

        Args:
            request: the request with its body.

        Raises:
            Rejection: the request is rejected. No event of it is delivered.
        """
        return content.events_of(request)

    def receiver_config(self) -> ReceiverConfig:
        """Returns the settings of the receiver, by default :attr:`config`. Override it if your plugin's configuration
        cannot be a subclass of :class:`ReceiverConfig`.
        """
        config = self.config
        if not isinstance(config, ReceiverConfig):
            raise TypeError(
                f"config must be a ReceiverConfig, got {type(config).__name__}: derive its class from "
                "falco_plugin.receiving.ReceiverConfig, or define receiver_config"
            )
        return config

    def tls_context(self) -> ssl.SSLContext:
        """Returns the TLS context for ``https``, by default with the certificate of :meth:`receiver_config`.

        Raises:
            ValueError: there is no certificate, or it cannot be used.
        """
        config = self.receiver_config()
        if config.certificate is None:
            raise ValueError("open_params has the scheme https: set certificate and key in init_config, or use http")
        try:
            return tls_context(config.certificate, config.key)
        except ValueError as error:
            raise ValueError(f"certificate and key cannot be used: {error}") from None

    def open(self, params: str, context: Context) -> source.Instance:
        """Listens on the URL ``params``.

        Raises:
            OSError: the plugin cannot listen there, such as because the port is in use.
            ValueError: the URL or the configuration cannot be used.
        """
        config = self.receiver_config()
        address = Address.parse(params)
        if address.scheme == "http" and config.certificate is not None:
            raise ValueError("open_params has the scheme http, but certificate is set: use https, or remove it")
        tls = self.tls_context() if address.scheme == "https" else None
        config.secrets()  # a wrong secret is an error now, not an answer later
        sender, receiver = source.channel(config.capacity, event_size=config.event_size)
        delivery = Delivery(sender, config.delivery_timeout, _BODIES * config.max_body)
        endpoint = Endpoint(self, address.path, config, delivery)
        server = Server(address, tls, config, self, endpoint, sender)
        self.log.info("listening on %s", server.open())
        return source.PushInstance(receiver, context=context, timeout=_TIMEOUT, close=server.close)

    def list_open_params(self) -> Sequence[OpenParam | str]:
        return [
            OpenParam("https://0.0.0.0:8443/hook", "the URL to listen on, with TLS"),
            OpenParam("http://127.0.0.1:8080/hook", "without TLS, such as behind a proxy on the same machine"),
        ]

    def _report(self, reason: str, client: str = "", status: HTTPStatus | None = None) -> None:
        """Counts a rejected request or connection, in the log and in the metrics. Called by the receiver.

        Args:
            reason: the cause, without anything from the request.
            client: the IP address of the client.
            status: of the answer, if there was one.
        """
        self.rejections.count(reason, client)
        is_postponed = status is HTTPStatus.SERVICE_UNAVAILABLE
        (self.postponed_requests if is_postponed else self.rejected_requests).add()
