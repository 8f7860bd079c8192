"""Capture files in the native host: plugins that parse system calls, and offer fields of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.events import CLOSE, encode_async, encode_event, encode_execve, encode_raw
from support.scap import CAPTURES, write_capture

from falco_plugin.testing import RunError, collect, run

PROGRAMS = '''
from falco_plugin import Event, Plugin, field, parse


class Programs(Plugin):
    """The program of each thread"""

    name = "programs"
    extract_event_sources = ("syscall",)

    def init(self):
        self.programs = {}
        self.seen = 0

    @parse("execve")
    def executed(self, event: Event) -> None:
        self.programs[event.thread_id] = event.params["exe"]

    @parse("asyncevent", sources=["syscall"])
    def other(self, event: Event) -> None:
        self.log.info("saw %s: %s", event.name, event.text)

    @field("programs.current", desc="The program of the thread")
    def current(self, event: Event) -> str | None:
        return self.programs.get(event.thread_id)
'''
COUNTS = '''
from falco_plugin import Event, Plugin, field, parse


class Counts(Plugin):
    """Numbers of events"""

    name = "counts"
    extract_event_sources = ("syscall",)
    extract_event_types = ("close",)
    closed = 0

    @parse("close")
    def close(self, event: Event) -> None:
        self.closed += 1

    @field("counts.closed", desc="How many descriptors were closed")
    def number(self, event: Event) -> int:
        return self.closed
'''


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    path = tmp_path / "programs.py"
    path.write_text(PROGRAMS)
    return path


@pytest.fixture
def counts(tmp_path: Path) -> Path:
    path = tmp_path / "counts.py"
    path.write_text(COUNTS)
    return path


@pytest.mark.parametrize("is_compressed", [False, True])
def test_plugins_parse_and_extract_in_load_order(
    programs: Path, counts: Path, tmp_path: Path, is_compressed: bool
) -> None:
    events = [
        encode_execve("/bin/ls", thread_id=1),
        encode_execve("/bin/cat", "-n", thread_id=2),
        encode_raw(CLOSE, [bytes(8)], thread_id=1),
        encode_raw(CLOSE, [bytes(8)], thread_id=3),
    ]
    capture = write_capture(tmp_path / "small.scap", events, is_compressed=is_compressed)
    found = collect(programs, scap=capture, plugins=[counts])
    assert [event.name for event in found] == ["execve", "execve", "close", "close"]
    assert [event.thread_id for event in found] == [1, 2, 1, 3]
    assert found[1].params["args"] == ["-n"]
    assert [event.fields["programs.current"] for event in found] == ["/bin/ls", "/bin/cat", "/bin/ls", None]
    assert [event.fields["counts.closed"] for event in found] == [None, None, 1, 2]
    assert {event.source for event in found} == {"syscall"}


def test_async_events_of_a_capture_are_parsed(programs: Path, tmp_path: Path) -> None:
    events = [
        encode_async("changed", b"data"),
        encode_async("foreign", b"data", plugin_id=7),
        encode_event(b"payload", 5, 7),
    ]
    ran = run(programs, scap=write_capture(tmp_path / "async.scap", events))
    assert [line.text for line in ran.log] == ["saw changed: data"]
    assert [(event.name, event.source) for event in ran.events] == [
        ("changed", "syscall"),
        ("foreign", "unknown"),
        ("pluginevent", "unknown"),
    ]


def test_damaged_capture_is_the_error_with_its_offset(programs: Path, tmp_path: Path) -> None:
    capture = write_capture(tmp_path / "cut.scap", [encode_execve("/bin/ls")])
    capture.write_bytes(capture.read_bytes()[:-3])
    ran = run(programs, scap=capture)
    assert (ran.result, ran.error) == ("failure", f"{capture}: the file ends within the block at offset 40")
    with pytest.raises(RunError, match="cannot open"):
        collect(programs, scap=tmp_path / "missing.scap")


@pytest.mark.skipif(not CAPTURES.is_dir(), reason="the captures of Falco's regression tests are not there")
@pytest.mark.parametrize("capture", sorted(CAPTURES.glob("*.scap")), ids=lambda path: path.stem)
def test_real_captures_are_read(programs: Path, counts: Path, capture: Path) -> None:
    found = collect(programs, scap=capture, plugins=[counts], timeout=60)
    assert len(found) > 300
    assert {event.thread_id for event in found} > {None} or len({event.thread_id for event in found}) > 1
    for event in found:
        assert len(event.params.items()) == len(event.params)
        if event.name == "execve" and "exe" in event.params:
            assert event.fields["programs.current"] == event.params["exe"]


@pytest.mark.skipif(not CAPTURES.is_dir(), reason="the captures of Falco's regression tests are not there")
@pytest.mark.parametrize("capture", sorted(CAPTURES.glob("*.scap")), ids=lambda path: path.stem)
def test_real_captures_fill_the_table_of_threads(programs: Path, capture: Path) -> None:
    ran = run(programs, scap=capture, tables=["threads"], timeout=60)
    assert ran.result == "eof", str(ran)
    threads = {entry.key: entry.fields for entry in ran.tables["threads"]}
    assert len(threads) > 50
    assert threads[1]["comm"] in ("systemd", "init")
    for tid, thread in threads.items():
        assert thread["tid"] == tid
        assert thread["comm"]
    files = [file["fields"]["name"] for file in threads[1]["file_descriptors"]]
    assert "/dev/null" in files
