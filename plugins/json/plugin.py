"""The plugin: fields of JSON events from any source."""

from __future__ import annotations

import json

import msgspec

from falco_plugin import Event, Plugin, field, json_field


class Json(Plugin):
    """Fields of JSON events from any source"""

    name = "json"
    # The version of the official plugin with the same fields, because rules require a version.
    version = "0.7.0"
    contact = "the maintainers of falco-plugin-sdk"

    value = json_field("json.value", "{pointer}", desc="The value at this JSON pointer")
    value_of_event = json_field("jevt.value", "{pointer}", desc="The same as json.value")

    @field("json.obj", desc="The whole event, with one line for each member")
    def whole(self, event: Event) -> str | None:
        try:
            # This does not decode the event, so numbers, escapes and duplicate keys stay unchanged.
            return msgspec.json.format(event.data, indent=2).decode()
        except (ValueError, RecursionError):
            # The event is damaged or deep: show its readable part. If it has none, the error leaves the field absent.
            return json.dumps(event.json, indent=2, ensure_ascii=False)

    @field("jevt.obj", desc="The same as json.obj")
    def whole_event(self, event: Event) -> str | None:
        return self.whole(event)

    @field("json.rawtime", desc="The time of the event, in nanoseconds since the epoch")
    def time(self, event: Event) -> str:
        return str(event.timestamp)

    @field("jevt.rawtime", desc="The same as json.rawtime")
    def time_of_event(self, event: Event) -> str:
        return self.time(event)
