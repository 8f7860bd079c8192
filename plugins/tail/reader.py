"""Yields the lines of all files as one stream, and saves positions."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator

from falco_plugin import Context

from .config import Config
from .files import Files
from .positions import Positions

_SAVE_LINES = 10_000
_SAVE_INTERVAL = 1.0


class Reader:
    """Reads files in turns, and checks them for changes once in an interval.

    The files are polled, not watched with inotify. Polling works on network file systems, where inotify does not report
    changes by other machines. It also needs no watch for each folder, and no queue can overflow.
    """

    def __init__(self, files: Files, positions: Positions, config: Config) -> None:
        self._files = files
        self._positions = positions
        self._config = config
        self._turns = self._saved_turns = 0
        self._unsaved_lines = 0
        self._saved_at = time.monotonic()

    def lines(self, context: Context) -> Iterator[bytes | None]:
        """Yields lines, and a barrier before positions are saved. Ends at the end of all files without ``follow``."""
        try:
            self._files.scan()
            # Report an unwritable position file now. Also, a file without a position at the next start is then new.
            self._save()
            while not context.cancelled:
                idle = yield from self._read_for(self._config.poll_interval)
                if idle and not self._config.follow:
                    yield from self._read(self._files.last_lines())
                    yield from self._barrier()
                    return
                if idle:
                    yield from self._barrier()
                    context.wait(self._config.poll_interval)
                self._files.scan()
        finally:
            self._files.close()

    def _read_for(self, seconds: float) -> Generator[bytes | None, None, bool]:
        """Reads for so many seconds. Returns whether all files were read to their ends."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            before = self._turns
            yield from self._read(self._files.turns())
            if self._turns == before:
                return True
        return False

    def _read(self, turns: Iterable[list[bytes]]) -> Iterator[bytes | None]:
        for lines in turns:
            yield from lines
            self._turns += 1
            self._unsaved_lines += len(lines)
            is_due = time.monotonic() - self._saved_at >= _SAVE_INTERVAL
            if is_due or self._unsaved_lines >= _SAVE_LINES:
                yield from self._barrier()

    def _barrier(self) -> Iterator[None]:
        """Saves positions when the host has processed all lines before them."""
        if self._positions.path is None or self._turns == self._saved_turns:
            return
        if self._unsaved_lines:
            yield None
        self._save()

    def _save(self) -> None:
        if self._positions.save(self._files.positions()):
            self._saved_turns = self._turns
        self._unsaved_lines = 0
        self._saved_at = time.monotonic()
