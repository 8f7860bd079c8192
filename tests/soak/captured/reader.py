"""The second plugin of the captures: it reads and changes the table of the first one."""

from __future__ import annotations

from collections.abc import Iterator

from falco_plugin import (
    AsyncEvent,
    Capture,
    Entry,
    Event,
    Plugin,
    Table,
    added,
    async_events,
    field,
    parse,
    table_field,
)


class Session(Entry):
    program: str
    events: int = 0
    is_seen: bool = added()


class Reader(Plugin):
    """Reads a table of another plugin"""

    name = "captures-reader"
    id = 998
    extract_event_sources = ("syscall",)

    sessions: Table[int, Session] = Table.of("captures_sessions")
    program = table_field("captures.program", sessions, "program", desc="A table of another plugin")

    @parse("execve")
    def see(self, event: Event) -> None:
        session = self.sessions.get(event.thread_id or 0)
        if session is not None:
            session.is_seen = True
        if event.number % 8 == 0:
            self.sessions[-100 - event.number % 16] = Session(program="other", events=1, is_seen=False)
        if event.number % 128 == 0:
            self.sessions.clear()

    @field("captures.sum", desc="The number of events of all sessions")
    def sum(self, event: Event) -> int:
        return sum(session.events for session in self.sessions.values())

    @async_events("other", sources=["syscall"])
    def send(self) -> Iterator[AsyncEvent]:
        while True:
            yield AsyncEvent("other", bytes(1000))

    def capture_open(self, capture: Capture) -> None:
        self.sessions[-1] = Session(program="opened", is_seen=True)

    def capture_close(self, capture: Capture) -> None:
        len(self.sessions)
