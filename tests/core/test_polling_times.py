"""Tests times of records, and reports of unreadable times, with a simulated clock."""

from __future__ import annotations

import logging

import pytest

from falco_plugin.polling.records import Record
from falco_plugin.polling.records import read as read_record
from falco_plugin.polling.times import Times

LOG = logging.getLogger("poller")


class Clock:
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def times(clock: Clock) -> Times:
    return Times("at", LOG, clock)


def read(value: str, id: int = 1) -> Record:
    """Returns a record whose field ``at`` is this JSON."""
    return read_record(f'{{"uuid": {id}, "at": {value}}}'.encode(), ["uuid"], ["at"])


@pytest.mark.parametrize(
    ("value", "nanoseconds"),
    [
        ('"2026-11-20T08:00:00Z"', 1_795_161_600_000_000_000),
        ('"2026-11-20 09:00:00,25 +0100"', 1_795_161_600_250_000_000),
        ("1795161600", 1_795_161_600_000_000_000),
        ("1795161600123", 1_795_161_600_123_000_000),
        ("1795161600.123456789", 1_795_161_600_123_456_789),
        ('"1795161600123456"', 1_795_161_600_123_456_000),
        ("null", None),
        ("true", None),
        ('"yesterday"', None),
        ("-1", None),
        ('{"seconds": 1}', None),
    ],
)
def test_times_reads_text_and_numbers(times: Times, value: str, nanoseconds: int | None) -> None:
    assert times.time_of(read(value)) == nanoseconds


def test_times_reports_a_cause_once_a_minute_with_its_count(
    times: Times, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for id, seconds in enumerate([0, 0, 59.9, 60, 119]):
        clock.now = 1000 + seconds
        times.time_of(read('"secret"', id))
    report = "record '{}' has no time from 1970 to 2554 in 'at'; the event gets the time of its arrival: {} ({} {})"
    expected = [
        report.format(id, "correct timestamp_field", "records so far:", count) for id, count in [(0, 1), (3, 4)]
    ]
    assert caplog.messages == expected
    times.close()
    assert caplog.messages[2:] == ["1 more records had no time from 1970 to 2554 in 'at' (records in all: 5)"]
    times.close()
    assert len(caplog.messages) == 3
    assert "secret" not in caplog.text


def test_times_reports_missing_values_separately(times: Times, caplog: pytest.LogCaptureFixture) -> None:
    times.time_of(read('"yesterday"'))
    times.time_of(read("null"))
    assert [message.split(";")[0] for message in caplog.messages] == [
        "record '1' has no time from 1970 to 2554 in 'at'",
        "record '1' has no value in 'at'",
    ]


def test_times_reports_a_missing_time_zone_once(times: Times, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    for seconds in (0, 100):
        clock.now = 1000 + seconds
        assert times.time_of(read('"2026-11-20 08:00:00"')) == 1_795_161_600_000_000_000
    assert caplog.messages == ["record '1' has a time without a time zone in 'at'; all such times are read as UTC"]
