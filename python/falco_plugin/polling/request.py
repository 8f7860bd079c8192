"""Requests for pages."""

from __future__ import annotations

from typing import Any

import msgspec
from httpx import URL

_encoder = msgspec.json.Encoder(order="deterministic")


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The request for one page. It is a GET, or a POST if it has JSON.

    The cursor file contains the request that comes next, so neither part may contain a secret. Secrets belong into
    :meth:`HttpPoller.headers`.

    Example:
        ```python
        request = Request("https://api.example/logs?limit=100")
        assert request.with_query(after="x y").url == "https://api.example/logs?limit=100&after=x+y"
        assert request.with_json({"cursor": "x"}).json == {"cursor": "x"}
        ```
    """

    url: str
    """The URL, with its query."""
    json: Any = None
    """The body of a POST, as values that JSON has; ``None`` for a GET."""

    def with_query(self, **values: str | int) -> Request:
        """Returns the same request with these parameters in the query of its URL, instead of those of the same names.

        Args:
            values: names and values, such as ``limit=100`` or ``**{"page[size]": 100}``. They are escaped.
        """
        return Request(str(URL(self.url).copy_merge_params(values)), self.json)

    def with_json(self, json: Any) -> Request:
        """Returns a POST with this JSON to the same URL."""
        return Request(self.url, json)


def body_of(request: Request) -> bytes | None:
    """Returns the body of a request; ``None`` for a GET."""
    return None if request.json is None else _encoder.encode(request.json)


def identity_of(request: Request) -> str:
    """Returns a string that is the same for equal requests."""
    body = body_of(request)
    return request.url if body is None else f"{request.url} {body.decode()}"
