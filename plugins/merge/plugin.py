"""The plugin: merges two log files into one event source, in the order of their timestamps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import BinaryIO

from falco_plugin import EOF, OpenParam, Plugin, source


class Merge(Plugin):
    """Two files of JSON lines, merged by their time"""

    name = "merge"
    id = 1_734_560_006
    contact = "the maintainers of falco-plugin-sdk"
    event_source = "merge"

    def open(self, params: str) -> MergedFiles:
        first, separator, second = params.partition(";")
        if not separator:
            raise ValueError(f"open_params must be two files, such as first.jsonl;second.jsonl, got {params!r}")
        return MergedFiles(Path(first), Path(second))

    def list_open_params(self) -> list[OpenParam]:
        return [OpenParam("first.jsonl;second.jsonl", "two files of JSON lines, each in the order of time", ";")]


class MergedFiles(source.BaseInstance):
    """A custom instance: it fills the batch itself, and so decides which input is next."""

    def __init__(self, *paths: Path) -> None:
        super().__init__()
        self._inputs = [TimedLines(path) for path in paths]

    def next_batch(self, batch: source.EventBatch, /) -> int:
        before = len(batch)
        while not batch.full:
            unfinished = [lines for lines in self._inputs if lines.head is not None]
            if not unfinished:
                break
            batch.append(min(unfinished, key=TimedLines.timestamp).take())
        if len(batch) == before:
            raise EOF
        return len(batch) - before

    def close(self) -> None:
        for lines in self._inputs:
            lines.close()


class TimedLines:
    """One input, which has already read its next line."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("rb")
        self.head: tuple[bytes, int] | None = None
        self._advance()

    def timestamp(self) -> int:
        assert self.head is not None
        return self.head[1]

    def take(self) -> tuple[bytes, int]:
        assert self.head is not None
        head = self.head
        self._advance()
        return head

    def close(self) -> None:
        self._file.close()

    def _advance(self) -> None:
        line = self._file.readline().rstrip(b"\r\n")
        self.head = (line, source.parse_timestamp(json.loads(line)["time"]).nanoseconds) if line else None
