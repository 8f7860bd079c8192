"""cheroot's reader of headers, but strict: it rejects headers that a proxy may interpret differently."""

from __future__ import annotations

import re
from typing import Any, Protocol

from cheroot.server import HeaderReader

_NAME = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):")
# Headers that may occur only once. If one occurs twice, a proxy may have used the other value.
_SINGLE = {b"content-length", b"content-type", b"content-encoding", b"host"}


class _Stream(Protocol):
    def readline(self) -> bytes: ...


class StrictHeaderReader(HeaderReader):
    """Raises ``ValueError`` also for folded headers, for white space before a colon, and for headers given twice."""

    def __call__(self, rfile: _Stream, hdict: Any = None) -> Any:
        return super().__call__(_CheckedLines(rfile), hdict)


class _CheckedLines:
    """The lines of a request's headers. Errors do not quote the headers, because errors are sent in answers and
    logged."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream
        self._seen = set[bytes]()

    def readline(self) -> bytes:
        line = self._stream.readline()
        if line in {b"", b"\r\n"}:
            return line
        if line[:1] in {b" ", b"\t"}:
            raise ValueError("a header is folded over several lines: send it in one line")
        matched = _NAME.match(line)
        if matched is None:
            raise ValueError("a header has no valid name before its colon: send it as name: value")
        if b"\0" in line or b"\r" in line[:-2]:
            raise ValueError("a header has a control character in its value: remove it")
        name = matched[1].lower()
        if name in _SINGLE and name in self._seen:
            raise ValueError("a header that must be there once is given twice: send one")
        self._seen.add(name)
        return line
