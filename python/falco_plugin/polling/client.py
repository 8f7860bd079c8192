"""Sends requests to the API, and sorts its answers."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from http import HTTPStatus
from typing import NamedTuple

import httpx

from falco_plugin.polling.config import PollerConfig
from falco_plugin.polling.content import ACCEPTED, UnreadableBody, read_content
from falco_plugin.polling.rate_limit import RateLimit
from falco_plugin.polling.request import Request, body_of
from falco_plugin.polling.response import Response

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}

_MOST_OF_A_REFUSAL = 16 << 10
"""Bytes of a refusal's body that are searched for its reason."""

# These libraries log the URL of each request and the headers of each answer.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)


class Unavailable(Exception):
    """The API does not answer at the moment."""


class Unusable(Exception):
    """The answer is not a page of records, or has a link that cannot be followed. A retry alone does not help."""


class RateLimited(Exception):
    """The API asks to wait."""

    def __init__(self, seconds: float, cause: str, answer: str) -> None:
        super().__init__(seconds, cause, answer)
        self.seconds = seconds
        self.cause = cause
        self.answer = answer


class Answer(NamedTuple):
    """An answer with the status 200."""

    response: Response
    pause: float
    """Seconds to wait before the next request because of the rate limit."""


class Client:
    """Requests the pages of one API. The headers with the token are sent to the origin of its URL and to no other.

    Args:
        request: a request to the API.
        config: of the plugin.
        headers: returns the headers of a request.
        transport: sends requests instead of the network.

    Raises:
        ValueError: the URL, or the CA file, cannot be used. The message does not repeat the URL, because it may hold a
            password.
    """

    def __init__(
        self,
        request: Request,
        config: PollerConfig,
        headers: Callable[[], Mapping[str, str]],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.origin: str = _check_origin(request.url)
        self._config = config
        self._headers = headers
        self._transport = transport
        # Loading the certificates of all authorities takes a while.
        self._tls = True if transport else _tls_context(config.ca_file)
        self._limit = RateLimit(config.rate_share)

    def connect(self) -> AbstractAsyncContextManager[httpx.AsyncClient]:
        """Returns a connection for :meth:`send`, which stays open."""
        return httpx.AsyncClient(
            verify=self._tls,
            transport=self._transport,
            proxy=self._config.proxy,
            trust_env=False,
            timeout=self._config.timeout,
        )

    async def send(self, connection: httpx.AsyncClient, request: Request) -> Answer:
        """Requests one page.

        Raises:
            Unavailable: the API does not answer at the moment.
            Unusable: its answer is not a page, or the URL is not at the API's origin.
            RateLimited: the API asks to wait.
            Exception: any exception of ``headers``.
        """
        target = _parse(request.url)
        # The parsed URL is requested: another parser might find another host in the string.
        if target is None or target.userinfo or _origin(target) != self.origin:
            raise Unusable(
                f"the page in cursor_file is not at {self.origin}, but the token is sent only there: remove the "
                "file to begin again"
            )
        body = body_of(request)
        method, headers = "GET", {"Accept": "application/json", "Accept-Encoding": ACCEPTED, **self._headers()}
        if body is not None:
            method, headers = "POST", {"Content-Type": "application/json", **headers}
        # The client's own timeout starts again with each byte that arrives.
        try:
            async with asyncio.timeout(self._config.timeout):
                async with connection.stream(method, target, headers=headers, content=body) as response:
                    return await self._read(request, response)
        except TimeoutError:
            raise Unavailable(f"no complete answer from {self.origin} in {self._config.timeout:g} s") from None
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise Unavailable(f"no connection to {self.origin}: {str(error) or type(error).__name__}") from None
        except httpx.HTTPError as error:
            # The message of the error is omitted, because it may quote the answer.
            raise Unavailable(f"no complete answer from {self.origin}: {type(error).__name__}") from None

    async def _read(self, request: Request, response: httpx.Response) -> Answer:
        status = response.status_code
        if status != HTTPStatus.OK:
            raise await self._error_of(response, status)
        try:
            body = await read_content(response, self._config.max_body)
        except UnreadableBody as error:
            raise Unavailable(f"no complete answer from {self.origin}: its body {error}") from None
        if len(body) > self._config.max_body:
            raise Unusable(
                f"an answer of {self.origin} is larger than {self._config.max_body} bytes: request fewer records "
                "per page, or increase max_body"
            )
        return Answer(Response(request, response.headers, body), self._limit.after_success(response.headers))

    async def _error_of(self, response: httpx.Response, status: int) -> Exception:
        """Returns the error of an answer that does not have a page."""
        body = b""
        if status == HTTPStatus.FORBIDDEN:
            with suppress(UnreadableBody):
                body = await read_content(response, _MOST_OF_A_REFUSAL)
        wait = self._limit.after_refusal(status, response.headers, body)
        if wait is not None:
            cause = "the API asks to wait" if status >= 500 else "the rate limit is reached"
            remedy = f"; if this does not end, {_remedy(status)}" if status == HTTPStatus.FORBIDDEN else ""
            return RateLimited(wait, cause, _describe_status(status) + remedy)
        if status >= 500 or status == HTTPStatus.REQUEST_TIMEOUT:
            return Unavailable(f"{self.origin} answers {_describe_status(status)}")
        return Unusable(f"{self.origin} answers {_describe_status(status)}: {_remedy(status)}")

    def check_next(self, request: Request) -> Request:
        """Returns the request for the next page as it will be sent, so that equal pages have equal requests.

        Raises:
            Unusable: it must not be sent.
        """
        target = _parse(request.url)
        if target is None:
            raise Unusable("the link to the next page is not a URL: report this to the API's operator")
        if target.userinfo:
            raise Unusable(
                "the link to the next page contains a user, which would replace the token: report this to the API's "
                "operator"
            )
        if _origin(target) != self.origin:
            raise Unusable(
                f"the link to the next page leads to {_origin(target):.300}, but the token is sent only to "
                f"{self.origin}: write the origin of the links into the URL, or let the proxy of the API correct them"
            )
        return normalize(request)


def normalize(request: Request) -> Request:
    """Returns a request with its URL as it is sent, or unchanged if the URL cannot be parsed."""
    parsed = _parse(request.url)
    return request if parsed is None else Request(str(parsed.copy_with(fragment=None)), request.json)


def _remedy(status: int) -> str:
    if status == HTTPStatus.UNAUTHORIZED:
        return "set a valid token, and the auth_scheme of the API"
    if status == HTTPStatus.FORBIDDEN:
        return "give the token the permission to read this log"
    if status == HTTPStatus.NOT_FOUND:
        return "correct the URL, or give the token the permission to see this log"
    if 300 <= status < 400:
        return "redirects are not followed: request the new URL"
    return "correct the URL; if it worked before, the cursor is too old: remove cursor_file to begin again"


def _describe_status(status: int) -> str:
    # The phrase of the answer is not used, because it is arbitrary text.
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _check_origin(url: str) -> str:
    parsed = _parse(url)
    if parsed is None or parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ValueError("open_params must be the URL of an audit API, such as https://example.okta.com/api/v1/logs")
    if parsed.userinfo or parsed.fragment:
        raise ValueError("the URL has a user or a fragment: remove it, because the token comes from the configuration")
    if parsed.scheme == "http" and parsed.host not in _LOOPBACK:
        raise ValueError("the URL has the scheme http, so others could read the token: use https")
    return _origin(parsed)


def _origin(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode()}"


def _parse(url: str) -> httpx.URL | None:
    try:
        return httpx.URL(url)
    except httpx.InvalidURL:
        return None


def _tls_context(ca_file: str | None) -> ssl.SSLContext:
    if ca_file is None:
        return httpx.create_ssl_context(trust_env=False)
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ValueError(f"ca_file cannot be used: {error}") from None
