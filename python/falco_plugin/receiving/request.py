"""Requests, and the answer to those that are rejected."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

_LINES = re.compile(r"application/(x-)?(ndjson|ldjson|jsonl|jsonlines|json-stream|stream\+json)")


class Rejection(Exception):
    """Rejects a request, or a part of it. Raise it in ``check``, ``events`` or a :class:`Verification`.

    Args:
        status: of the answer. 503 and 429 ask the client to send the request again.
        reason: the cause, for the client and for the log. Rejections are counted by it, so it must be one of a few
            constants, and must not contain anything from the request.
        headers: of the answer, with ``_`` for ``-`` in their names.

    Example:
        ```python
        raise Rejection(HTTPStatus.TOO_MANY_REQUESTS, "too many requests", Retry_After="60")
        ```
    """

    def __init__(self, status: HTTPStatus, reason: str, **headers: str) -> None:
        super().__init__(reason)
        self.status: HTTPStatus = HTTPStatus(status)
        self.reason = reason
        self.headers: dict[str, str] = {name.replace("_", "-"): value for name, value in headers.items()}


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a client. Its ``repr`` shows only the method and the client, because other parts may be secret."""

    method: str
    """The method, such as ``POST``."""
    # Do not show in repr values that may be secret.
    path: str = field(repr=False)
    """The path without the query, percent-decoded. A byte that is not UTF-8 is a surrogate."""
    query: str = field(repr=False)
    """The query as it was sent, without the ``?``; empty if there is none."""
    headers: Mapping[str, str] = field(repr=False)
    """The headers. Names are in lower case. Each byte of a value is one character (Latin-1). The values of a header
    that was sent several times are joined by a comma."""
    client: str
    """The IP address of the client, or of the last proxy."""
    body: bytes = field(default=b"", repr=False)
    """The whole body, without the sizes of chunks. Empty in ``check``, because the body is read after it."""

    @property
    def media_type(self) -> str:
        """The type in ``Content-Type`` without its parameters, in lower case. Empty without the header."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def has_lines(self) -> bool:
        """Whether ``Content-Type`` declares that each line of the body is a JSON document, as
        ``application/x-ndjson`` does.
        """
        return _LINES.fullmatch(self.media_type) is not None
