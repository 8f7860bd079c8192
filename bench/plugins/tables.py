"""The benchmark's plugin with state tables: one that another plugin reads, and fields read from the host's threads."""

from __future__ import annotations

from falco_plugin import Entry, Event, Plugin, Table, field, source, table_field

EVENTS = [b""] * 128


class Session(Entry):
    requests: int
    user: str


class Thread(Entry):
    comm: str
    pid: int


class Endless(source.BaseInstance):
    def next_batch(self, batch: source.EventBatch, /) -> int:
        return batch.extend(EVENTS)


class Tables(Plugin):
    """State tables, measured"""

    name = "bench-tables"
    event_source = "bench"
    extract_event_sources = ("bench", "syscall")
    sessions: Table[int, Session] = Table.new("bench_sessions")
    threads: Table[int, Thread] = Table.of("threads")

    comm = table_field("table.comm", threads, "comm", desc="A string of the event's thread")
    pid = table_field("table.pid", threads, "pid", desc="A number of the event's thread")

    @field("table.method", desc="The string of the event's thread, read by a method")
    def method(self, event: Event) -> str | None:
        thread = self.threads.get(-1)
        return thread.comm if thread else None

    def init(self) -> None:
        for number in range(1000):
            self.sessions[number] = Session(requests=number * 6, user=f"user-{number}")

    def open(self, params: str) -> source.BaseInstance:
        return Endless()
