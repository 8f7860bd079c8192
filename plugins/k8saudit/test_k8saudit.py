"""Audit events from real files, by the plugin in the native host."""

from __future__ import annotations

import json
import logging
import os
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugins.k8saudit.events import Events
from plugins.k8saudit.reports import Reports

from falco_plugin.testing import collect, run

K8SAUDIT = Path(__file__).parent
SAMPLE = K8SAUDIT / "sample.jsonl"
REAL = K8SAUDIT.parents[2] / "shared/data/k8s-audit.jsonl"
TIME = "2026-01-01T00:00:01.5Z"
NANOSECONDS = 1_767_225_601_500_000_000


def event(name: str, **more: object) -> bytes:
    """An audit event with a text by which it is known."""
    return json.dumps({"kind": "Event", "auditID": name, "stageTimestamp": TIME, **more}).encode()


def event_list(*items: bytes) -> bytes:
    return b'{"kind": "EventList", "items": [%s]}' % b", ".join(items)


def large_event(number: int, size: int) -> bytes:
    return event(str(number), padding="x" * size)


@pytest.mark.skipif(not REAL.exists(), reason="there are no real logs beside the checkout")
def test_each_line_of_a_log_is_an_event_at_the_time_of_its_stage(library: Path) -> None:
    lines = REAL.read_bytes().splitlines()
    events = collect(library, str(REAL))
    assert [each.data for each in events] == lines
    for each, line in zip(events, lines, strict=True):
        stage = datetime.fromisoformat(json.loads(line)["stageTimestamp"])
        assert each.timestamp == (stage - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
        assert each.source == "k8s_audit"


def test_the_text_of_an_event_is_all_of_it(library: Path) -> None:
    ran = run(library, str(SAMPLE))
    assert ran.texts == [each.data.decode() for each in ran.events]
    assert max(map(len, ran.texts)) > 1024


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
def test_lists_and_arrays_are_split_and_events_stay_as_they_stand(
    text: bytes, events: list[bytes] | bytes, library: Path, tmp_path: Path
) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(text)
    wanted = [events] if isinstance(events, bytes) else events
    assert [each.data for each in collect(library, str(log))] == wanted


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
def test_what_is_no_audit_event_is_left_out_and_counted(junk: bytes, library: Path, tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(b"\n".join([A, junk, b"", b"  ", B]))
    ran = run(library, str(log))
    assert (ran.result, [each.data for each in ran.events]) == ("eof", [A, B])
    (line,) = ran.log
    assert line.severity == "warning"
    assert re.fullmatch(r"not taken: a line: (no JSON|JSON without audit events) \(1\)", line.text)


DAMAGED = [
    b'{"kind":"Event","auditID":"d","requestObject":"\xff\xc3("}',
    b'{"kind":"Event","auditID":"d","requestObject":"\\x5C\\u12 \\ud800"}',
    b'{"kind":"Event","auditID":"d","requestObject":[NaN,-Infinity,007,+1,1.]}',
    b'{"kind":"Event","auditID":"d","requestObject":"\x00\x01\t"}',
    b'{"kind":"Event","auditID":"d","requestObject":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"kind":"Event","auditID":"d","requestObject" {"a" 1}}',
]


@pytest.mark.parametrize("damaged", DAMAGED, ids=lambda damaged: repr(damaged[30:70]))
def test_a_damaged_event_is_given_as_it_stands_and_hides_no_other(
    damaged: bytes, library: Path, tmp_path: Path
) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(b"\n".join([A, damaged, event_list(B, damaged, C), b"[%s,%s]" % (A, damaged)]))
    ran = run(library, str(log))
    assert [each.data for each in ran.events] == [A, damaged, B, damaged, C, A, damaged]
    # Only their own damage is reported, by the reader of their time.
    assert all(" is not valid JSON at byte " in line.text for line in ran.log)


@pytest.mark.parametrize(
    ("text", "events"),
    [
        (A[:-10], [A[:-10]]),
        (event_list(A, B)[:-10], [A, B[:-8]]),
        (b'{"items": [%s, %s' % (A, B[:30]), [A, B[:30]]),
        (A + b" and text", [A + b" and text"]),
    ],
)
def test_a_text_that_is_cut_or_followed_by_others_gives_what_is_there(
    text: bytes, events: list[bytes], library: Path, tmp_path: Path
) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(text)
    assert [each.data for each in collect(library, str(log))] == events


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
def test_what_stands_in_front_of_an_event_is_not_a_part_of_it(prefix: bytes, library: Path, tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(prefix + A + b"\n" + prefix + event_list(B, C) + b"\r\n" + prefix + A + B)
    ran = run(library, str(log))
    assert ([each.data for each in ran.events], ran.log) == ([A, B, C, A, B], [])


@given(
    st.lists(st.binary(max_size=20), min_size=1, max_size=4),
    st.sampled_from([b'"%s"', b'{"a":"%s","b":NaN}', b'["%s",\xff]']),
)
def test_items_are_split_whatever_bytes_their_strings_have(payloads: list[bytes], form: bytes) -> None:
    items = [
        b'{"auditID":%s,"x":%s}' % (b"%d" % number, form % re.sub(rb'["\\]', b"?", payload))
        for number, payload in enumerate(payloads)
    ]
    text = b'{"kind":"EventList","items":[%s]}' % b",".join(items)
    split = Events(1 << 20, Reports(logging.getLogger("test"))).of(text)
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
def test_the_time_of_an_event_is_that_of_its_stage_else_of_its_request_else_now(
    times: dict[str, object], wanted: int | None, library: Path, tmp_path: Path
) -> None:
    log = tmp_path / "audit.log"
    log.write_text(json.dumps({"kind": "Event", **times}))
    before = time.time_ns()
    (taken,) = collect(library, str(log))
    if wanted is None:
        assert before - 1_000_000_000 <= taken.timestamp <= time.time_ns()
    else:
        assert taken.timestamp == wanted


def test_a_folder_gives_its_files_from_the_oldest_on(library: Path, tmp_path: Path) -> None:
    for number, (name, text) in enumerate([("z.log", A), (".hidden", B + b"\r\n"), ("a", C)]):
        (tmp_path / name).write_bytes(text)
        os.utime(tmp_path / name, (number, number))
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "log").write_bytes(event("too deep"))
    assert [each.data for each in collect(library, str(tmp_path))] == [A, B, C]


def test_events_and_lines_that_are_too_large_are_left_out_and_counted(library: Path, tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    fits = event("fits")
    large, item = large_event(1, 100), b'{"auditID": "%s"}' % (b"i" * 200)
    log.write_bytes(b"\n".join([large, event_list(fits, item), b"x" * 2001, b"y" * 1_000_000, fits]))
    ran = run(library, str(log), config={"maxEventSize": len(fits), "webhookMaxBatchSize": 2000})
    assert [each.data for each in ran.events] == [fits, fits]
    text = "\n".join(line.text for line in ran.log)
    counts = re.findall(r"an event larger than maxEventSize \((\d)\)", text)
    assert sum(map(int, counts)) == 2
    assert re.search(r"a line longer than webhookMaxBatchSize \(2\)", text)


def test_the_event_size_has_the_range_of_the_official_plugin(library: Path, tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(A)
    for size in (len(A), 100 << 20, 2**32 - 39, 2**32 - 1):
        ran = run(library, str(log), config={"maxEventSize": size, "webhookMaxBatchSize": 2**32 - 1})
        assert [each.data for each in ran.events] == [A], size
    assert "maxEventSize" in str(run(library, str(log), config={"maxEventSize": 2**32}).error)


def test_a_file_that_is_not_there_is_the_error_of_open(library: Path, tmp_path: Path) -> None:
    ran = run(library, str(tmp_path / "audit.log"))
    assert ran.result == "failure"
    assert "No such file or directory" in str(ran.error)
