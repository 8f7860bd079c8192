"""Reads the body of a request, up to a limit."""

from __future__ import annotations

import re
from http import HTTPStatus

from falco_plugin.receiving.head import HEADER, Incomplete, Stream
from falco_plugin.receiving.request import Rejection

_MAX_LINE = 1024
_MAX_TRAILERS = 32
_CRLF = b"\r\n"
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(;[^\x00-\x08\x0a-\x1f\x7f]*)?\r\n")


def read_body(stream: Stream, length: int | None, limit: int) -> bytes:
    """Reads the whole body of a request.

    Args:
        stream: where the body begins.
        length: bytes of the body; ``None`` if it is chunked.
        limit: bytes of the largest body.

    Raises:
        Rejection: the body is larger than the limit, or malformed.
        Incomplete: the connection ended before the body.
    """
    if length is None:
        return _read_chunked(stream, limit)
    if length > limit:
        raise too_large(limit)
    body = stream.read(length)
    if len(body) < length:
        raise Incomplete
    return body


def too_large(limit: int) -> Rejection:
    return Rejection(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {limit} bytes: send smaller requests"
    )


def _read_chunked(stream: Stream, limit: int) -> bytes:
    body = bytearray()
    while size := _chunk_size(stream):
        if len(body) + size > limit:
            raise too_large(limit)
        chunk = stream.read(size + len(_CRLF))
        if len(chunk) < size + len(_CRLF):
            raise Incomplete
        if not chunk.endswith(_CRLF):
            raise _malformed()
        body += memoryview(chunk)[:size]
    for _ in range(_MAX_TRAILERS):
        if (line := _line(stream)) == _CRLF:
            return bytes(body)
        # A proxy may see the end of the request elsewhere in a malformed trailer, such as after a bare carriage return.
        if not HEADER.fullmatch(line):
            raise _malformed()
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


def _malformed() -> Rejection:
    return Rejection(HTTPStatus.BAD_REQUEST, "malformed chunked body")
