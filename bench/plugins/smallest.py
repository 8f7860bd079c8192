"""A plugin as small as can be: how long it takes to load one, and to the first event."""

from __future__ import annotations

from falco_plugin import Plugin


class Smallest(Plugin):
    """One event"""

    name = "bench-smallest"
    event_source = "bench"

    def open(self, params: str) -> list[bytes]:
        return [b"event"]
