"""Async events of one plugin that are parsed by others, in the native host: order, fields, and state made from them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.events import encode_async
from support.hosts import run_command
from support.scap import write_capture

from falco_plugin.testing import RunningPlugin, run

SENDS = '''
from falco_plugin import AsyncEvent, Event, Plugin, async_events, field, parse


class Sends(Plugin):
    """Sends the logins that it sees"""

    name = "sends"
    {source}
    extract_event_sources = ("sampled", "syscall")
    extract_event_types = ("asyncevent", "pluginevent")

    def init(self):
        self.known = []

    @async_events("login", "logout")
    def logins(self):
        yield AsyncEvent("login", b"alice", 1_700_000_000_000_000_010)
        yield AsyncEvent("login", b"bob", 1_700_000_000_000_000_020)
        yield AsyncEvent("logout", b"alice", 1_700_000_000_000_000_030)

    @async_events("login")
    def dump_state(self):
        for user in self.known:
            yield AsyncEvent("login", user.encode(), 7)

    @parse("login", "logout", sources=["sampled", "syscall"])
    def login(self, event: Event) -> None:
        if event.name == "login":
            self.known.append(event.text)
        else:
            self.known.remove(event.text)
        self.log.info("sends parsed %s of %s, number %d", event.name, event.text, event.number)

    @field("sends.known", desc="The users")
    def users(self, event: Event) -> list[str]:
        return self.known
'''
SOURCE = """event_source = "sampled"

    def open(self, params, context):
        context.wait()
        return
        yield
"""
READS = '''
from falco_plugin import Event, Plugin, field, parse


class Reads(Plugin):
    """Counts the logins that another plugin sends"""

    name = "reads"
    extract_event_sources = ("sampled", "syscall")
    extract_event_types = ("asyncevent",)

    def init(self):
        self.logins = 0

    @parse("asyncevent", sources=["sampled", "syscall"])
    def count(self, event: Event) -> None:
        self.logins += event.name == "login"
        self.log.info("reads parsed %s of %s", event.name, event.text)

    @parse("pluginevent", sources=["sampled"])
    def others(self, event: Event) -> None:
        self.log.error("parsed %s", event.name)

    @field("reads.logins", desc="How many logins there were")
    def number(self, event: Event) -> int:
        return self.logins
'''


@pytest.fixture
def reads(tmp_path: Path) -> Path:
    path = tmp_path / "reads.py"
    path.write_text(READS)
    return path


@pytest.fixture(params=[SOURCE, ""], ids=["with source", "only async events"])
def sends(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / "sends.py"
    path.write_text(SENDS.format(source=request.param))
    return path


def test_all_plugins_parse_async_events_before_fields_are_extracted(sends: Path, reads: Path) -> None:
    ran = run(sends, fields=["reads.logins", "sends.known"], plugins=[reads], limit=3, timeout=30)
    assert [dict(event.fields) for event in ran.async_events] == [
        {"reads.logins": 1, "sends.known": ["alice"]},
        {"reads.logins": 2, "sends.known": ["alice", "bob"]},
        {"reads.logins": 2, "sends.known": ["bob"]},
    ]
    parsed = [line.text for line in ran.log if " parsed " in line.text]
    assert parsed == [
        "sends parsed login of alice, number 1",
        "reads parsed login of alice",
        "sends parsed login of bob, number 2",
        "reads parsed login of bob",
        "sends parsed logout of alice, number 3",
        "reads parsed logout of alice",
    ]


def test_plugin_of_another_source_does_not_parse_async_events(sends: Path, reads: Path) -> None:
    other = READS.replace('"sampled", "syscall"', '"other",').replace('sources=["sampled"]', 'sources=["other"]')
    reads.write_text(other)
    ran = run(sends, fields=[], plugins=[reads], limit=3, timeout=30)
    assert [line.text for line in ran.log if line.text.startswith("reads parsed")] == []
    assert len(ran.async_events) == 3


def test_fields_of_other_types_are_absent_from_async_events(sends: Path, reads: Path) -> None:
    reads.write_text(READS.replace('"asyncevent",)', '"pluginevent",)'))
    options = ("--fields", "reads.logins,sends.known", "--with", reads, "--limit", "1")
    shown = run_command("run", sends, *options)
    assert shown.stdout == "2023-11-14T22:13:20.000000010Z [login] alice\treads.logins=<NA>\tsends.known=(alice)\n"
    assert "1 async event" in shown.stderr
    ran = run(sends, fields=["reads.logins"], plugins=[reads], limit=1, timeout=30)
    assert [event.fields["reads.logins"] for event in ran.async_events] == [None]


def test_state_is_made_again_from_a_capture_file(sends: Path, reads: Path, tmp_path: Path) -> None:
    live = run(sends, plugins=[reads], limit=3, timeout=30, dump_state=True)
    assert [(event.name, event.data) for event in live.state] == [("login", b"bob")]
    # A file begins with the state of the moment. Afterwards it has the events, of which the sender saw one more.
    later = [encode_async(event.name, event.data) for event in live.state] + [encode_async("login", b"carol")]
    file = write_capture(tmp_path / "later.scap", later)
    again = run(sends, fields=["sends.known", "reads.logins"], plugins=[reads], scap=file, timeout=30)
    assert again.result == "eof"
    assert [dict(event.fields) for event in again.events] == [
        {"sends.known": ["bob"], "reads.logins": 1},
        {"sends.known": ["bob", "carol"], "reads.logins": 2},
    ]
    # No handler is set for a file, so the method does not run again.
    assert again.async_events == []


def test_failed_parsing_of_an_async_event_keeps_it(sends: Path, reads: Path) -> None:
    reads.write_text(READS.replace('self.logins += event.name == "login"', 'raise ValueError("no login")'))
    with RunningPlugin(sends, plugins=[reads]) as running:
        names = [running.next_async_event(30).name for _ in range(3)]
        assert names == ["login", "login", "logout"]
        running.wait_for_log("count failed to parse an event: ValueError: no login", 30)
        assert running.stop().metrics["reads.sdk_parsing_failed"] == 3
