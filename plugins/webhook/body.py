"""The body of a request, as long as it may be and no longer.

cheroot's own reader of chunked bodies bounds neither the line of a chunk's size nor, without a limit for all, a chunk,
and it leaves trailers to the next request.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any, Protocol

from .refusals import Refusal

_MAX_LINE = 1024
_MAX_TRAILERS = 32
_CRLF = b"\r\n"
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(;.*)?\r\n")


class Stream(Protocol):
    """A buffered reader that waits for all that it is asked for; less means the end of the connection."""

    def read(self, size: int, /) -> bytes: ...
    def readline(self, size: int, /) -> bytes: ...


class Incomplete(Exception):
    """The client has left in the middle of its request: nobody is there to be answered."""


def length_of(request: Any) -> int | None:
    """The length that the request says its body has; ``None`` for a chunked one."""
    if request.chunked_read:
        if b"Content-Length" in request.inheaders:
            # A proxy in front may have gone by the length: where this request ends would be told by its sender.
            raise Refusal(HTTPStatus.BAD_REQUEST, "both a length and chunks")
        return None
    length: bytes = request.inheaders.get(b"Content-Length", b"0")
    if not length.isdigit():
        raise Refusal(HTTPStatus.BAD_REQUEST, "malformed Content-Length")
    return int(length)


def read_body(request: Any, limit: int) -> bytes:
    """Reads all of the request's body.

    Raises:
        Refusal: it is longer than the limit, or malformed.
        Incomplete: the connection ended before it did.
    """
    length = length_of(request)
    if length is None:
        return _read_chunked(request.conn.rfile, limit)
    if length > limit:
        raise _too_long()
    # By cheroot's own reader, which knows then that the next request can follow.
    body: bytes = request.rfile.read(length)
    if len(body) < length:
        raise Incomplete
    return body


def _read_chunked(stream: Stream, limit: int) -> bytes:
    body = bytearray()
    while size := _chunk_size(stream):
        if len(body) + size > limit:
            raise _too_long()
        chunk = stream.read(size + len(_CRLF))
        if len(chunk) < size + len(_CRLF):
            raise Incomplete
        if not chunk.endswith(_CRLF):
            raise _malformed()
        body += chunk[:size]
    for _ in range(_MAX_TRAILERS):
        if _line(stream) == _CRLF:
            return bytes(body)
    raise _malformed()


def _chunk_size(stream: Stream) -> int:
    matched = _CHUNK_SIZE.fullmatch(_line(stream))
    if matched is None:
        raise _malformed()
    return int(matched[1], 16)


def _line(stream: Stream) -> bytes:
    line = stream.readline(_MAX_LINE)
    if line.endswith(_CRLF):
        return line
    if len(line) < _MAX_LINE and not line.endswith(b"\n"):
        raise Incomplete
    raise _malformed()


def _too_long() -> Refusal:
    return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is larger than max_body")


def _malformed() -> Refusal:
    return Refusal(HTTPStatus.BAD_REQUEST, "malformed chunked body")
