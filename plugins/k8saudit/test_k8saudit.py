"""Tests how files are read into audit events."""

from __future__ import annotations

import json
import logging
import os
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugins.k8saudit.conftest import NANOSECONDS, TIME, event, event_list, large_event
from plugins.k8saudit.events import Events
from plugins.k8saudit.files import Reader

from falco_plugin.receiving import RejectionLog
from falco_plugin.testing import collect, run

K8SAUDIT = Path(__file__).parent
SAMPLE = K8SAUDIT / "sample.jsonl"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
REAL = K8SAUDIT.parents[2] / "shared/data/k8s-audit.jsonl"


@pytest.mark.skipif(not REAL.exists(), reason="there are no real logs beside the checkout")
def test_real_log_gives_events_with_stage_times(library: Path) -> None:
    lines = REAL.read_bytes().splitlines()
    events = collect(library, str(REAL))
    assert [each.data for each in events] == lines
    for each, line in zip(events, lines, strict=True):
        stage = datetime.fromisoformat(json.loads(line)["stageTimestamp"])
        assert each.timestamp == (stage - EPOCH) // timedelta(microseconds=1) * 1000
        assert each.source == "k8s_audit"


def test_event_text_is_not_shortened(library: Path) -> None:
    ran = run(library, str(SAMPLE))
    assert ran.texts == [each.data.decode() for each in ran.events]
    assert max(map(len, ran.texts)) > 1024


@dataclass
class Reading:
    """The events that a reader finds in a file, their times, and its rejections."""

    events: list[bytes]
    times: list[datetime | None]
    log: list[str]


def read(folder: Path, content: bytes) -> Reading:
    """Reads a file, as the source does, without a host."""
    file = folder / "audit.log"
    file.write_bytes(content)
    log = logging.Logger("test")
    log.addHandler(handler := ListHandler())
    rejections = RejectionLog(log)
    items = list(Reader(Events(1 << 20, rejections), 1 << 20, rejections, log).read([file]))
    return Reading([data for data, _ in items], [time for _, time in items], handler.lines)


class ListHandler(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.levelname}: {record.getMessage()}")


A, B, C = event("a"), event("b"), event("c")
ITEM = json.dumps({"auditID": "item", "stageTimestamp": TIME}).encode()


@pytest.mark.parametrize(
    ("text", "events"),
    [
        (A, [A]),
        (event_list(A, B), [A, B]),
        (event_list(ITEM), [ITEM]),
        (event_list(), []),
        (b'{"kind": "EventList", "items": null}', []),
        (b'{"kind": "EventList", "items": [%s], "items": []}' % A, [A]),
        (A[:-1] + b', "kind": "EventList"}', [A[:-1] + b', "kind": "EventList"}']),
        (b"[%s, %s]" % (A, event_list(B, C)), [A, B, C]),
        (b"[]", []),
        (b'[{"kind": "Pod"}, %s, 5, [%s]]' % (A, B), [A]),
        (event_list(b"5", A, b"null"), [A]),
        (b'{"kind":"Event","n":1.0e3,"n":12345678901234567890,"t":"\\u0041"}',) * 2,
    ],
)
def test_lists_and_arrays_are_split_with_events_unchanged(
    text: bytes, events: list[bytes] | bytes, tmp_path: Path
) -> None:
    expected = [events] if isinstance(events, bytes) else events
    assert read(tmp_path, text).events == expected


@pytest.mark.parametrize(
    "junk",
    [
        b"text",
        b"{",
        b"{}",
        b"5",
        b'{"kind": "Pod"}',
        b'{"kind": 5}',
        b'{"kind": "EventList", "items": {}}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"kind": "Eve',
        b'{"kind": "List", "items": [{"kind": "Event"}]}',
        b'[123]: {"kind": "Pod"}',
    ],
    ids=lambda junk: repr(junk[:40]),
)
def test_other_lines_are_skipped_and_counted(junk: bytes, tmp_path: Path) -> None:
    reading = read(tmp_path, b"\n".join([A, junk, b"", b"  ", B]))
    assert reading.events == [A, B]
    (line,) = reading.log
    assert re.fullmatch(r"WARNING: rejected input: a line (is not JSON|has no audit events) \(1\)", line)


DAMAGED = [
    b'{"kind":"Event","auditID":"d","requestObject":"\xff\xc3("}',
    b'{"kind":"Event","auditID":"d","requestObject":"\\x5C\\u12 \\ud800"}',
    b'{"kind":"Event","auditID":"d","requestObject":[NaN,-Infinity,007,+1,1.]}',
    b'{"kind":"Event","auditID":"d","requestObject":"\x00\x01\t"}',
    b'{"kind":"Event","auditID":"d","requestObject":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"kind":"Event","auditID":"d","requestObject" {"a" 1}}',
]


@pytest.mark.parametrize("damaged", DAMAGED, ids=lambda damaged: repr(damaged[30:70]))
def test_damaged_event_is_delivered_unchanged_and_hides_no_other(damaged: bytes, tmp_path: Path) -> None:
    reading = read(tmp_path, b"\n".join([A, damaged, event_list(B, damaged, C), b"[%s,%s]" % (A, damaged)]))
    assert reading.events == [A, damaged, B, damaged, C, A, damaged]
    assert reading.log == []


@pytest.mark.parametrize(
    ("text", "events"),
    [
        (A[:-10], [A[:-10]]),
        (event_list(A, B)[:-10], [A, B[:-8]]),
        (b'{"items": [%s, %s' % (A, B[:30]), [A, B[:30]]),
        (A + b" and text", [A + b" and text"]),
    ],
)
def test_truncated_line_gives_its_readable_events(text: bytes, events: list[bytes], tmp_path: Path) -> None:
    assert read(tmp_path, text).events == events


@pytest.mark.parametrize(
    "prefix",
    [
        b"node-1.example.com ",
        b"I0102 03:04:05.678901       1 audit.go:45] ",
        b"2026-01-01T00:00:00.000000000Z stdout F ",
        b"<13>Jan  1 00:00:00 node-1 kube-apiserver[123]: ",
        b'node-1 "audit" {x} [',
        b"\xef\xbb\xbf",
        b"\x00\x00 \t",
    ],
)
def test_prefix_before_an_event_is_removed(prefix: bytes, tmp_path: Path) -> None:
    reading = read(tmp_path, prefix + A + b"\n" + prefix + event_list(B, C) + b"\r\n" + prefix + A + B)
    assert (reading.events, reading.log) == ([A, B, C, A, B], [])


@given(
    st.lists(st.binary(max_size=20), min_size=1, max_size=4),
    st.sampled_from([b'"%s"', b'{"a":"%s","b":NaN}', b'["%s",\xff]']),
)
def test_items_are_split_with_arbitrary_strings(payloads: list[bytes], form: bytes) -> None:
    items = [
        b'{"auditID":%s,"x":%s}' % (b"%d" % number, form % re.sub(rb'["\\]', b"?", payload))
        for number, payload in enumerate(payloads)
    ]
    text = b'{"kind":"EventList","items":[%s]}' % b",".join(items)
    split = Events(1 << 20, RejectionLog(logging.getLogger("test"))).split(text)
    assert [item for item, _ in split] == items


@pytest.mark.parametrize(
    ("times", "wanted"),
    [
        ({"stageTimestamp": TIME}, NANOSECONDS),
        ({"stageTimestamp": "2026-01-01T01:00:01.500000001+01:00"}, NANOSECONDS),
        ({"stageTimestamp": TIME, "requestReceivedTimestamp": "2025-01-01T00:00:00Z"}, NANOSECONDS),
        ({"requestReceivedTimestamp": TIME}, NANOSECONDS),
        ({"stageTimestamp": None, "requestReceivedTimestamp": TIME}, NANOSECONDS),
        ({"stageTimestamp": "yesterday", "requestReceivedTimestamp": TIME}, NANOSECONDS),
        ({"stageTimestamp": "2026-01-01T00:00:00", "requestReceivedTimestamp": TIME}, NANOSECONDS),
        ({"stageTimestamp": "0001-01-01T00:00:00Z", "requestReceivedTimestamp": TIME}, NANOSECONDS),
        ({"stageTimestamp": "1970-01-01T00:00:00+10:00", "requestReceivedTimestamp": TIME}, NANOSECONDS),
        ({"stageTimestamp": "9999-12-31T23:59:59Z", "requestReceivedTimestamp": TIME}, NANOSECONDS),
        ({}, None),
        ({"stageTimestamp": 5, "requestReceivedTimestamp": {}}, None),
    ],
)
def test_event_time_prefers_stage_then_request(times: dict[str, object], wanted: int | None, tmp_path: Path) -> None:
    (time,) = read(tmp_path, json.dumps({"kind": "Event", **times}).encode()).times
    assert (time and (time - EPOCH) // timedelta(microseconds=1) * 1000) == wanted


def test_events_get_the_time_of_their_stage_or_of_their_arrival(library: Path, tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(A + b'\n{"kind": "Event"}')
    before = time.time_ns()
    dated, undated = collect(library, str(log))
    assert dated.timestamp == NANOSECONDS
    assert before - 1_000_000_000 <= undated.timestamp <= time.time_ns()


def test_folder_is_read_from_the_oldest_file(library: Path, tmp_path: Path) -> None:
    for number, (name, text) in enumerate([("z.log", A), (".hidden", B + b"\r\n"), ("a", C)]):
        (tmp_path / name).write_bytes(text)
        os.utime(tmp_path / name, (number, number))
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "log").write_bytes(event("too deep"))
    assert [each.data for each in collect(library, str(tmp_path))] == [A, B, C]


def test_oversized_events_and_lines_are_skipped_and_counted(library: Path, tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    fits = event("fits")
    large, item = large_event(1, 100), b'{"auditID": "%s"}' % (b"i" * 200)
    log.write_bytes(b"\n".join([large, event_list(fits, item), b"x" * 2001, b"y" * 1_000_000, fits]))
    ran = run(library, str(log), config={"maxEventSize": len(fits), "webhookMaxBatchSize": 2000})
    assert [each.data for each in ran.events] == [fits, fits]
    text = "\n".join(line.text for line in ran.log)
    counts = re.findall(r"an event is larger than maxEventSize \((\d)\)", text)
    assert sum(map(int, counts)) == 2
    assert re.search(r"a line is longer than webhookMaxBatchSize \(2\)", text)


def test_max_event_size_has_the_official_range(library: Path, tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(A)
    for size in (len(A), 2**32 - 39, 2**32 - 1):
        ran = run(library, str(log), config={"maxEventSize": size, "webhookMaxBatchSize": 2**32 - 1})
        assert [each.data for each in ran.events] == [A], size
    assert "maxEventSize" in str(run(library, str(log), config={"maxEventSize": 2**32}).error)


def test_open_fails_if_the_file_is_missing(library: Path, tmp_path: Path) -> None:
    ran = run(library, str(tmp_path / "audit.log"))
    assert ran.result == "failure"
    assert "No such file or directory" in str(ran.error)
