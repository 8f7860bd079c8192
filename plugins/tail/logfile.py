"""A log file that is read line by line."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time

from .positions import Position
from .reports import Reports

Identity = tuple[int, int]
"""Device and inode, which identify a file under any name."""

_BLOCK = 256 * 1024
"""Bytes that are read in one turn."""
_SAMPLE = 256
"""Bytes at the beginning, and before the offset, that are compared to detect a truncation."""
_LONGEST_LINE_END = len(b"\r\n")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LEAST_SAMPLE = 4
"""Bytes that are needed to detect an encoding."""


def identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino


def printable(path: str) -> str:
    """Returns a path as valid UTF-8. Other bytes are replaced by escapes, so the path may not be usable."""
    return os.fsencode(path).decode(errors="backslashreplace")


class LogFile:
    """A file and the offset up to which it was read. It can be closed and opened again.

    The offset is at the end of a complete line. An incomplete line is read again when the file has grown, so no other
    state is kept between two reads. Each read compares the first bytes of the file, and the bytes before the offset, to
    detect a truncation.
    """

    def __init__(self, path: str, event_size: int, reports: Reports) -> None:
        """Opens the file at its beginning.

        Raises:
            OSError: the file cannot be opened.
        """
        self.path = path
        self.offset = 0
        self.is_gone = False
        """Whether no followed path leads to the file. It is then read only as long as it is open."""
        self.has_failed = False
        """Whether the last attempt to read the file failed."""
        self.left_at: float | None = None
        """When the file left its path (monotonic time), or ``None`` if its last line was delivered since."""
        self._event_size = event_size
        self._reports = reports
        self._block = max(_BLOCK, event_size + _LONGEST_LINE_END)
        self._in_cut_line = False
        self._is_utf16: bool | None = None
        self._nuls = 0
        self._head = self._tail = b""
        self._descriptor, status = _open(path)
        self.identity = identity(status)
        self.size = status.st_size
        self.changed_at = time.monotonic()
        self._state = _state(status)
        self._state_read: tuple[int, int] | None = None

    @property
    def is_open(self) -> bool:
        return self._descriptor >= 0

    @property
    def is_read(self) -> bool:
        """Whether the file was read up to its size at the last ``refresh``."""
        return self._state == self._state_read

    @property
    def is_reopenable(self) -> bool:
        """Returns whether the file can be closed and opened again without reading its content twice."""
        return True

    @property
    def is_unlinked(self) -> bool:
        return self.is_open and os.fstat(self._descriptor).st_nlink == 0

    def reopen(self) -> None:
        """Opens the file again.

        Raises:
            OSError: the file cannot be opened, or another file is at its path.
        """
        descriptor, status = _open(self.path)
        if identity(status) != self.identity:
            os.close(descriptor)
            raise FileNotFoundError(f"{self.path} is another file now")
        self._descriptor = descriptor

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def refresh(self, status: os.stat_result | None = None) -> None:
        """Checks whether the file has changed. ``status`` is required if the file is closed."""
        status = status or os.fstat(self._descriptor)
        if _state(status) != self._state:
            self.changed_at = time.monotonic()
        self.size, self._state = status.st_size, _state(status)

    def skip_to_end(self) -> None:
        """Skips all complete lines."""
        begin = max(0, self.size - self._event_size)
        last = os.pread(self._descriptor, self.size - begin, begin)
        end = last.rfind(b"\n") + 1
        # The file ends with a line longer than an event. Skip its rest, too.
        self._in_cut_line = begin > 0 and end == 0
        self._go_to(self.size if self._in_cut_line else begin + end)

    def resume(self, position: Position) -> bool:
        """Continues at a saved position. Returns whether it is a position of this file, by its fingerprint."""
        self._go_to(position.offset)
        if self._fingerprint() == position.fingerprint:
            self._in_cut_line = position.in_cut_line
            return True
        self._go_to(0)
        return False

    def position(self) -> Position:
        return Position(
            path=printable(self.path),
            real_path=printable(os.path.realpath(self.path)),
            device=self.identity[0],
            inode=self.identity[1],
            size=self.size,
            offset=self.offset,
            fingerprint=self._fingerprint(),
            in_cut_line=self._in_cut_line,
            seen=int(time.time()),
        )

    def read(self, *, to_end: bool = False) -> list[bytes]:
        """Returns the next lines, at most a block.

        Args:
            to_end: whether bytes after the last line end are a line, too.

        Raises:
            OSError: the file cannot be read.
        """
        data = self._next_block()
        if not self._in_cut_line:
            rest = self._without_beginning(data, to_end=to_end)
            if rest is None:
                return []
            data = rest
        begin = 0
        if self._in_cut_line:
            begin = data.find(b"\n") + 1
            self._in_cut_line = begin == 0
        if self._in_cut_line:
            used, lines = len(data), []
        else:
            used = data.rfind(b"\n") + 1
            whole = data[begin:used].split(b"\n")[:-1]
            if b"\n\0" in data:
                whole = [self._without_nuls(line) for line in whole]
            lines = [self._event(line) for line in whole]
            rest = data[used:]
            # The next read skips NULs before a line.
            is_too_long = len(rest) >= self._event_size + _LONGEST_LINE_END and not rest.startswith(b"\0")
            if is_too_long or (to_end and rest.lstrip(b"\0") and len(data) < self._block):
                self._in_cut_line = is_too_long
                lines.append(self._event(self._without_nuls(rest)))
                used = len(data)
        if used == 0 or self.offset + len(data) >= self.size:
            self._state_read = self._state
        self._advance(data[:used])
        return lines

    def _without_beginning(self, data: bytes, *, to_end: bool) -> bytes | None:
        """Skips a byte order mark, and NULs before a line. Returns ``None`` if more must be read first."""
        if self.offset == 0:
            if data.startswith(_BYTE_ORDER_MARK):
                self._advance(_BYTE_ORDER_MARK)
                data = data[len(_BYTE_ORDER_MARK) :]
            elif data and _BYTE_ORDER_MARK.startswith(data) and not to_end:
                self._state_read = self._state
                return None
        rest = data.lstrip(b"\0")
        nuls = len(data) - len(rest)
        self._advance(data[:nuls])
        self._nuls += nuls
        if nuls and not rest:
            self._skip_hole()
            if self.offset < self.size:
                return None
        if self._is_utf16 is None and len(rest) >= _LEAST_SAMPLE:
            self._is_utf16 = _is_utf16(data[:_SAMPLE] if nuls == 1 else rest[:_SAMPLE])
            if self._is_utf16:
                self._reports.report_utf16(self.path)
        if rest and self._nuls:
            nuls, self._nuls = self._nuls, 0
            self._report_hole(nuls)
        return rest

    def _skip_hole(self) -> None:
        """Continues where the file has data again. A file system without support for holes reports data everywhere."""
        size = os.fstat(self._descriptor).st_size
        try:
            data = os.lseek(self._descriptor, self.offset, os.SEEK_DATA)
        except OSError as error:
            # There is no data after the offset.
            data = size if error.errno == errno.ENXIO else self.offset
        if data > self.offset:
            self._nuls += data - self.offset
            self._go_to(data)

    def _next_block(self) -> bytes:
        head = os.pread(self._descriptor, len(self._head), 0)
        block = os.pread(self._descriptor, len(self._tail) + self._block, self.offset - len(self._tail))
        if head == self._head and block.startswith(self._tail):
            return block[len(self._tail) :]
        self._reports.log.info(
            "%s: the file was truncated after it was read up to byte %d; reading from its beginning",
            self.path,
            self.offset,
        )
        self._go_to(0)
        return os.pread(self._descriptor, self._block, 0)

    def _event(self, line: bytes) -> bytes:
        line = line.removesuffix(b"\r")
        if len(line) > self._event_size:
            self._reports.count_cut_line(self.path, self._event_size)
        return line[: self._event_size]

    def _without_nuls(self, line: bytes) -> bytes:
        rest = line.lstrip(b"\0")
        if len(rest) < len(line):
            self._report_hole(len(line) - len(rest))
        return rest

    def _report_hole(self, nuls: int) -> None:
        # UTF-16 has NULs in most lines, and is reported separately.
        if not self._is_utf16:
            self._reports.count_hole(self.path, nuls)

    def _advance(self, data: bytes) -> None:
        self.offset += len(data)
        self._head += data[: _SAMPLE - len(self._head)]
        self._tail = (self._tail + data[-_SAMPLE:])[-_SAMPLE:]

    def _go_to(self, offset: int) -> None:
        begin = max(0, offset - _SAMPLE)
        self._head = os.pread(self._descriptor, min(offset, _SAMPLE), 0)
        self._tail = os.pread(self._descriptor, offset - begin, begin)
        self.offset = offset
        if offset == 0:
            self._in_cut_line = False
            self._is_utf16 = None
            self._nuls = 0

    def _fingerprint(self) -> str:
        return hashlib.blake2b(self._head + self._tail, digest_size=16).hexdigest()


def _open(path: str) -> tuple[int, os.stat_result]:
    # Do not wait if a FIFO has replaced the file.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise FileNotFoundError(f"{path} is not a regular file any more")
    return descriptor, status


def _is_utf16(sample: bytes) -> bool:
    """Returns whether the sample begins with the byte order mark of UTF-16, or every other byte is NUL."""
    if sample.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    pairs = sample[: len(sample) // 2 * 2]
    even, odd = pairs[::2], pairs[1::2]
    return (not any(odd) and all(even)) or (not any(even) and all(odd))


def _state(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns
