"""An alert of Falco, read from its JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

INTERNAL = "internal"
"""The source of messages of Falco itself."""


@dataclass(frozen=True)
class Alert:
    """An alert of Falco."""

    rule: str
    """The name of the rule."""
    priority: str
    """The priority, such as ``Warning``."""
    time: datetime
    """The time of the event, cut to microseconds (UTC)."""
    source: str
    """The event source."""
    output: str
    """The output of the rule, with the values of its fields, without time and priority."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """The values of the fields in the output, by their names as the rule writes them. The value of an absent field is
    ``None``."""
    tags: tuple[str, ...] = ()
    """The tags of the rule, sorted."""
    entry: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """The JSON object of Falco."""

    @classmethod
    def from_line(cls, line: str) -> Self | None:
        """Reads a line of Falco's output. Returns ``None`` for a line that is not an alert, such as its statistics."""
        try:
            entry = json.loads(line)
            if not isinstance(entry, dict):
                return None
            fields = dict(entry.get("output_fields") or {})
            # Falco adds the time of its prefix.
            for name in ("evt.time", "evt.time.iso8601"):
                fields.pop(name, None)
            priority, written = entry["priority"], entry.get("output", "")
            return cls(
                rule=entry["rule"],
                priority=priority,
                time=datetime.fromisoformat(entry["time"]),
                source=entry["source"],
                # The output begins with the time and the priority.
                output=entry.get("message") or written.partition(f"{priority} ")[2] or written,
                fields=fields,
                tags=tuple(sorted(entry.get("tags") or ())),
                entry=entry,
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            return None

    def __str__(self) -> str:
        return f"{self.priority}: {self.rule}: {self.output}"


def field_text(value: object) -> str:
    """Returns the value of a field as Falco prints it."""
    match value:
        case None:
            return "<NA>"
        case bool():
            return "true" if value else "false"
        case list():
            return f"({','.join(map(field_text, value))})"
        case _:
            return str(value)
