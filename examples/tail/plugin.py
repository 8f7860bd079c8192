"""Lines of a log file of JSON lines, as it grows."""

from __future__ import annotations

import os
from typing import BinaryIO

from falco_plugin import EOF, Context, OpenParam, Plugin, Timeout, source


class Tail(Plugin):
    """Lines of a file, from its beginning on."""

    name = "tail"
    id = 999
    event_source = "tail"

    def open(self, params: str) -> source.Instance:
        """Params: the file's path; with ``follow:`` before it the source waits for lines that are added."""
        return FileLines(params).instance()

    def list_open_params(self) -> list[OpenParam]:
        return [
            OpenParam("events.jsonl", "read a file to its end"),
            OpenParam("follow:events.jsonl", "read a file, and go on as it grows"),
        ]


class FileLines:
    """An open file, and how much of it was read."""

    def __init__(self, params: str) -> None:
        self._follow = params.startswith("follow:")
        path = params.removeprefix("follow:")
        if not path:
            raise ValueError("open_params must name a file, such as /var/log/events.jsonl")
        self._file: BinaryIO = open(path, "rb")  # noqa: SIM115 - closed when the source is closed
        self._part = b""

    def instance(self) -> source.PullInstance:
        return source.PullInstance(self.pull, close=self._file.close, progress=self.progress)

    def pull(self, context: Context, writer: source.EventWriter) -> None:
        line = self._file.readline()
        if not line.endswith(b"\n"):
            # The end of the file for now, perhaps in the middle of a line.
            self._part += line
            if self._follow:
                context.wait(0.01)
                raise Timeout
            if not self._part:
                raise EOF
            line, self._part = self._part, b""
        writer.write(self._part + line.rstrip(b"\r\n"))
        self._part = b""

    def progress(self) -> tuple[float, str]:
        size = os.fstat(self._file.fileno()).st_size
        place = self._file.tell()
        return (place / size if size else 1.0), f"{place} of {size} bytes"
