"""Reads the body of a request, up to a limit.

cheroot's reader of chunked bodies is not used. It limits neither the line with a chunk's size nor, without a limit for
the body, the chunk itself. It also leaves trailers in the stream, where they would be read as the next request.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any, Protocol

from .rejections import Rejection

_MAX_LINE = 1024
_MAX_TRAILERS = 32
_CRLF = b"\r\n"
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(;.*)?\r\n")


class Stream(Protocol):
    """A buffered reader whose methods wait for all requested bytes. Fewer bytes mean that the connection ended."""

    def read(self, size: int, /) -> bytes: ...
    def readline(self, size: int, /) -> bytes: ...


class Incomplete(Exception):
    """The client closed the connection before its request was complete, so no answer can be sent."""


def length_of(request: Any) -> int | None:
    """Returns the declared length of a request's body, or ``None`` if the body is chunked."""
    if request.chunked_read:
        if b"Content-Length" in request.inheaders:
            # A proxy may have used the length. The client could then smuggle a second request past the proxy.
            raise Rejection(HTTPStatus.BAD_REQUEST, "both Content-Length and Transfer-Encoding")
        return None
    length: bytes = request.inheaders.get(b"Content-Length", b"0")
    if not length.isdigit():
        raise Rejection(HTTPStatus.BAD_REQUEST, "malformed Content-Length")
    return int(length)


def read_body(request: Any, limit: int) -> bytes:
    """Reads the whole body of a request.

    Raises:
        Rejection: the body is longer than the limit, or malformed.
        Incomplete: the connection ended before the body.
    """
    length = length_of(request)
    if length is None:
        return _read_chunked(request.conn.rfile, limit)
    if length > limit:
        raise _too_long()
    # Use cheroot's reader, because it tracks the beginning of the next request.
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


def _too_long() -> Rejection:
    return Rejection(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is larger than max_body")


def _malformed() -> Rejection:
    return Rejection(HTTPStatus.BAD_REQUEST, "malformed chunked body")
