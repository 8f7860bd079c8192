"""One log of JSON lines as events: nothing of it passes through Python."""

from __future__ import annotations

import threading
from typing import Annotated

from msgspec import Meta, Struct

from falco_plugin import Context, Event, OpenParam, Plugin, json_field, source

from .kept import KeptCursor

_SAVE_INTERVAL = 1.0


class Config(Struct, frozen=True):
    """How the log is read"""

    timestamp: Annotated[
        str, Meta(description="JSON pointer to the time of an event: RFC 3339, or a number since the epoch")
    ] = "/time"
    follow: Annotated[bool, Meta(description="Whether to go on; false: read what is there, then end")] = True
    cursor_file: Annotated[
        Annotated[str, Meta(min_length=1)] | None,
        Meta(description="Path of the file that keeps how far the log was read; its folder must exist"),
    ] = None
    event_size: Annotated[
        int, Meta(ge=1, le=64 << 20, description="Bytes of the longest event; longer lines are cut")
    ] = 256 << 10


class JsonLog(Plugin):
    """Lines of one log of JSON, each with the time that it says of itself"""

    name = "jsonlog"
    id = 1_734_560_002
    event_source = "jsonlog"
    config: Config

    value = json_field("jsonlog.value", "{pointer}", desc="What a JSON pointer names, as jsonlog.value[/user/name]")
    number = json_field("jsonlog.number", "{pointer}", type=int, desc="The same where it is an integer, 0 or more")

    def open(self, params: str, context: Context) -> source.LinesInstance:
        """Params: a file, which need not be there yet, or a FIFO. A compressed file is read once."""
        kept = KeptCursor(self.config.cursor_file, self.log)

        def keep() -> None:
            while not context.wait(_SAVE_INTERVAL):
                kept.save(lines.cursor)

        lines = source.LinesInstance(
            params,
            timestamp=self.config.timestamp,
            follow=self.config.follow,
            start=kept.load(),
            context=context,
            close=lambda: kept.save(lines.cursor),
            event_size=self.config.event_size,
        )
        threading.Thread(target=keep, name="cursor", daemon=True).start()
        return lines

    def event_to_string(self, event: Event) -> str:
        """The line in full, where the SDK's own text ends after 1 KiB: nothing in it may be out of a rule's sight."""
        return event.text

    def list_open_params(self) -> list[OpenParam]:
        return [OpenParam("/var/log/app/audit.jsonl", "a file of JSON lines, also .gz and .zst, or a FIFO")]
