"""Fields of any event that is JSON, by a pointer into it."""

from __future__ import annotations

import json

import msgspec

from falco_plugin import Event, Plugin, field, json_field


class Json(Plugin):
    """Fields of events that are JSON, whatever source they come from"""

    name = "json"
    # The official plugin's with the same fields: rules ask for a version of it.
    version = "0.7.0"

    value = json_field("json.value", "{pointer}", desc="The value that this JSON pointer leads to")
    value_of_event = json_field("jevt.value", "{pointer}", desc="The same as json.value")

    @field("json.obj", desc="The whole event, a member a line")
    def whole(self, event: Event) -> str | None:
        try:
            # Without decoding: numbers, escapes and members that come twice stay as they are.
            return msgspec.json.format(event.data, indent=2).decode()
        except (ValueError, RecursionError):
            # Damaged or deep: as much as can be read. If that is nothing, the error leaves the field absent.
            return json.dumps(event.json, indent=2, ensure_ascii=False)

    @field("jevt.obj", desc="The same as json.obj")
    def whole_event(self, event: Event) -> str | None:
        return self.whole(event)

    @field("json.rawtime", desc="The event's time, in nanoseconds since the epoch")
    def time(self, event: Event) -> str:
        return str(event.timestamp)

    @field("jevt.rawtime", desc="The same as json.rawtime")
    def time_of_event(self, event: Event) -> str:
        return self.time(event)
