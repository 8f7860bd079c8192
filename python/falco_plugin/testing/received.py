"""The lines that the native host writes while it runs plugins."""

from __future__ import annotations

import base64
import math
from typing import Any

from falco_plugin._core import AsyncEvent
from falco_plugin.testing.extracted import Column, ExtractedEvent, Values
from falco_plugin.testing.results import LogLine, ReceivedAsyncEvent, Run, TableEntry


class Received:
    """The output of the host so far."""

    def __init__(self) -> None:
        self.events: list[ExtractedEvent] = []
        self.async_events: list[ReceivedAsyncEvent] = []
        self.log: list[LogLine] = []
        self.replies: dict[int, dict[str, Any]] = {}
        """The replies to commands, by the numbers of the commands."""
        self.end: dict[str, Any] | None = None
        """The last line of a run."""
        self._columns: list[Column] = []
        self._texts: list[str] = []
        self._state: list[AsyncEvent] = []
        self._tables: dict[str, list[TableEntry]] = {}
        self._metrics: dict[str, float] = {}

    def as_run(self, result: str, error: str | None) -> Run:
        """Returns all of it, with the result and the error."""
        members = self._metrics, self.async_events, self._state, self._tables
        return Run(self.events, self._texts, self.log, result, error, *members)

    def keep(self, entry: dict[str, Any]) -> None:
        """Keeps one line."""
        if entry["kind"] == "event":
            common: dict[str, Any] = {
                "fields": self._values_of(entry),
                "number": entry["number"],
                "source": entry["source"],
            }
            if "raw_base64" in entry:
                event = ExtractedEvent(raw=base64.b64decode(entry["raw_base64"]), **common)
            else:
                event = ExtractedEvent(_data_of(entry), timestamp=entry["timestamp"], **common)
            self.events.append(event)
            self._texts.append(entry["text"])
        elif entry["kind"] == "async_event":
            members = entry["number"], entry["timestamp"], entry["source"], self._values_of(entry)
            self.async_events.append(ReceivedAsyncEvent(entry["name"], _data_of(entry), *members))
        elif entry["kind"] == "state_event":
            self._state.append(AsyncEvent(entry["name"], _data_of(entry), entry["timestamp"]))
        elif entry["kind"] == "fields":
            self._columns = [Column.from_json(column) for column in entry["fields"]]
        elif entry["kind"] == "log":
            self.log.append(LogLine(entry["severity"], entry["text"], entry.get("plugin", "")))
        elif entry["kind"] == "metrics":
            self._metrics = metrics_of(entry)
        elif entry["kind"] == "reply":
            self.replies[entry["id"]] = entry
        elif entry["kind"] == "table":
            self._tables[entry["name"]] = [TableEntry(row.get("key"), row["fields"]) for row in entry["entries"]]
        else:
            self.end = entry

    def _values_of(self, entry: dict[str, Any]) -> Values:
        """Returns the fields of an event in the host's JSON."""
        extracted = entry.get("fields", {})
        return Values({column.name: column.value(extracted[column.name]) for column in self._columns})


def metrics_of(entry: dict[str, Any]) -> dict[str, float]:
    """Returns the metrics in the host's JSON."""
    # JSON has no form for numbers that are not finite.
    pairs = ((metric["name"], metric["value"]) for metric in entry["metrics"])
    return {name: math.nan if value is None else value for name, value in pairs}


def _data_of(entry: dict[str, Any]) -> bytes:
    """Returns the payload of an event in the host's JSON."""
    return entry["data"].encode() if "data" in entry else base64.b64decode(entry["data_base64"])
