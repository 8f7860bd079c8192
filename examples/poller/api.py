"""Asks the API for a page."""

from __future__ import annotations

import asyncio
import logging
import ssl
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import urljoin

import httpx

from . import records
from .config import Config
from .rate_limit import seconds_to_wait
from .records import Record

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}

# They tell of each request, with its whole URL and the headers of the answer.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)


class Unavailable(Exception):
    """The API does not answer for now."""


class Unusable(Exception):
    """The API's answer is not what was asked for: somebody has to change something."""


class RateLimited(Exception):
    """The API asks to wait."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Page(NamedTuple):
    """An answer."""

    records: list[Record]
    next_url: str | None


class Api:
    """One audit API. The token goes to the origin of its URL and to no other."""

    def __init__(self, url: str, config: Config) -> None:
        """Checks the URL, which is not repeated in errors: it may hold a password.

        Raises:
            ValueError: the URL, or the CA file, cannot be used.
        """
        self._origin = _checked_origin(url)
        self._config = config
        self._tls = _tls(config.ca_file)

    def connect(self) -> AbstractAsyncContextManager[httpx.AsyncClient]:
        """A client for :meth:`page`, which keeps its connection."""
        return httpx.AsyncClient(
            verify=self._tls, proxy=self._config.proxy, trust_env=False, timeout=self._config.timeout
        )

    async def page(self, client: httpx.AsyncClient, url: str) -> Page:
        """Asks for one page.

        Raises:
            Unavailable: the API does not answer for now.
            Unusable: its answer is no page of records, or the URL is not the API's.
            RateLimited: the API asks to wait.
            ValueError: the file of the token cannot be read, or holds none.
        """
        target = _parsed(url)
        # What is asked is what was compared: two parsers may see two hosts in one URL.
        if target is None or target.userinfo or _origin(target) != self._origin:
            raise Unusable(f"the next page is not at {self._origin}: the token is sent there alone")
        headers = {"Accept": "application/json", "Authorization": self._config.authorization()}
        # The client's own timeout begins anew with each byte that comes.
        try:
            async with asyncio.timeout(self._config.timeout):
                async with client.stream("GET", target, headers=headers) as response:
                    return await self._read(response, url)
        except TimeoutError:
            raise Unavailable(f"no complete answer from {self._origin} in {self._config.timeout:g} s") from None
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise Unavailable(f"no connection to {self._origin}: {str(error) or type(error).__name__}") from None
        except httpx.HTTPError as error:
            # Without the text of the error, in which the answer may be quoted.
            raise Unavailable(f"no complete answer from {self._origin}: {type(error).__name__}") from None

    async def _read(self, response: httpx.Response, url: str) -> Page:
        status = response.status_code
        wait = seconds_to_wait(status, response.headers)
        if wait is not None:
            raise RateLimited(wait)
        if status >= 500 or status == HTTPStatus.REQUEST_TIMEOUT:
            raise Unavailable(f"{self._origin} answers {_named(status)}")
        if status != HTTPStatus.OK:
            raise Unusable(f"{self._origin} answers {_named(status)}: {self._remedy(status)}")
        body = bytearray()
        async for part in response.aiter_bytes():
            body += part
            if len(body) > self._config.max_body:
                raise Unusable(
                    f"an answer of {self._origin} is larger than {self._config.max_body} bytes: "
                    "ask for fewer records a page in open_params, or raise max_body"
                )
        try:
            found = records.parse(bytes(body), self._config.id_field, self._config.timestamp_field)
        except ValueError as error:
            raise Unusable(
                f"an answer of {self._origin} is no JSON array of objects ({error}): correct open_params"
            ) from None
        return Page(found, _next_url(response, url))

    def _remedy(self, status: int) -> str:
        if status == HTTPStatus.UNAUTHORIZED:
            return "write a valid token into the token_file, and see that auth_scheme is the API's"
        if status == HTTPStatus.FORBIDDEN:
            return "give the token the permission to read this log"
        if status == HTTPStatus.NOT_FOUND:
            return "correct open_params, or give the token the permission to see this log"
        if 300 <= status < 400:
            return "redirects are not followed, write the new URL into open_params"
        return "correct open_params; where they worked before, the cursor is too old, remove state_file to begin anew"


def _next_url(response: httpx.Response, url: str) -> str | None:
    for link in response.links.values():
        if "next" in link.get("rel", "").lower().split():
            try:
                return urljoin(url, link["url"])
            except ValueError:
                raise Unusable("the link to the next page is no URL") from None
    return None


def _named(status: int) -> str:
    # Not the phrase of the answer, which may say anything.
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _checked_origin(url: str) -> str:
    parsed = _parsed(url)
    if parsed is None or parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ValueError("open_params must be the URL of an audit API, such as https://example.okta.com/api/v1/logs")
    if parsed.userinfo or parsed.fragment:
        raise ValueError("open_params must be a URL without a user and a fragment: the token comes from token_file")
    if parsed.scheme == "http" and parsed.host not in _LOOPBACK:
        raise ValueError("open_params says http, where others could read the token: say https")
    return _origin(parsed)


def _origin(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode()}"


def _parsed(url: str) -> httpx.URL | None:
    try:
        return httpx.URL(url)
    except httpx.InvalidURL:
        return None


def _tls(ca_file: str | None) -> ssl.SSLContext:
    if ca_file is None:
        return httpx.create_ssl_context(trust_env=False)
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ValueError(f"ca_file cannot be used: {error}") from None
