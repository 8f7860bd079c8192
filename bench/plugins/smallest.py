"""The smallest possible plugin, to measure loading and the time to the first event."""

from __future__ import annotations

from falco_plugin import Plugin


class Smallest(Plugin):
    """One event"""

    name = "bench-smallest"
    event_source = "bench"

    def open(self, params: str) -> list[bytes]:
        return [b"event"]
