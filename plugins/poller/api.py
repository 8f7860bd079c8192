"""Requests pages from the API."""

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
from .rate_limit import RateLimit
from .records import Record

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


class Page(NamedTuple):
    """An answer with records."""

    records: list[Record]
    next_url: str | None
    """URL of the next page, at the API's origin. ``None`` if there is no link to it, or if the link is refused."""
    refused_link: Unusable | None
    """Why the link to the next page is not followed."""
    pause: float
    """Seconds to wait before the next request because of the rate limit."""


class Api:
    """One audit API. The token is sent to the origin of its URL and to no other."""

    def __init__(self, url: str, config: Config) -> None:
        """Checks the URL. Errors do not repeat it, because it may hold a password.

        Raises:
            ValueError: the URL, or the CA file, cannot be used.
        """
        self._origin = _check_origin(url)
        self._config = config
        self._tls = _tls_context(config.ca_file)
        self._limit = RateLimit(config.rate_share)

    def connect(self) -> AbstractAsyncContextManager[httpx.AsyncClient]:
        """Returns a client for :meth:`page`, which keeps its connection."""
        return httpx.AsyncClient(
            verify=self._tls, proxy=self._config.proxy, trust_env=False, timeout=self._config.timeout
        )

    async def page(self, client: httpx.AsyncClient, url: str) -> Page:
        """Requests one page.

        Raises:
            Unavailable: the API does not answer at the moment.
            Unusable: its answer is not a page of records, or the URL is not at the API's origin.
            RateLimited: the API asks to wait.
            ValueError: the file of the token cannot be read, or does not contain a token.
        """
        target = _parse(url)
        # The parsed URL is requested: another parser might find another host in the string.
        if target is None or target.userinfo or _origin(target) != self._origin:
            raise Unusable(
                f"the page in state_file is not at {self._origin}, but the token is sent only there: remove the file "
                "to begin again"
            )
        headers = {"Accept": "application/json", "Authorization": self._config.authorization()}
        # The client's own timeout starts again with each byte that arrives.
        try:
            async with asyncio.timeout(self._config.timeout):
                async with client.stream("GET", target, headers=headers) as response:
                    return await self._read(response, url)
        except TimeoutError:
            raise Unavailable(f"no complete answer from {self._origin} in {self._config.timeout:g} s") from None
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise Unavailable(f"no connection to {self._origin}: {str(error) or type(error).__name__}") from None
        except httpx.HTTPError as error:
            # The message of the error is omitted, because it may quote the answer.
            raise Unavailable(f"no complete answer from {self._origin}: {type(error).__name__}") from None

    async def _read(self, response: httpx.Response, url: str) -> Page:
        status = response.status_code
        if status != HTTPStatus.OK:
            raise await self._error_of(response, status)
        body = bytearray()
        async for part in response.aiter_bytes():
            body += part
            if len(body) > self._config.max_body:
                raise Unusable(
                    f"an answer of {self._origin} is larger than {self._config.max_body} bytes: "
                    "request fewer records per page in open_params, or increase max_body"
                )
        try:
            found = records.parse(bytes(body), self._config.id_field, self._config.timestamp_field)
        except ValueError as error:
            raise Unusable(
                f"an answer of {self._origin} is not a JSON array of objects ({error}): correct open_params"
            ) from None
        pause = self._limit.after_success(response.headers)
        try:
            return Page(found, self._next_url(response, url), None, pause)
        except Unusable as refused:
            return Page(found, None, refused, pause)

    async def _error_of(self, response: httpx.Response, status: int) -> Exception:
        """Returns the error of an answer that does not have a page."""
        body = bytearray()
        if status == HTTPStatus.FORBIDDEN:
            async for part in response.aiter_bytes():
                body += part
                if len(body) >= _MOST_OF_A_REFUSAL:
                    break
        wait = self._limit.after_refusal(status, response.headers, bytes(body[:_MOST_OF_A_REFUSAL]))
        if wait is not None:
            cause = "the API asks to wait" if status >= 500 else "the rate limit is reached"
            remedy = f"; if this does not end, {self._remedy(status)}" if status == HTTPStatus.FORBIDDEN else ""
            return RateLimited(wait, cause, _describe_status(status) + remedy)
        if status >= 500 or status == HTTPStatus.REQUEST_TIMEOUT:
            return Unavailable(f"{self._origin} answers {_describe_status(status)}")
        return Unusable(f"{self._origin} answers {_describe_status(status)}: {self._remedy(status)}")

    def _remedy(self, status: int) -> str:
        if status == HTTPStatus.UNAUTHORIZED:
            return "write a valid token into token_file, and set auth_scheme to the scheme of the API"
        if status == HTTPStatus.FORBIDDEN:
            return "give the token the permission to read this log"
        if status == HTTPStatus.NOT_FOUND:
            return "correct open_params, or give the token the permission to see this log"
        if 300 <= status < 400:
            return "redirects are not followed: write the new URL into open_params"
        return "correct open_params; if they worked before, the cursor is too old: remove state_file to begin again"

    def _next_url(self, response: httpx.Response, url: str) -> str | None:
        """Returns the URL of the next page, or ``None`` if there is no link to it.

        Raises:
            Unusable: the link cannot be followed.
        """
        for link in response.links.values():
            if "next" in link.get("rel", "").lower().split():
                try:
                    target = _parse(urljoin(url, link["url"]))
                except ValueError:
                    target = None
                return self._check_link(target)
        return None

    def _check_link(self, target: httpx.URL | None) -> str:
        if target is None:
            raise Unusable("the link to the next page is not a URL: report this to the API's operator")
        if target.userinfo:
            raise Unusable(
                "the link to the next page contains a user, which would replace the token: report this to the API's "
                "operator"
            )
        if _origin(target) != self._origin:
            raise Unusable(
                f"the link to the next page leads to {_origin(target):.300}, but the token is sent only to "
                f"{self._origin}: write the origin of the links into open_params, or let the proxy of the API correct "
                "them"
            )
        return _normalize(target)


def normalize(url: str) -> str:
    """Returns a URL as it is sent, or unchanged if it cannot be parsed. Equal pages have equal normalize URLs."""
    parsed = _parse(url)
    return url if parsed is None else _normalize(parsed)


def _normalize(url: httpx.URL) -> str:
    return str(url.copy_with(fragment=None))


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
        raise ValueError("open_params has a user or a fragment: remove it, because the token comes from token_file")
    if parsed.scheme == "http" and parsed.host not in _LOOPBACK:
        raise ValueError("open_params has the scheme http, so others could read the token: use https")
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
