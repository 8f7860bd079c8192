"""Files of audit events, such as the API server's log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from .events import Events, Item
from .reports import Reports


def find(path: Path) -> list[Path]:
    """The file, or the folder's files, the oldest first.

    Raises:
        OSError: one of them cannot be read.
    """
    files = [path]
    if path.is_dir():
        files = [file for file in path.iterdir() if not file.is_dir()]
        files.sort(key=lambda file: (file.stat().st_mtime_ns, file.name))
    for file in files:
        # A source that cannot read what it was given is to fail when it is opened.
        file.open("rb").close()
    return files


class Reader:
    """Reads files to their ends, one text of JSON a line."""

    def __init__(self, events: Events, max_line: int, reports: Reports, log: logging.Logger) -> None:
        self._events = events
        self._max_line = max_line
        self._reports = reports
        self._log = log

    def read(self, files: list[Path]) -> Iterator[Item]:
        for file in files:
            try:
                for line in self._lines(file):
                    yield from self._events_of(line)
            except OSError as error:
                self._log.error("%s: cannot be read to its end: %s", file, error.strerror or error)
        self._reports.close()

    def _lines(self, path: Path) -> Iterator[bytes]:
        with path.open("rb") as file:
            while line := file.readline(self._max_line + 1):
                if len(line) <= self._max_line:
                    yield line
                    continue
                self._reports.count("a line longer than webhookMaxBatchSize")
                while line and not line.endswith(b"\n"):
                    line = file.readline(self._max_line)

    def _events_of(self, line: bytes) -> list[Item]:
        line = line.strip()
        if not line:
            return []
        try:
            return self._events.of(line)
        except ValueError as problem:
            self._reports.count(f"a line: {problem}")
            return []
