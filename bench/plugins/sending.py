"""A plugin that sends async events of 300 bytes as fast as it can."""

from __future__ import annotations

from collections.abc import Iterator

from falco_plugin import AsyncEvent, Plugin, async_events

DATA = b"x" * 300


class Sending(Plugin):
    """Sends async events"""

    name = "bench-sending"

    @async_events("bench_changed")
    def changes(self) -> Iterator[AsyncEvent]:
        while True:
            yield AsyncEvent("bench_changed", DATA)
