"""Methods that parse events and change tables: those of the host, of the plugin itself, and of another plugin."""

from __future__ import annotations

import textwrap
from pathlib import Path

from falco_plugin.testing import run

OWNER = """
from falco_plugin import Entry, Event, Plugin, Table, field

class Session(Entry):
    user: str
    requests: int = 0

class Owner(Plugin):
    name = "owner"
    sessions: Table[str, Session] = Table.new("owner_sessions")

    @field("owner.count", desc="x")
    def count(self, event: Event) -> int:
        return len(self.sessions)

    def open(self, params):
        self.sessions["eve"] = Session(user="eve")
        for number in range(3):
            yield b'{"user": "eve", "tid": %d}' % number
"""

PARSER = """
from falco_plugin import Entry, Event, Plugin, Table, added, field, json_field, parse, table_field

class Thread(Entry):
    comm: str
    owner: str = added()

class Session(Entry):
    user: str
    requests: int

class Parser(Plugin):
    name = "parser"
    extract_event_sources = ("owner", "syscall")
    threads: Table[int, Thread] = Table.of("threads")
    sessions: Table[str, Session] = Table.of("owner_sessions")
    user = json_field("parser.user", "/user", desc="x")
    requests = table_field("parser.requests", sessions, "requests", key=user, desc="x")
    owner = table_field("parser.owner", threads, "owner", desc="The owner of the event's thread")
    kept = None

    @parse("pluginevent")
    def count(self, event: Event) -> None:
        session = self.sessions[event.json["user"]]
        session.requests += 1
        tid = event.json["tid"]
        if thread := self.threads.get(tid):
            thread.owner = f"{thread.comm} of {session.user}"
        else:
            self.threads[tid] = Thread(comm="new")
        # The events of sources belong to no thread, whose id the host passes as -1.
        self.threads.setdefault(-1, Thread(comm="none")).owner = f"owner {session.requests}"
        if self.kept is not None:
            self.kept.requests = 100
        if tid == 2:
            self.kept = session
            del self.threads[0]
"""


def test_parse_method_changes_tables_before_fields_are_extracted(tmp_path: Path) -> None:
    first, second = tmp_path / "owner.py", tmp_path / "parser.py"
    first.write_text(OWNER)
    second.write_text(textwrap.dedent(PARSER))
    contents = {"threads": [{"tid": 1, "comm": "bash"}]}
    ran = run(first, plugins=[second], tables=["threads", "owner_sessions"], table_contents=contents)
    assert ran.result == "eof", str(ran)
    assert [event.fields["parser.requests"] for event in ran.events] == [1, 2, 3]
    assert [event.fields["parser.owner"] for event in ran.events] == ["owner 1", "owner 2", "owner 3"]
    threads = {entry.key: (entry.fields["comm"], entry.fields["owner"]) for entry in ran.tables["threads"]}
    assert threads == {-1: ("none", "owner 3"), 1: ("bash", "bash of eve"), 2: ("new", "")}
    (session,) = ran.tables["owner_sessions"]
    assert session.fields == {"user": "eve", "requests": 3}
    assert not ran.log, ran.log
