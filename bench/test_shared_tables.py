"""A plugin of the Rust SDK and one of this SDK read and change each other's tables, in the native host."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench import libraries

from falco_plugin.testing import Run, run

SOURCE = """
from falco_plugin import Plugin

class Source(Plugin):
    name = event_source = "source"

    def open(self, params):
        return [b"event"] * 3
"""

OURS = """
from falco_plugin import Entry, Event, Plugin, Table, field

class Session(Entry):
    user: str
    requests: int = 1

class Ours(Plugin):
    name = "ours"
    sessions: Table[str, Session] = Table.new("ours_sessions")
    peer: Table[str, Session] | None = Table.of("peer_sessions", optional=True)

    def init(self) -> None:
        self.sessions["eve"] = Session(user="eve")
        self.sessions["mallory"] = Session(user="mallory")

    def capture_open(self, capture) -> None:
        if self.peer is not None:
            captures = self.peer["captures"]
            # The entry is obtained once, because the Rust SDK locks it until it is released.
            assert self.peer["captures"].requests == captures.requests == 1
            captures.requests += 1000
            captures.user = f"{captures.user} and Python"
            for number in range(3):
                self.peer[str(number)] = Session(user="ours", requests=number)
            del self.peer["1"]

    def capture_close(self, capture) -> None:
        self.sessions["closed"] = Session(user="closed")

    @field("ours.peer", desc="The users and requests in the peer's table")
    def read_peer(self, event: Event) -> list[str]:
        if self.peer is None:
            return []
        assert len(self.peer) == len(self.peer.values())
        assert "captures" in self.peer and "1" not in self.peer
        return sorted(f"{entry.user} {entry.requests}" for entry in self.peer.values())
"""


def share(folder: Path, *, ours_first: bool) -> Run:
    """Runs a source, and after it both plugins in one of the two orders: a table is there for those that come later."""
    peer = libraries.build(["rust-tables"])["rust-tables"]
    source, ours = folder / "source.py", folder / "ours.py"
    source.write_text(SOURCE)
    ours.write_text(OURS)
    others = [ours, peer] if ours_first else [peer, ours]
    ran = run(
        source,
        plugins=others,
        fields=["ours.peer", "peer.requests"],
        tables=["ours_sessions", "peer_sessions"],
        timeout=60,
    )
    assert ran.result == "eof", str(ran)
    assert not ran.log, "each entry was released"
    return ran


@pytest.mark.extended
def test_rust_plugin_changes_our_table(tmp_path: Path) -> None:
    ran = share(tmp_path, ours_first=True)
    assert [event.fields["peer.requests"] for event in ran.events] == [101, 101, 101]
    sessions = {entry.fields["user"]: entry.fields for entry in ran.tables["ours_sessions"]}
    assert set(sessions) == {"eve", "rust", "closed"}
    assert sessions["eve"] == {"user": "eve", "requests": 101, "note": "written by Rust"}
    assert sessions["closed"]["note"] == ""


@pytest.mark.extended
def test_our_plugin_changes_the_table_of_rust(tmp_path: Path) -> None:
    ran = share(tmp_path, ours_first=False)
    expected = ["ours 0", "ours 2", "rust and Python 1001"]
    assert [event.fields["ours.peer"] for event in ran.events] == [expected] * 3
    assert [event.fields["peer.requests"] for event in ran.events] == [None] * 3
    assert {entry.fields["user"] for entry in ran.tables["peer_sessions"]} == {"ours", "rust and Python"}
