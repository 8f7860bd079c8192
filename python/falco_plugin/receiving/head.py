"""Reads the request line and the headers of a request, strictly.

Everything that a proxy in front may interpret differently is rejected: folded headers, white space before a colon, bare
line feeds, and headers that may occur only once.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import NamedTuple, Protocol

from falco_plugin.receiving.request import Rejection

MAX_HEAD = 16 << 10
"""Bytes of the longest request line, and of all headers together."""
_MAX_HEADERS = 100
_CRLF = b"\r\n"
_TOKEN = rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)"
_REQUEST_LINE = re.compile(_TOKEN + rb" ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])\r\n")
HEADER = re.compile(_TOKEN + rb":([^\x00-\x08\x0a-\x1f\x7f]*)\r\n")
_NAME = re.compile(_TOKEN + rb":")
_FORM = re.compile(r"(?:https?://[^/?#]*)?(/[^?#]*)?(?:\?([^#]*))?", re.IGNORECASE)
# If one of these is sent twice, a proxy may have used the other value.
_SINGLE = {"content-length", "content-type", "content-encoding", "host"}


class Stream(Protocol):
    """A buffered reader whose methods wait for all requested bytes. Fewer bytes mean that the connection ended."""

    def read(self, size: int, /) -> bytes: ...
    def readline(self, size: int, /) -> bytes: ...


class Incomplete(Exception):
    """The client closed the connection before its request was complete, so no answer can be sent."""


class Head(NamedTuple):
    """The request line and the headers."""

    method: str
    path: str
    """As it was sent, without scheme, host and query."""
    query: str
    keeps_alive: bool
    """Whether the client can send another request on the connection."""
    expects_continue: bool
    """Whether the client waits for the answer 100 before it sends the body."""
    length: int | None
    """Bytes of the body; ``None`` if the body is chunked, 0 if there is none."""
    declares_body: bool
    """Whether the client declared where the body ends, if only by the length 0."""
    headers: dict[str, str]


def read_head(stream: Stream) -> Head:
    """Reads a request up to the empty line below its headers.

    Raises:
        Rejection: the request is malformed or too long. The reason quotes nothing of it.
        Incomplete: the connection ended.
    """
    line = _line(stream, MAX_HEAD, HTTPStatus.REQUEST_URI_TOO_LONG, "the request line is longer than 16 KiB")
    if line == _CRLF:
        # Some clients send an empty line after a body.
        line = _line(stream, MAX_HEAD, HTTPStatus.REQUEST_URI_TOO_LONG, "the request line is longer than 16 KiB")
    matched = _REQUEST_LINE.fullmatch(line)
    if matched is None:
        raise _malformed("malformed request line")
    method, target, major, minor = matched.groups()
    if major != b"1":
        raise Rejection(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "the version is not HTTP/1.0 or HTTP/1.1")
    form = _FORM.fullmatch(target.decode("ascii"))
    if form is None or not (form[1] or form[0]):
        raise _malformed("malformed request target")
    headers = _read_headers(stream)
    is_1_1 = minor != b"0"
    length = _length_of(headers, is_1_1)
    expectation = headers.get("expect", "").lower() if is_1_1 else ""
    if expectation not in {"", "100-continue"}:
        raise Rejection(HTTPStatus.EXPECTATION_FAILED, "the header Expect is not 100-continue")
    connection = headers.get("connection", "").lower()
    return Head(
        method=method.decode("ascii"),
        path=form[1] or "/",
        query=form[2] or "",
        keeps_alive=is_1_1 and "close" not in connection,
        expects_continue=bool(expectation),
        length=length,
        declares_body=length != 0 or "content-length" in headers,
        headers=headers,
    )


def _read_headers(stream: Stream) -> dict[str, str]:
    headers: dict[str, str] = {}
    left = MAX_HEAD
    for _ in range(_MAX_HEADERS + 1):
        line = _line(stream, left, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the headers are longer than 16 KiB")
        if line == _CRLF:
            return headers
        left -= len(line)
        matched = HEADER.fullmatch(line)
        if matched is None:
            raise _malformed_header(line)
        name = matched[1].decode("ascii").lower()
        value = matched[2].strip(b" \t").decode("latin-1")
        if name in headers:
            if name in _SINGLE:
                raise _malformed("a header that must be there once is given twice: send one")
            value = f"{headers[name]}, {value}"
        headers[name] = value
    raise Rejection(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"there are more than {_MAX_HEADERS} headers")


def _malformed_header(line: bytes) -> Rejection:
    if line.startswith((b" ", b"\t")):
        return _malformed("a header is folded over several lines: send it in one line")
    if not _NAME.match(line):
        return _malformed("a header has no valid name before its colon: send it as name: value")
    return _malformed("a header has a control character in its value: remove it")


def _length_of(headers: dict[str, str], is_1_1: bool) -> int | None:
    length = headers.get("content-length")
    coding = headers.get("transfer-encoding")
    if coding is not None:
        if length is not None:
            # A proxy may have used the length. The client could then smuggle a second request past the proxy.
            raise _malformed("both Content-Length and Transfer-Encoding")
        if not is_1_1:
            raise _malformed("Transfer-Encoding in HTTP/1.0")
        if coding.lower() != "chunked":
            raise Rejection(HTTPStatus.NOT_IMPLEMENTED, "the Transfer-Encoding is not chunked")
        return None
    if length is None:
        return 0
    if not (length.isascii() and length.isdigit()):
        raise _malformed("malformed Content-Length")
    # int() of many digits is slow.
    return int(length[-18:]) if not length[:-18].strip("0") else 10**18


def _line(stream: Stream, limit: int, status: HTTPStatus, reason: str) -> bytes:
    line = stream.readline(limit + len(_CRLF))
    if line.endswith(_CRLF):
        return line
    if len(line) > limit:
        raise Rejection(status, reason)
    if line.endswith(b"\n"):
        raise _malformed("a line ends with a bare line feed: end it with CR LF")
    raise Incomplete


def _malformed(reason: str) -> Rejection:
    return Rejection(HTTPStatus.BAD_REQUEST, reason)
