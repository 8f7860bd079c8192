"""Compressed files and FIFOs, which are read by the SDK's ``LinesInstance``."""

from __future__ import annotations

import io
import os
import stat
import time

from falco_plugin import EOF, Timeout, source

from .logfile import Identity, LogFile, identity, printable
from .positions import Position
from .reports import Reports

DECOMPRESSED = (".gz", ".zst")
"""Name endings of compressed files that can be read."""

_BATCHES = 16
"""Batches that are read in one turn."""


class _SdkFile:
    """A file that a ``LinesInstance`` reads, with the members of ``LogFile`` that ``Files`` uses."""

    def __init__(self, path: str, event_size: int, reports: Reports) -> None:
        """Opens the file.

        Raises:
            OSError: the file cannot be opened.
        """
        self.path = path
        self.offset = 0
        self.is_gone = False
        self.has_failed = False
        self.left_at: float | None = None
        self.changed_at = time.monotonic()
        self.size = 0
        self._event_size = event_size
        self._reports = reports
        self._file: io.FileIO | None = None
        self._lines: source.LinesInstance | None = None
        self.identity = self._open()

    @property
    def is_open(self) -> bool:
        return self._file is not None

    @property
    def is_unlinked(self) -> bool:
        return self._file is not None and os.fstat(self._file.fileno()).st_nlink == 0

    def reopen(self) -> None:
        """Opens the file again.

        Raises:
            OSError: the file cannot be opened, or another file is at its path.
        """
        if self._open() != self.identity:
            self.close()
            raise FileNotFoundError(f"{self.path} is another file now")

    def close(self) -> None:
        if self._lines is not None:
            self._lines.close()
        if self._file is not None:
            self._file.close()
        self._lines = self._file = None

    def _open(self) -> Identity:
        # Do not wait for a writer of a FIFO.
        self._file = io.FileIO(self.path, opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY))
        return identity(os.fstat(self._file.fileno()))

    def _next_lines(self, lines: source.LinesInstance) -> list[bytes]:
        batch = lines.events
        batch.clear()
        lines.next_batch(batch)
        return [batch[index].data or b"" for index in range(len(batch))]


class CompressedFile(_SdkFile):
    """A compressed file, which is read once. If it changes, reading continues at the cursor."""

    def __init__(self, path: str, event_size: int, reports: Reports) -> None:
        super().__init__(path, event_size, reports)
        self._cursor = ""
        self._fault: OSError | None = None
        self._state: tuple[int, int] | None = None
        self._state_read: tuple[int, int] | None = None
        self._has_ended = False
        self.refresh()

    @property
    def is_read(self) -> bool:
        return self._state == self._state_read

    @property
    def is_reopenable(self) -> bool:
        """Returns whether the file can be closed and opened again without reading its content twice."""
        return self._lines is None

    def refresh(self, status: os.stat_result | None = None) -> None:
        if status is None:
            assert self._file is not None
            status = os.fstat(self._file.fileno())
        state = (status.st_size, status.st_mtime_ns)
        if state != self._state:
            self.changed_at = time.monotonic()
            self._has_ended = False
        self.size, self._state = status.st_size, state

    def skip_to_end(self) -> None:
        """Skips the present content of the file."""
        self._state_read = self._state
        self._has_ended = True
        self.close()

    def resume(self, position: Position) -> bool:
        """Continues at a saved position. Returns whether it is a position of a compressed file.

        ``LinesInstance`` checks whether its cursor belongs to this file.
        """
        if not position.cursor:
            return False
        self._cursor = position.cursor
        if position.is_read and position.size == self.size:
            self._state_read = self._state
            self._has_ended = True
            self.close()
        return True

    def position(self) -> Position:
        return Position(
            path=printable(self.path),
            real_path=printable(os.path.realpath(self.path)),
            device=self.identity[0],
            inode=self.identity[1],
            size=self.size,
            offset=self.offset,
            fingerprint="",
            cursor=(self._lines and self._lines.cursor) or self._cursor,
            is_read=self._has_ended,
            in_cut_line=False,
            seen=int(time.time()),
        )

    def read(self, *, to_end: bool = False) -> list[bytes]:
        """Returns the next lines. All lines before a fault are returned, and then the fault is reported.

        Raises:
            OSError: the file cannot be read, or is damaged and not followed.
        """
        lines: list[bytes] = []
        if self.is_read:
            return lines
        assert self._file is not None
        state = self._state
        try:
            if self._lines is None:
                start = self._cursor or 0
                self._lines = source.LinesInstance(self._file, start=start, event_size=self._event_size)
            if self._fault is not None:
                fault, self._fault = self._fault, None
                raise fault
            for _ in range(_BATCHES):
                lines += self._next_lines(self._lines)
        except Timeout:
            pass
        except EOF:
            self._has_ended = True
            self._finish(state)
            self._reports.report_solved(self.path)
        except OSError as error:
            if lines:
                self._fault = error
            elif error.errno is not None:
                raise
            else:
                # The file may be incomplete. It is read again when it changes.
                self._finish(state)
                self._reports.report_damaged(self.path, error)
        self.offset = int(self._lines.progress()[0] * self.size) if self._lines else self.size
        return lines

    def _finish(self, state: tuple[int, int] | None) -> None:
        self._state_read = state
        if self._lines is not None:
            self._cursor = self._lines.cursor or self._cursor
            # Free the memory of the decompression.
            self._lines.close()
            self._lines = None


class Pipe(_SdkFile):
    """A FIFO, which is followed across its writers. It has no position, because its lines can be read only once."""

    def __init__(self, path: str, event_size: int, reports: Reports) -> None:
        super().__init__(path, event_size, reports)
        self._is_drained = False

    @property
    def is_read(self) -> bool:
        return self._is_drained

    @property
    def is_reopenable(self) -> bool:
        return False

    def refresh(self, _status: os.stat_result | None = None) -> None:
        self._is_drained = False

    def skip_to_end(self) -> None:
        """Does nothing: a FIFO has no end to skip to."""

    def resume(self, _position: Position) -> bool:
        return False

    def position(self) -> None:
        return None

    def read(self, *, to_end: bool = False) -> list[bytes]:
        """Returns the lines that are available, without waiting.

        Raises:
            OSError: the FIFO cannot be read.
        """
        assert self._file is not None
        if self._lines is None:
            self._lines = source.LinesInstance(self._file, follow=True, event_size=self._event_size, timeout=0)
        lines: list[bytes] = []
        try:
            for _ in range(_BATCHES):
                lines += self._next_lines(self._lines)
        except Timeout:
            self._is_drained = True
        return lines


File = LogFile | CompressedFile | Pipe


def open_file(path: str, event_size: int, reports: Reports) -> File:
    """Opens a file with the class for its kind.

    Raises:
        OSError: the file cannot be opened.
    """
    if stat.S_ISFIFO(os.stat(path).st_mode):
        return Pipe(path, event_size, reports)
    if path.lower().endswith(DECOMPRESSED):
        return CompressedFile(path, event_size, reports)
    return LogFile(path, event_size, reports)
