"""Tests how a log is followed across rotation, truncation and crashes in the native host."""

from __future__ import annotations

import gzip
import json
import os
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from falco_plugin.testing import RunningPlugin, collect, run

StartPlugin = Callable[..., RunningPlugin]

JSONLOG = Path(__file__).parent
SAMPLE = JSONLOG / "sample.jsonl"


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def saved_cursor(path: Path) -> str:
    return json.loads(path.read_bytes())["cursor"] if path.exists() else ""


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "the condition did not become true"
        time.sleep(0.005)


def test_event_has_time_and_values_of_its_line() -> None:
    fields = ["jsonlog.value[/user]", "jsonlog.number[/rows]"]
    events = collect(JSONLOG, str(SAMPLE), config={"follow": False}, fields=fields)
    lines = SAMPLE.read_bytes().splitlines()
    assert [event.data for event in events] == lines
    for event, line in zip(events, map(json.loads, lines), strict=True):
        assert event.timestamp == round(datetime.fromisoformat(line["time"]).timestamp() * 1000) * 1_000_000
        assert event.fields == dict(zip(fields, (line["user"], line.get("rows")), strict=True))


def test_jsonlog_reads_common_time_formats_and_reports_others(tmp_path: Path) -> None:
    log = tmp_path / "log"
    times = {
        '"2026-11-20 09:00:00,5 +0100"': 1_795_161_600_500_000_000,
        "1795161600123": 1_795_161_600_123_000_000,
        '"1795161600123456"': 1_795_161_600_123_456_000,
        '"2026-11-20T08:00:00"': 1_795_161_600_000_000_000,
    }
    lines = [f'{{"time": {time}}}\n' for time in [*times, "null", '"secret"', '"secret"']]
    log.write_text("".join(lines))
    before = time.time_ns()
    ran = run(JSONLOG, str(log), config={"follow": False})
    timestamps = [event.timestamp for event in ran.events]
    assert timestamps[: len(times)] == list(times.values())
    assert all(before <= timestamp <= time.time_ns() for timestamp in timestamps[len(times) :])
    subject = f'{log}: timestamp "/time"'
    at = [sum(map(len, lines[:index])) for index in range(len(lines))]
    reports = [line.text.partition(subject)[2] for line in ran.log if subject in line.text]
    arrival = "the event gets the time of its arrival"
    assert reports == [
        f" finds a time without a time zone in the line at byte {at[3]}; all such times are read as UTC: "
        "write the zone, such as Z or +01:00",
        f" finds no value in the line at byte {at[4]}; {arrival}: "
        "check the pointer, and that each line is a JSON object (lines so far: 1)",
        f" finds a value that is not a time in the line at byte {at[5]}; {arrival}: "
        "write RFC 3339, or a number since the epoch (lines so far: 1)",
        f" found a value that is not a time in further lines, the last one at byte {at[6]} "
        "(since the last report: 1, in all: 2)",
    ]


def test_crash_and_rotation_lose_no_line(tmp_path: Path, start_plugin: StartPlugin) -> None:
    log, kept = tmp_path / "log", tmp_path / "cursor"
    config = {"cursor_file": str(kept)}
    host = start_plugin(JSONLOG, str(log), config=config)
    host.wait_for_log("does not exist; waiting for it")
    log.write_bytes(b"1\n2\n")
    assert [host.next_event().data for _ in range(2)] == [b"1", b"2"]
    wait_until(lambda: saved_cursor(kept).startswith("4:"))
    append(log, b"3\n")
    assert host.next_event().data == b"3"
    host.kill()
    append(log, b"4\n")
    host = start_plugin(JSONLOG, str(log), config=config)
    assert (event := host.next_event().data) in (b"3", b"4")
    assert event == b"4" or host.next_event().data == b"4"
    old = log.rename(tmp_path / "old")
    append(old, b"5\n")
    assert host.next_event().data == b"5"
    log.write_bytes(b"6\n")
    assert host.next_event().data == b"6"
    assert host.stop().result == "interrupted"


@pytest.mark.parametrize("is_compressed", [False, True])
def test_rotation_while_stopped_loses_no_line(is_compressed: bool, tmp_path: Path, start_plugin: StartPlugin) -> None:
    log, kept = tmp_path / "app.log", tmp_path / "app.log.cursor"
    config = {"cursor_file": str(kept)}
    log.write_bytes(b"1\n")
    host = start_plugin(JSONLOG, str(log), config=config)
    assert host.next_event().data == b"1"
    wait_until(lambda: saved_cursor(kept).startswith("2:"))
    host.stop()
    append(log, b"2\n")
    if is_compressed:
        (tmp_path / "app.log.1.gz").write_bytes(gzip.compress(log.read_bytes()))
        log.unlink()
    else:
        log.rename(tmp_path / "app.log.1")
    log.write_bytes(b"3\n")
    host = start_plugin(JSONLOG, str(log), config=config)
    assert [host.next_event().data for _ in range(2)] == [b"2", b"3"]


def test_jsonlog_follows_truncation_by_a_non_appending_writer(tmp_path: Path, start_plugin: StartPlugin) -> None:
    log = tmp_path / "log"
    host = start_plugin(JSONLOG, str(log), fields=["jsonlog.value[/user]"])
    with log.open("wb", buffering=0) as writer:
        for user in ("bob", "eve"):
            writer.write(b'{"user":"%s"}\n' % user.encode())
            assert host.next_event().fields == {"jsonlog.value[/user]": user}
            os.truncate(log, 0)
    host.wait_for_log("skipped 15 NUL bytes before byte 15")


def test_compressed_log_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "log.1.gz").write_bytes(gzip.compress(SAMPLE.read_bytes()))
    events = collect(JSONLOG, str(tmp_path / "log.1.gz"))
    assert [event.data for event in events] == SAMPLE.read_bytes().splitlines()


@pytest.mark.parametrize(
    ("params", "config", "error"),
    [
        ("/nonexistent/log", {"follow": False}, "FileNotFoundError: [Errno 2] No such file or directory"),
        (str(SAMPLE), {"cursor_file": "/nonexistent/cursor"}, "its folder does not exist: create it"),
        (str(SAMPLE), {"timestamp": "time"}, 'must begin with "/"'),
        (str(JSONLOG), {}, "Is a directory"),
    ],
)
def test_open_rejects_invalid_configuration(params: str, config: dict[str, object], error: str) -> None:
    ran = run(JSONLOG, params, config=config)
    assert (ran.result, ran.events) == ("failure", [])
    assert error in ran.error
