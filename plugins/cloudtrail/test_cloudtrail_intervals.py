"""Tests the forms of s3Interval."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugins.cloudtrail.intervals import Interval, minutes_before, parse_interval

NOW = datetime(2026, 3, 1, 12, 30, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("", "", ""),
        ("5d", "20260224T1230", ""),
        ("2w", "20260215T1230", ""),
        ("36h", "20260228T0030", ""),
        ("90m", "20260301T1100", ""),
        ("59s", "20260301T1230", ""),
        ("0s", "20260301T1230", ""),
        ("2021-03-30T18:07:17Z", "20210330T1807", ""),
        ("2021-03-30T18:07:17.9Z", "20210330T1807", ""),
        ("5d-2d", "20260224T1230", "20260227T1230"),
        ("5d - 2d", "20260224T1230", "20260227T1230"),
        ("2023-04-05T06:00:00Z-2023-04-05T12:00:10Z", "20230405T0600", "20230405T1200"),
        ("2023-04-05T06:00:00Z-5d", "20230405T0600", "20260224T1230"),
        ("60d-2026-02-01T00:00:00Z", "20251231T1230", "20260201T0000"),
    ],
)
def test_interval_has_the_minutes_of_its_ends(text: str, start: str, end: str) -> None:
    assert parse_interval(text, NOW) == Interval(start, end)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("yesterday", "'yesterday' is neither a duration nor a time: write a duration such as 5d"),
        ("5", "'5' is neither"),
        ("-5d", "'' is neither"),
        ("5y", "'5y' is neither"),
        ("5d-", "'5d-' is neither"),
        ("5d-2d-1d", "'5d-2d' is neither"),
        ("2021-03-30", "'2021-03-30' is neither"),
        ("2021-03-30T18:07:17", "'2021-03-30T18:07:17' is neither"),
        ("2021-13-30T18:07:17Z", "'2021-13-30T18:07:17Z' is not a time since the year 1"),
        ("9999999d", "'9999999d' is not a time since the year 1"),
        ("9" * 30 + "w", "is not a time since the year 1"),
        ("2d-5d", "the end is before the start"),
    ],
)
def test_other_forms_are_refused_with_the_value(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="s3Interval") as raised:
        parse_interval(text, NOW)
    assert message in str(raised.value)
    assert repr(text) in str(raised.value)


@pytest.mark.parametrize(
    ("interval", "inside", "outside"),
    [
        (Interval(), ["", "20260301T1230"], []),
        (Interval("20260301T1230"), ["20260301T1230", "20260301T1231"], ["20260301T1229"]),
        (Interval("20260301T1230", "20260301T1231"), ["20260301T1230", "20260301T1231"], ["20260301T1232"]),
    ],
)
def test_both_ends_belong_to_the_interval(interval: Interval, inside: list[str], outside: list[str]) -> None:
    assert all(map(interval.contains, inside))
    assert not any(map(interval.contains, outside))


@given(st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)), st.integers(0, 10**6))
def test_minutes_before_is_the_start_of_that_duration(now: datetime, count: int) -> None:
    now = now.replace(tzinfo=UTC)
    minute = parse_interval("0s", now).start
    assert minutes_before(minute, count) == parse_interval(f"{count}m", now).start
