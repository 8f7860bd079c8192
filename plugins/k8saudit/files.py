"""Reads files of audit events, such as the log of an API server."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from falco_plugin.receiving import RejectionLog

from .events import Events, Item


def find(path: Path) -> list[Path]:
    """Returns the file, or the files of the folder with the oldest first.

    Raises:
        OSError: one of the files cannot be read.
    """
    files = [path]
    if path.is_dir():
        files = [file for file in path.iterdir() if not file.is_dir()]
        files.sort(key=lambda file: (file.stat().st_mtime_ns, file.name))
    for file in files:
        # Fail when the source is opened, not later.
        file.open("rb").close()
    return files


class Reader:
    """Reads files to their ends. Each line has one or more JSON documents."""

    def __init__(self, events: Events, max_line: int, rejections: RejectionLog, log: logging.Logger) -> None:
        self._events = events
        self._max_line = max_line
        self._rejections = rejections
        self._log = log

    def read(self, files: list[Path]) -> Iterator[Item]:
        """Yields the events of all files. A file that fails is logged and does not end the source."""
        for file in files:
            try:
                for line in self._lines(file):
                    yield from self._events_of(line)
            except OSError as error:
                self._log.error("cannot read %s to its end: %s", file, error.strerror or error)
        self._rejections.flush()

    def _lines(self, path: Path) -> Iterator[bytes]:
        with path.open("rb") as file:
            while line := file.readline(self._max_line + 1):
                if len(line) <= self._max_line:
                    yield line
                    continue
                self._rejections.count("a line is longer than webhookMaxBatchSize")
                while line and not line.endswith(b"\n"):
                    line = file.readline(self._max_line)

    def _events_of(self, line: bytes) -> list[Item]:
        line = line.strip()
        if not line:
            return []
        try:
            return self._events.split(line)
        except ValueError as problem:
            self._rejections.count(f"a line {problem}")
            return []
