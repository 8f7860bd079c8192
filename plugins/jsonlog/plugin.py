"""The plugin: follows one log of JSON lines. No Python code runs for an event."""

from __future__ import annotations

import threading
from typing import Annotated

from msgspec import Meta, Struct

from falco_plugin import Context, Cursor, Event, OpenParam, Plugin, json_field, source

_SAVE_INTERVAL = 1.0
"""Seconds between two writes of the cursor file."""


class Config(Struct, frozen=True):
    """How the log is read"""

    timestamp: Annotated[
        str, Meta(description="JSON pointer to the time of an event: RFC 3339, or a number since the epoch")
    ] = "/time"
    follow: Annotated[bool, Meta(description="Whether to wait for more lines; false: read to the end, then stop")] = (
        True
    )
    cursor_file: Annotated[
        Annotated[str, Meta(min_length=1)] | None,
        Meta(description="Path of the file that stores the position in the log; its folder must exist"),
    ] = None
    event_size: Annotated[
        int, Meta(ge=1, le=64 << 20, description="Bytes of the longest event; longer lines are cut")
    ] = 256 << 10


class JsonLog(Plugin):
    """Lines of one JSON log, each with the time that it contains"""

    name = "jsonlog"
    id = 1_734_560_002
    contact = "the maintainers of falco-plugin-sdk"
    event_source = "jsonlog"
    config: Config

    value = json_field(
        "jsonlog.value", "{pointer}", desc="The value at a JSON pointer in the line, such as jsonlog.value[/user/name]"
    )
    number = json_field(
        "jsonlog.number", "{pointer}", type=int, desc="The same value if it is an integer of at least 0, for < and >"
    )

    def open(self, params: str, context: Context) -> source.LinesInstance:
        """Follows ``params``, a file that need not exist yet, or a FIFO. A compressed file is read once."""
        cursor = Cursor(self, params, path=self.config.cursor_file, start="")

        def save() -> None:
            cursor.save(lines.cursor or cursor.value)

        def save_regularly() -> None:
            while not context.wait(_SAVE_INTERVAL):
                save()

        lines = source.LinesInstance(
            params,
            timestamp=self.config.timestamp,
            follow=self.config.follow,
            start=cursor.value or 0,
            context=context,
            close=save,
            event_size=self.config.event_size,
        )
        threading.Thread(target=save_regularly, name="cursor", daemon=True).start()
        return lines

    def event_to_string(self, event: Event) -> str:
        """Returns the whole line, because rules must see all of it. The SDK's default text ends after 1 KiB."""
        return event.text

    def list_open_params(self) -> list[OpenParam]:
        return [OpenParam("/var/log/app/audit.jsonl", "a file with JSON lines, also .gz and .zst, or a FIFO")]
