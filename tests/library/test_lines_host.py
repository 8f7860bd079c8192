"""Sources that read the lines of files, in the native host."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from falco_plugin import Plugin
from falco_plugin.testing import RunningPlugin, collect, run


def append(path, data):
    with path.open("ab") as file:
        file.write(data)


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "app.log"
    path.write_bytes(b"one\n\ntwo\r\n\xff\x00\nlast")
    return path


class Lines(Plugin):
    """Yields the lines of the file that the open parameters name"""

    name = event_source = "lines"

    def open(self, params):
        from falco_plugin import source

        return source.LinesInstance(params)


class Followed(Plugin):
    """Follows a file, and continues at the cursor of the last run"""

    name = event_source = "followed"

    def open(self, params):
        from pathlib import Path

        from falco_plugin import source

        cursor = Path(f"{params}.cursor")
        lines = source.LinesInstance(
            params,
            follow=True,
            timestamp="/time",
            event_size=100,
            start=cursor.read_text() if cursor.exists() else 0,
            close=lambda: cursor.write_text(lines.cursor or ""),
        )
        return lines


def test_library_delivers_lines_and_ends(log):
    events = collect(Lines, str(log))
    assert [event.data for event in events] == [b"one", b"", b"two", b"\xff\x00", b"last"]


def test_missing_file_fails_open():
    ran = run(Lines, "/nonexistent/app.log")
    assert (ran.result, ran.events) == ("failure", [])
    assert "FileNotFoundError: [Errno 2] No such file or directory: '/nonexistent/app.log'" in ran.error


def test_library_follows_file_from_its_cursor(tmp_path, start_plugin):
    log = tmp_path / "log"
    running = start_plugin(Followed, str(log))
    running.wait_for_log(f"{log} does not exist; waiting for it")
    log.write_bytes(b'{"time": 1}\n')
    event = running.next_event()
    assert (event.data, event.timestamp) == (b'{"time": 1}', 1_000_000_000)
    append(log, b"x" * 1000 + b"\n")
    assert running.next_event().data == b"x" * 100
    running.wait_for_log("the line at byte 12 is longer")
    log.rename(tmp_path / "old")
    append(tmp_path / "old", b"late\n")
    assert running.next_event().data == b"late"
    log.write_bytes(b"new\n")
    assert running.next_event().data == b"new"
    assert running.stop().result == "interrupted"
    append(log, b"newer\n")
    again = start_plugin(Followed, str(log))
    lines = [again.next_event().data]
    if lines == [b"new"]:
        lines.append(again.next_event().data)
    assert lines[-1] == b"newer"


def test_library_reads_compressed_file(tmp_path: Path):
    (tmp_path / "log.gz").write_bytes(gzip.compress(b"one\r\ntwo"))
    assert [event.data for event in collect(Lines, str(tmp_path / "log.gz"))] == [b"one", b"two"]


def test_damaged_file_is_error_after_its_lines(tmp_path: Path):
    (tmp_path / "log.gz").write_bytes(gzip.compress(b"one\n" * 1000)[:-8])
    ran = run(Lines, str(tmp_path / "log.gz"))
    assert (ran.result, len(ran.events)) == ("failure", 1000)
    assert "the gzip data ends early, after 4000 bytes of content: restore the whole file" in ran.error


def test_hole_is_logged(tmp_path: Path, start_plugin):
    (tmp_path / "log").write_bytes(b"\0" * 1000 + b"one\n")
    running: RunningPlugin = start_plugin(Lines, str(tmp_path / "log"))
    assert running.next_event().data == b"one"
    running.wait_for_log("skipped 1000 NUL bytes before byte 1000")
