"""Tables in built libraries: those of the host, of the plugin itself, and of another plugin."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from falco_plugin.testing import Run, run

HEADER = """
    from falco_plugin import Entry, Event, Plugin, Table, added, field, json_field, table_field

    class Argument(Entry):
        value: str

    class Descriptor(Entry):
        name: str
        fd: int

    class Thread(Entry):
        tid: int
        comm: str
        uid: int
        exe_writable: bool
        args: Table[int, Argument]
        file_descriptors: Table[int, Descriptor]
        cwd: str
        owner: str = added()

    class Session(Entry):
        user: str
        requests: int = 1
        is_known: bool = False
"""

OWNER = """
    class Owner(Plugin):
        name = "owner"
        sessions: Table[str, Session] = Table.new("owner_sessions")

        @field("owner.count", desc="The number of sessions")
        def count(self, event: Event) -> int:
            return len(self.sessions)

        def open(self, params):
            self.sessions["eve"] = Session(user="eve", requests=7, is_known=True)
            self.sessions["bob"] = Session(user="bob")
            for number in range(int(params or 3)):
                yield b'{"user": "eve", "tid": %d}' % number
"""

CONTENTS = {
    "threads": [
        {
            "tid": 1,
            "comm": "bash",
            "uid": 1000,
            "exe_writable": True,
            "cwd": "/root",
            "args": ["-c", "ls"],
            "file_descriptors": [{"fd": 3, "name": "/etc/passwd"}],
        },
        {"tid": 2, "comm": "sshd"},
    ]
}


@pytest.fixture
def play(tmp_path: Path):
    """Returns a function that runs the owner, and a second plugin with its tables and methods."""

    def play(body: str, *, owner: str = OWNER, **options) -> Run:
        first, second = tmp_path / "owner.py", tmp_path / "reader.py"
        first.write_text(textwrap.dedent(HEADER) + textwrap.dedent(owner))
        second.write_text(textwrap.dedent(HEADER) + textwrap.dedent(body))
        return run(first, plugins=[second], table_contents=CONTENTS, **options)

    return play


def values(ran: Run, field: str) -> list:
    assert ran.result == "eof", str(ran)
    return [event.fields[field] for event in ran.events]


def test_fields_read_the_threads_of_the_host(play):
    ran = play(
        """
        class Reader(Plugin):
            name = "reader"
            threads: Table[int, Thread] = Table.of("threads")

            @field("reader.thread", desc="A thread")
            def thread(self, event: Event) -> str | None:
                thread = self.threads.get(event.json["tid"])
                if thread is None:
                    return None
                arguments = [thread.args[index].value for index in range(len(thread.args))]
                names = {entry.fd: entry.name for entry in thread.file_descriptors.values()}
                return f"{thread.comm} {thread.uid} {thread.exe_writable} {thread.cwd} {arguments} {names}"

            @field("reader.count", desc="The number of threads")
            def count(self, event: Event) -> int:
                assert 1 in self.threads and 9 not in self.threads
                return len(self.threads) + len(self.threads.values())
        """
    )
    assert values(ran, "reader.thread") == [
        None,
        "bash 1000 True /root ['-c', 'ls'] {3: '/etc/passwd'}",
        "sshd 0 False  [] {}",
    ]
    assert values(ran, "reader.count") == [4, 4, 4]
    assert not ran.log, "each entry was released"


def test_init_changes_tables_of_others(play):
    ran = play(
        """
        class Reader(Plugin):
            name = "reader"
            threads: Table[int, Thread] = Table.of("threads")
            sessions: Table[str, Session] = Table.of("owner_sessions")

            def init(self) -> None:
                self.threads[1].owner = "eve"
                copy = self.threads.values()[0]
                assert copy.comm == "bash" and copy.owner == "eve"
                for action, message in [
                    (lambda: setattr(copy, "comm", "x"), "are copies"),
                    (lambda: copy.args, "are not part of the entries"),
                    (lambda: setattr(self.threads[1], "cwd", "/"), "read-only"),
                    (lambda: self.threads.keys(), "cannot be listed"),
                    (lambda: self.threads.__delitem__(9), "9"),
                    (lambda: self.sessions[1], "must be str, got int"),
                    (lambda: setattr(self.threads[1], "uid", -1), "must be 0 to 4294967295"),
                    (lambda: setattr(self.threads[1], "args", self.threads[1].args), "Thread.args is a sub-table"),
                ]:
                    try:
                        action()
                    except Exception as error:
                        assert message in str(error), error
                    else:
                        raise AssertionError(message)
                del self.threads[2]
                self.sessions["mallory"] = Session(user="m")
                self.sessions["mallory"].requests += 5
                assert self.sessions.setdefault("mallory", Session(user="other")).user == "m"

            @field("reader.owner", desc="The owner")
            def owner(self, event: Event) -> str | None:
                thread = self.threads.get(event.json["tid"])
                return thread and thread.owner
        """,
        tables=["threads", "owner_sessions"],
    )
    assert values(ran, "reader.owner") == [None, "eve", None]
    (thread,) = ran.tables["threads"]
    assert (thread.key, thread.fields["comm"], thread.fields["owner"]) == (1, "bash", "eve")
    sessions = {entry.fields["user"]: entry.fields["requests"] for entry in ran.tables["owner_sessions"]}
    assert sessions == {"eve": 7, "bob": 1, "m": 6}
    assert not ran.log, ran.log


def test_new_entries_have_no_subtables_and_no_read_only_fields(play):
    ran = play(
        """
        class New(Entry):
            comm: str
            args: Table[int, Argument] | None = None
            cwd: str | None = None

        class Reader(Plugin):
            name = "reader"
            threads: Table[int, New] = Table.of("threads")

            def init(self) -> None:
                old = self.threads[1]
                for wrong, message in [
                    (New(comm="x", cwd="/"), "New.cwd is read-only in the table threads, so new entries"),
                    (New(comm="x", args=old.args), "New.args is a sub-table, which cannot be set: change the entries"),
                ]:
                    try:
                        self.threads[3] = wrong
                    except TypeError as error:
                        assert message in str(error), error
                    else:
                        raise AssertionError(message)
                self.threads[3] = New(comm="made")
                self.threads[4] = old

            @field("reader.thread", desc="The values of a new entry")
            def thread(self, event: Event) -> str:
                made, copied = self.threads[3], self.threads[4]
                return f"{made.comm}{made.cwd} {len(made.args)}, {copied.comm}{copied.cwd} {len(copied.args)}"
        """
    )
    assert values(ran, "reader.thread") == ["made 0, bash 0"] * 3


def test_listening_plugin_changes_tables_of_others(play):
    ran = play(
        """
        class Reader(Plugin):
            name = "reader"
            threads: Table[int, Thread] = Table.of("threads")

            def capture_open(self, capture) -> None:
                self.threads[1].owner = "opened"

            def capture_close(self, capture) -> None:
                self.threads[1].comm = self.threads[1].owner + " and closed"

            @field("reader.owner", desc="x")
            def owner(self, event: Event) -> str:
                return self.threads[1].owner
        """,
        tables=["threads"],
    )
    assert values(ran, "reader.owner") == ["opened"] * 3
    assert ran.tables["threads"][0].fields["comm"] == "opened and closed"
    assert not ran.log, ran.log


def test_table_field_needs_no_method(play):
    ran = play(
        """
        class Reader(Plugin):
            name = "reader"
            extract_event_sources = ("owner", "syscall")
            sessions: Table[str, Session] = Table.of("owner_sessions")
            own: Table[int, Session] = Table.new("reader_own")
            absent: Table[int, Session] | None = Table.of("no_table", optional=True)
            user = json_field("reader.user", "/user", desc="The user")
            tid = json_field("reader.tid", "/tid", type=int, desc="The thread")
            requests = table_field("reader.requests", sessions, "requests", key=user, desc="x")
            is_known = table_field("reader.is_known", sessions, "is_known", key=user, desc="x")
            name_of = table_field("reader.own.name", own, "user", key=tid, desc="x")
            nothing = table_field("reader.nothing", absent, "user", key=tid, desc="x")
            by_thread = table_field("reader.by_thread", own, "user", desc="x")

            def init(self) -> None:
                assert self.absent is None
                self.own[1] = Session(user="one", requests=-1)
        """
    )
    assert values(ran, "reader.requests") == [7, 7, 7]
    assert values(ran, "reader.is_known") == [True, True, True]
    assert values(ran, "reader.own.name") == [None, "one", None]
    assert values(ran, "reader.nothing") == values(ran, "reader.by_thread") == [None, None, None]


def test_entry_does_not_outlive_its_call(play):
    ran = play(
        """
        class Reader(Plugin):
            name = "reader"
            threads: Table[int, Thread] = Table.of("threads")
            kept = None

            @field("reader.kept", desc="x")
            def read(self, event: Event) -> str:
                if self.kept is None:
                    self.kept = self.threads[1]
                    self.arguments = self.kept.args
                    self.first = self.arguments[0]
                    return self.first.value
                messages = []
                for action in (lambda: self.kept.comm, lambda: self.arguments[0], lambda: self.first.value):
                    try:
                        action()
                    except Exception as error:
                        messages.append(f"{type(error).__name__}: {error}"[:60])
                return ", ".join(messages)
        """
    )
    first, second, third = values(ran, "reader.kept")
    assert first == "-c"
    assert second == third
    assert second.count("PluginError: ") == 3
    assert "was read during an earlier call" in second


def test_entries_stay_apart_if_they_are_held(play):
    ran = play(
        """
        class Reader(Plugin):
            name = "reader"
            threads: Table[int, Thread] = Table.of("threads")

            @field("reader.names", desc="Names of threads")
            def names(self, event: Event) -> str:
                first, second = self.threads[1], self.threads[2]
                names = [second.comm, first.comm]
                del first, second
                names += [self.threads[number].comm for number in (1, 2, 2, 1)]
                held = [self.threads[number] for number in (2, 1, 2)]
                self.threads.values()
                return " ".join(names + [thread.comm for thread in held])
        """
    )
    assert values(ran, "reader.names") == ["sshd bash bash sshd sshd bash sshd bash sshd"] * 3
    assert not ran.log, "each entry was released"


@pytest.mark.parametrize("slots", ["'note',", "'note', '__weakref__'", "'__dict__',"])
def test_entry_does_not_have_the_attributes_of_another(play, slots):
    ran = play(
        f"""
        class Noted(Entry):
            __slots__ = ({slots})
            comm: str

        class Reader(Plugin):
            name = "reader"
            threads: Table[int, Noted] = Table.of("threads")

            @field("reader.notes", desc="Whether an entry has the note of another")
            def notes(self, event: Event) -> bool:
                self.threads[1].note = "a note"
                return hasattr(self.threads[2], "note")
        """
    )
    assert values(ran, "reader.notes") == [False] * 3


def test_fields_cannot_change_tables_of_others(play):
    ran = play(
        """
        class Reader(Plugin):
            name = "reader"
            threads: Table[int, Thread] = Table.of("threads")

            @field("reader.write", desc="x")
            def write(self, event: Event) -> str:
                self.threads[1].comm = "changed"
                return "changed"
        """
    )
    assert values(ran, "reader.write") == [None, None, None]
    assert "hosts let fields only read tables" in ran.log[0].text


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        (
            'other: Table[int, Thread] = Table.of("other")',
            "there is no table other (existing tables: owner_sessions (string), threads (int64)): load the plugin that "
            "has it before this one, or declare it with optional=True",
        ),
        ('threads: Table[str, Thread] = Table.of("threads")', "have the type int64, but they are declared as str"),
        (
            'threads: Table[int, Wrong] = Table.of("threads")',
            "the table threads has no field no_such_field (existing fields: args",
        ),
        (
            'threads: Table[int, Typed] = Table.of("threads")',
            "the field comm of the table threads has the type string, but",
        ),
        (
            'own: Table[int, Session] = Table.new("owner_sessions")',
            "adding the table owner_sessions failed: table added",
        ),
        (
            'fds: Table[int, Nested] = Table.of("threads")',
            "the table threads.args has no field no_such_field (existing fields: value",
        ),
        (
            'threads: Table[int, Thread] = Table.of("thread")',
            "threads (int64)): did you mean threads? load the plugin",
        ),
        (
            'threads: Table[int, Misspelt] = Table.of("threads")',
            "did you mean file_descriptors? declare it as a sub-table | None",
        ),
    ],
)
def test_init_names_what_is_missing(play, declaration, message):
    ran = play(
        f"""
        class Wrong(Entry):
            no_such_field: str

        class Typed(Entry):
            comm: int

        class Nested(Entry):
            args: Table[int, Wrong]

        class Misspelt(Entry):
            file_descriptor: Table[int, Descriptor]

        class Reader(Plugin):
            name = "reader"
            {declaration}

            @field("reader.x", desc="x")
            def x(self, event: Event) -> str:
                return ""
        """
    )
    assert ran.result == "failure"
    assert message in ran.error


def test_optional_field_is_none(play):
    ran = play(
        """
        class Partial(Entry):
            comm: str
            future: str | None

        class Reader(Plugin):
            name = "reader"
            threads: Table[int, Partial] = Table.of("threads")

            def init(self) -> None:
                try:
                    self.threads[1].future = "x"
                except AttributeError as error:
                    assert "does not have the field" in str(error)

            @field("reader.future", desc="x")
            def future(self, event: Event) -> str:
                return f"{self.threads[1].future} {self.threads[1]!r}"
        """
    )
    assert values(ran, "reader.future") == ["None Partial(comm='bash', future=None)"] * 3


def test_run_without_a_named_table_is_refused(play):
    ran = play(
        """
        class Reader(Plugin):
            name = "reader"

            @field("reader.x", desc="x")
            def x(self, event: Event) -> str:
                return ""
        """,
        tables=["no_table"],
    )
    assert ran.error == "there is no table no_table to show (tables: threads, owner_sessions)"
