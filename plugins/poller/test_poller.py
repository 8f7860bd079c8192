"""Tests which records become events, their order, and their times."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from plugins.poller.conftest import (
    PAGE,
    AuditApi,
    payloads,
    take,
    wait_until,
    wait_until_idle,
)

from falco_plugin.testing import RunningPlugin, run


def test_poller_delivers_each_record_once_in_order(api: AuditApi, start: Callable[..., RunningPlugin]) -> None:
    api.add(2 * PAGE + 2)
    plugin = start(api.url)
    take(plugin, len(api.records))
    for count in (1, PAGE - 3, 1, PAGE, 3 * PAGE, 2):
        added = api.add(count)
        assert take(plugin, count) == added
        wait_until_idle(api)
    assert payloads(plugin.stop()) == api.records


@pytest.mark.slow
def test_poller_continues_after_the_last_record_on_restart(api: AuditApi, start: Callable[..., RunningPlugin]) -> None:
    for count in (3, 0, PAGE + 2):
        added = api.add(count)
        plugin = start(api.url)
        take(plugin, count)
        wait_until_idle(api)
        assert payloads(plugin.stop()) == added


def test_poller_repeats_a_page_that_was_interrupted(
    api: AuditApi, library: Path, config: dict[str, Any], start: Callable[..., RunningPlugin]
) -> None:
    first, second = api.add(PAGE), api.add(2)
    # The host takes an event of the second page, and does not come back for more.
    assert payloads(run(library, api.url, config=config, limit=PAGE + 1))[:PAGE] == first
    assert take(start(api.url), len(second)) == second


@pytest.mark.slow
def test_poller_loses_nothing_when_falco_is_killed(api: AuditApi, start: Callable[..., RunningPlugin]) -> None:
    seen: list[bytes] = []
    for count in (1, 2 * PAGE, PAGE + 1):
        api.add(2 * PAGE)
        plugin = start(api.url)
        take(plugin, count)
        seen += payloads(plugin.kill())
    plugin = start(api.url)
    missing = set(api.records).difference(seen)
    while missing:
        missing.discard(plugin.next_event().data)
    seen += payloads(plugin.kill())
    assert list(dict.fromkeys(seen)) == api.records


def test_poller_begins_at_the_configured_start(okta: AuditApi, start: Callable[..., RunningPlugin]) -> None:
    start(f"{okta.url}&since={{start}}", start="2026-11-01T02:00:00+02:00")
    wait_until(lambda: bool(okta.requests))
    assert parse_qs(urlsplit(okta.requests[0]).query)["since"] == ["2026-11-01T00:00:00.000Z"]


def test_event_has_the_time_of_its_record(okta: AuditApi, start: Callable[..., RunningPlugin]) -> None:
    times = {
        b'"2026-11-20T08:00:00.123Z"': 1_795_161_600_123_000_000,
        b'"2026-11-20T09:00:00+01:00"': 1_795_161_600_000_000_000,
        b'"2026-11-20T08:00:00"': 1_795_161_600_000_000_000,
        b'"2026-11-20 09:00:00,5 +0100"': 1_795_161_600_500_000_000,
        b"1795161600123": 1_795_161_600_123_000_000,
        b"1795161600.123456789": 1_795_161_600_123_456_789,
        b'"1795161600"': 1_795_161_600_000_000_000,
        b"0": 0,
    }
    okta.records = [b'{"@timestamp":%b,"uuid":1}' % field for field in times]
    plugin = start(okta.url, timestamp_field="@timestamp")
    assert [plugin.next_event().timestamp for _ in times] == list(times.values())


def test_record_without_time_gets_arrival_time_and_is_reported(
    okta: AuditApi, start: Callable[..., RunningPlugin]
) -> None:
    fields = [b"null", b'"yesterday"', b"-1", b"1e300", b"true", b'{"a":1}']
    okta.records = [b'{"published":%b,"uuid":%d}' % (field, number) for number, field in enumerate(fields)]
    before = time.time_ns()
    plugin = start(okta.url)
    for _ in fields:
        assert before <= plugin.next_event().timestamp <= time.time_ns()
    assert [line.text for line in plugin.stop().log if "'published'" in line.text] == [
        "record '0' has no value in 'published'; the event gets the time of its arrival: correct timestamp_field "
        "(records so far: 1)",
        "record '1' has no time from 1970 to 2554 in 'published'; the event gets the time of its arrival: correct "
        "timestamp_field (records so far: 1)",
        "4 more records had no time from 1970 to 2554 in 'published' (records in all: 5)",
    ]


def test_record_is_delivered_unchanged_except_white_space(okta: AuditApi, start: Callable[..., RunningPlugin]) -> None:
    okta.records = [
        b' {\n "uuid" : "a b",\t"n": 1.50, "big": 123456789012345678901234567890, "s": "\\u00e9\xc3\xa9\\/"} '
    ]
    compact = b'{"uuid":"a b","n":1.50,"big":123456789012345678901234567890,"s":"\\u00e9\xc3\xa9\\/"}'
    assert start(okta.url).next_event().data == compact


def test_record_without_id_is_identified_by_its_content(github: AuditApi, start: Callable[..., RunningPlugin]) -> None:
    github.records = [b'{"n":1}', b'{"n":2,"uuid":null}']
    plugin = start(github.url)
    take(plugin, 2)
    wait_until_idle(github)
    github.records.append(b'{"n":3,"uuid":["x"]}')
    take(plugin, 1)
    wait_until_idle(github)
    assert payloads(plugin.stop()) == github.records


def test_oversized_record_is_skipped_and_logged(api: AuditApi, start: Callable[..., RunningPlugin]) -> None:
    api.add(1)
    large = b'{"uuid":"the-large-one","published":0,"text":"%b"}' % (b"private" * 100)
    api.records.append(large)
    api.add(2)
    plugin = start(api.url, event_size=200)
    take(plugin, 3)
    wait_until_idle(api)
    ran = plugin.stop()
    assert payloads(ran) == [record for record in api.records if record != large]
    assert sum("record 'the-large-one' is skipped" in line.text for line in ran.log) == 1
    assert "private" not in str(ran.log)


def test_oversized_records_are_counted_in_the_log(okta: AuditApi, start: Callable[..., RunningPlugin]) -> None:
    okta.records = [b'{"uuid":"large-%d","text":"%b"}' % (number, bytes(200).hex().encode()) for number in range(9)]
    okta.add(1)
    plugin = start(okta.url, event_size=200)
    take(plugin, 1)
    lines = [line.text for line in plugin.stop().log if "is skipped" in line.text]
    assert [line.split(" is skipped")[0] for line in lines] == ["record 'large-0'", "record 'large-8'"]
    assert lines[1].endswith("; 7 more since the last report")
