"""Everything that has state: parse methods, tables, async events and captures, and code that breaks their rules.

The number of an event, or the configuration, chooses an action.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress

import msgspec

from falco_plugin import (
    AsyncEvent,
    Capture,
    Context,
    Entry,
    Event,
    Plugin,
    PluginError,
    Table,
    added,
    async_events,
    field,
    parse,
    table_field,
)

PAUSE = 0.001
"""The interval of functions, and the time before a retry, in seconds."""


class BrokenError(Exception):
    """The exception of the plugin."""


class Config(msgspec.Struct):
    """The configuration."""

    action: int = 0
    sends: int = 0


class Argument(Entry):
    value: str


class Thread(Entry):
    comm: str
    uid: int
    exe_writable: bool | None
    # Entries that the plugin makes have neither: one is a table of the host, the other is read-only.
    args: Table[int, Argument] | None = None
    cwd: str | None = None
    owner: str = added()


class Text(Entry):
    size: int | None


class Session(Entry):
    user: str
    requests: int = 0
    is_known: bool = False


class State(Plugin):
    """Everything that has state"""

    name = "fuzz-state"
    extract_event_sources = ("syscall",)
    config: Config

    threads: Table[int, Thread] = Table.of("threads")
    texts: Table[str, Text] | None = Table.of("texts", optional=True)
    sessions: Table[str, Session] = Table.new("fuzz_sessions")
    numbers: Table[int, Session] = Table.new("fuzz_numbers")

    comm = table_field("fuzz.comm", threads, "comm", desc="A table of the host")
    uid = table_field("fuzz.uid", threads, "uid", desc="A table of the host")
    owner = table_field("fuzz.owner", threads, "owner", desc="An added field")
    requests = table_field("fuzz.requests", numbers, "requests", desc="An own table")

    @field("fuzz.exe", desc="A parameter")
    def exe(self, event: Event) -> str | None:
        return event.params.get("exe")

    user = table_field("fuzz.user", sessions, "user", key=exe, desc="An own table with the value of a field as its key")
    size = table_field("fuzz.size", texts, "size", key=exe, desc="An optional table")

    @field("fuzz.done", desc="The result of an action")
    def done(self, event: Event) -> str:
        return self.act(event.number, event)

    def init(self) -> None:
        self.kept: list[object] = []
        self.act(self.config.action, None)

    def destroy(self) -> None:
        self.use_kept_objects()

    @parse("execve", "execveat", "openat", "connect", "accept4", "setsockopt", "poll", "clone", "pluginevent")
    def read_params(self, event: Event) -> None:
        params = event.params
        assert len(params) == len(list(params)) == len(params.values())
        for position, name in enumerate(params):
            assert name in params
            assert params.get(position) == name
            params.raw(position)
        str(dict(params))
        _ = event.name, event.thread_id, event.data, event.text, event.source, event.timestamp
        if "exe" in params and (thread := self.threads.get(event.thread_id or 0)):
            thread.owner = str(params["exe"])
            self.sessions[thread.comm] = Session(user=thread.owner)

    @parse("execve", "close", "asyncevent")
    def act_on_event(self, event: Event) -> None:
        self.act(event.number, event)

    def act(self, number: int, event: Event | None) -> str:
        """Performs an action, or several."""
        text = ""
        while number:
            number, action = divmod(number, 16)
            text += str(ACTIONS[action](self, event))
        return text

    # Actions

    def nothing(self, event: Event | None) -> str:
        return ""

    def fail(self, event: Event | None) -> None:
        raise BrokenError("broken \0 \ud800")

    def exit(self, event: Event | None) -> None:
        raise SystemExit(1)

    def keep_objects(self, event: Event | None) -> int:
        """Keeps what is valid during the call only."""
        thread = self.threads.get(1)
        self.kept += [event, event and event.params, thread, thread and thread.args, self.sessions.get("a")]
        self.kept += [*self.threads.values(), self.threads.get(7)]
        return len(self.kept)

    def use_kept_objects(self, event: Event | None = None) -> str:
        kept, self.kept = self.kept, []
        used: list[str] = []
        for value in kept:
            try:
                match value:
                    case Event():
                        used.append(f"{value.name} {value.data!r}")
                    case Thread():
                        value.owner = value.comm
                    case Session():
                        value.requests += 1
                    case Table():
                        used.append(f"{[argument.value for argument in value.values()]}")
                    case _:
                        used.append(repr(value))
            except PluginError as error:
                used.append(str(error))
        return ", ".join(used)

    def use_elsewhere(self, event: Event | None) -> None:
        """Uses tables on another thread while the call runs."""
        self.keep_objects(event)
        thread = threading.Thread(target=self.use_tables_elsewhere)
        thread.start()
        thread.join()

    def use_tables_elsewhere(self) -> None:
        self.use_kept_objects()
        self.change_own()
        with suppress(PluginError):
            self.threads.values()

    def read_threads(self, event: Event | None) -> str:
        found = [
            (thread.comm, thread.uid, thread.exe_writable, thread.cwd, thread.owner) for thread in self.threads.values()
        ]
        assert len(found) <= 16
        return repr(found)

    def read_arguments(self, event: Event | None) -> list[str]:
        thread = self.threads[1]
        arguments = thread.args
        assert arguments is not None
        values = [argument.value for argument in arguments.values()]
        return values + [arguments[index].value for index in range(len(arguments)) if index in arguments]

    def write_threads(self, event: Event | None) -> None:
        thread = self.threads[1]
        thread.comm, thread.uid, thread.owner = "written", 7, "owner"
        thread.exe_writable = True
        if arguments := self.threads[2].args:
            arguments[0].value = "written"

    def add_threads(self, event: Event | None) -> None:
        self.threads[3] = Thread(comm="added", uid=3, exe_writable=False, owner="added")
        entry = self.threads.setdefault(1, Thread(comm="default", uid=1))
        self.threads[1] = Thread(comm="replaced", uid=2)
        entry.uid += 1

    def remove_threads(self, event: Event | None) -> None:
        thread = self.threads.get(2)
        del self.threads[2]
        if thread:
            thread.comm = "removed"

    def clear_threads(self, event: Event | None) -> None:
        thread = self.threads.get(1)
        self.threads.clear()
        if thread and thread.args:
            thread.args.get(0)

    def use_texts(self, event: Event | None) -> int | None:
        if self.texts is None:
            return None
        self.texts["x"] = Text(size=len(self.texts))
        return self.texts["x"].size

    def change_own(self, event: Event | None = None) -> int:
        self.sessions["a"] = Session(user="a", requests=1)
        self.numbers[1] = Session(user="one", requests=-1)
        session = self.sessions.setdefault("b", Session(user="b"))
        session.requests += len(self.sessions) + len(self.numbers)
        self.sessions["c"] = session
        for key, entry in self.sessions.items():
            entry.user += str(key in self.sessions)
        requests = session.requests
        del self.sessions["c"]
        return requests

    def clear_own(self, event: Event | None) -> None:
        session = self.sessions.get("a")
        for _ in self.sessions:
            self.sessions.clear()
        self.numbers.clear()
        if session:
            session.requests += 1

    # Async events

    @async_events("one", "two", retry=PAUSE)
    def send_changes(self, context: Context) -> Iterator[AsyncEvent]:
        for number in range(self.config.sends % 64):
            try:
                yield AsyncEvent("two" if number % 2 else "one", b"x" * number)
            except PluginError:
                self.change_own()
        if self.config.sends & 64:
            self.use_tables_elsewhere()
        if self.config.sends & 128:
            raise BrokenError("send_changes")
        context.wait()

    @async_events("three")
    async def send_more(self) -> AsyncIterator[bytes]:
        for number in range(self.config.sends % 8):
            yield b"%d" % number

    @async_events("state")
    def dump_state(self) -> Iterator[AsyncEvent]:
        for key, session in self.sessions.items():
            yield AsyncEvent("state", f"{key} {session.requests}".encode("utf-8", "replace"))
        self.act(self.config.action, None)
        yield AsyncEvent("one", b"")

    # Captures

    def capture_open(self, capture: Capture) -> None:
        capture.every(PAUSE, self.use_tables_elsewhere)
        capture.every(PAUSE, lambda: self.fail(None))
        self.act(self.config.action, None)

    def capture_close(self, capture: Capture) -> None:
        self.act(self.config.action, None)
        self.use_kept_objects()


ACTIONS: list[Callable[[State, Event | None], object]] = [
    State.nothing,
    State.fail,
    State.exit,
    State.keep_objects,
    State.use_kept_objects,
    State.use_elsewhere,
    State.read_threads,
    State.read_arguments,
    State.write_threads,
    State.add_threads,
    State.remove_threads,
    State.clear_threads,
    State.use_texts,
    State.change_own,
    State.clear_own,
    State.nothing,
]
