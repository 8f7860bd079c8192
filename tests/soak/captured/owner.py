"""The first plugin of the captures: it owns a table, sends async events, and describes the interpreter."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

from falco_plugin import (
    AsyncEvent,
    Capture,
    Context,
    Counter,
    Entry,
    Event,
    Gauge,
    OpenParam,
    Plugin,
    PluginError,
    Table,
    added,
    async_events,
    field,
    parse,
    table_field,
)

from .state import measure


class RequestedError(Exception):
    """An exception that the plugin raises on purpose."""


class Argument(Entry):
    value: str


class Thread(Entry):
    comm: str
    args: Table[int, Argument]
    owner: str = added()


class Session(Entry):
    program: str
    events: int = 0


class Owner(Plugin):
    """Owns a table"""

    name = "captures-owner"
    event_source = "captures"
    extract_event_sources = ("syscall",)

    threads: Table[int, Thread] = Table.of("threads")
    sessions: Table[int, Session] = Table.new("captures_sessions")
    parsed = Counter("parsed", desc="Parsed events")
    rounds = Counter("rounds", desc="Calls of the routine")

    owner = table_field("captures.owner", threads, "owner", desc="A table of the host")
    events = table_field("captures.events", sessions, "events", desc="An own table")

    @Gauge.computed("size", desc="Entries of the own table", every=0.05)
    def size(self) -> int:
        return len(self.sessions)

    @parse("execve", "close")
    def count(self, event: Event) -> None:
        self.parsed.add()
        key = event.thread_id or 0
        session = self.sessions.setdefault(key, Session(program=str(event.params.get("exe"))))
        session.events += 1
        if event.number % 64 == 0:
            raise RequestedError

    @parse("execve")
    def own(self, event: Event) -> None:
        thread = self.threads.get(event.thread_id or 0)
        if thread is not None:
            thread.owner = f"{thread.comm} {[argument.value for argument in thread.args.values()]}"
            self.kept.append(thread)

    @field("captures.kept", desc="Whether the entry of an earlier event can be used")
    def is_kept(self, event: Event) -> bool:
        try:
            return any(thread.comm for thread in self.kept)
        except PluginError:
            self.kept.clear()
            return False

    @async_events("changed", sources=["syscall"], retry=0.001)
    def changes(self, context: Context) -> Iterator[AsyncEvent]:
        for number in itertools.count():
            yield AsyncEvent("changed", b"%d" % number)
            self.sessions[-1 - number % 8] = Session(program="sent", events=number)
            if context.wait(0.0005):
                return
            if random.random() < 1 / 64:
                raise RequestedError

    @async_events("counted", sources=["syscall"])
    async def counts(self) -> AsyncIterator[bytes]:
        for number in range(500):
            yield b"%d" % number

    @async_events("state", sources=["syscall"])
    def dump_state(self) -> Iterator[AsyncEvent]:
        for key, session in self.sessions.items():
            yield AsyncEvent("state", f"{key} {session.events}".encode(), 1)

    def init(self) -> None:
        self.kept: list[Thread] = []

    def capture_open(self, capture: Capture) -> None:
        capture.every(0.002, self.tidy)
        capture.every(0.002, self.fail)

    def capture_close(self, capture: Capture) -> None:
        assert self.threads[1].comm
        if len(self.sessions) > 200:
            self.sessions.clear()

    def tidy(self) -> None:
        self.rounds.add()
        for key in list(self.sessions)[64:]:
            if key in self.sessions:
                self.remove(key)

    def remove(self, key: int) -> None:
        with suppress(KeyError):
            del self.sessions[key]

    def fail(self) -> None:
        raise RequestedError

    def open(self, params: str) -> list[bytes]:
        return []

    def list_open_params(self) -> list[OpenParam]:
        """Returns the measured counts as a parameter, because a host can read nothing else that is not an event."""
        return [OpenParam(json.dumps(measure()), "counts of the interpreter")]
