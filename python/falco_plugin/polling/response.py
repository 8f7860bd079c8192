"""Answers of an API."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any
from urllib.parse import urljoin

import httpx

from falco_plugin import Event
from falco_plugin.polling import records
from falco_plugin.polling.request import Request


class Response:
    """A complete answer with the status 200.

    Args:
        request: the request that it answers.
        headers: its headers. Names are read in any case.
        body: its body, decompressed.

    Example:
        ```python
        request = Request("https://api.example/logs")
        response = Response(request, {"Link": "</logs?page=2>; rel=next"}, b'{"data": [{"id": 1}]}')
        assert response.json["data"][0]["id"] == 1
        assert response.link() == "https://api.example/logs?page=2"
        assert response.records("data") == [b'{"id": 1}']
        ```
    """

    request: Request
    """The request that it answers."""
    headers: Mapping[str, str]
    """Its headers. Names are read in any case."""
    body: bytes
    """Its body, decompressed."""

    def __init__(self, request: Request, headers: Mapping[str, str], body: bytes) -> None:
        self.request = request
        self.headers = httpx.Headers(headers)
        self.body = body

    @cached_property
    def json(self) -> Any:
        """The body as JSON. A fault in it costs at most the value that it is in, as in :attr:`falco_plugin.Event.json`.

        Raises:
            NoJsonError: the body does not begin with a JSON value.
        """
        return Event(self.body).json

    def link(self, relation: str = "next") -> str | None:
        """Returns the URL of a link in the header ``Link``, or ``None`` if there is none with this relation.

        Args:
            relation: the relation, such as ``"next"``.

        Raises:
            ValueError: the link is not a URL. The message does not quote it.
        """
        for link in httpx.Response(200, headers=self.headers).links.values():
            if relation in link.get("rel", "").lower().split():
                try:
                    return urljoin(self.request.url, link["url"])
                except ValueError:
                    raise ValueError(
                        f"the link to the {relation} page is not a URL: report this to the API's operator"
                    ) from None
        return None

    def records(self, field: str = "") -> list[bytes]:
        """Returns the elements of an array of objects in the body, each as its JSON.

        A fault within an element costs at most the value that it is in.

        Args:
            field: the member that is the array: its name, or a JSON pointer such as ``"/result/items"``. If it is
                empty, the body is the array.

        Raises:
            ValueError: there is no array of objects. The message does not quote the body.
        """
        try:
            return records.split(self.body, records.path_of(field))
        except ValueError as error:
            if field:
                raise ValueError(f"it has no JSON array of objects in {field!r} ({error})") from None
            raise ValueError(f"it is not a JSON array of objects ({error})") from None
