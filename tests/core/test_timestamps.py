"""Tests `source.parse_timestamp`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falco_plugin.source import EventBatch, ParsedTimestamp, parse_timestamp

MOMENT = 1_795_593_600_000_000_000  # 2026-11-25T08:00:00Z
LATEST = 2**64 - 2


@pytest.mark.parametrize(
    ("value", "nanoseconds"),
    [
        ("2026-11-25T08:00:00Z", MOMENT),
        ("2026-11-25T08:00:00.5Z", MOMENT + 500_000_000),
        ("2026-11-25 09:00:00,5 +0100", MOMENT + 500_000_000),
        ("2026-11-25t00:00:00.123456789123-08", MOMENT + 123_456_789),
        (1_795_593_600, MOMENT),
        (1_795_593_600_000, MOMENT),
        (1_795_593_600_000_000, MOMENT),
        (MOMENT, MOMENT),
        (1_795_593_600.25, MOMENT + 250_000_000),
        (1_795_593_600_000.25, MOMENT + 250_000),
        ("1795593600", MOMENT),
        ("1795593600.123456789", MOMENT + 123_456_789),
        ("1.7955936e9", MOMENT),
        ("+1795593600000.5", MOMENT + 500_000),
        (0, 0),
        (-0.0, 0),
        (1e-9, 1),
        (LATEST, LATEST),
    ],
)
def test_parse_timestamp_reads_strings_and_numbers(value, nanoseconds):
    assert parse_timestamp(value) == (nanoseconds, True)


def test_parse_timestamp_reads_strings_without_zone_as_utc():
    assert parse_timestamp("2026-11-25 08:00:00") == ParsedTimestamp(nanoseconds=MOMENT, has_zone=False)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (
            "yesterday",
            ValueError,
            "value must be a time such as 2026-11-25T08:00:00Z, or a number since the epoch, got 'yesterday'",
        ),
        ("2026-02-30T00:00:00Z", ValueError, "got '2026-02-30T00:00:00Z'"),
        ("\ud83d", ValueError, r"got '\ud83d'"),
        ("x" * 10_000, ValueError, f"got '{'x' * 99}…"),
        ("", ValueError, "value must be a time such as 2026-11-25T08:00:00Z, or a number since the epoch, got ''"),
        (float("nan"), ValueError, "or a number since the epoch, got nan"),
        (float("-inf"), ValueError, "or a number since the epoch, got -inf"),
        ("1969-12-31T23:59:59Z", ValueError, "value must be a time from 1970 to 2554, got '1969-12-31T23:59:59Z'"),
        (-1, ValueError, "value must be a time from 1970 to 2554, got -1"),
        (1e300, ValueError, "value must be a time from 1970 to 2554, got 1e+300"),
        (LATEST + 1, ValueError, f"value must be a time from 1970 to 2554, got {LATEST + 1}"),
        pytest.param(
            10**10_000,
            ValueError,
            "value must be a time from 1970 to 2554, got an int of thousands of digits",
            id="large int",
        ),
        (None, TypeError, "value must be a str, int or float, got NoneType"),
        (True, TypeError, "value must be a str, int or float, got bool"),
        (b"1", TypeError, "value must be a str, int or float, got bytes"),
        (Decimal(1), TypeError, "value must be a str, int or float, got Decimal"),
    ],
)
def test_parse_timestamp_rejects_other_values(value, error, message):
    with pytest.raises(error) as caught:
        parse_timestamp(value)
    assert message in str(caught.value)


@given(
    moment=st.datetimes(datetime(1970, 1, 2), datetime(2554, 7, 20), timezones=st.just(UTC)),
    offset=st.integers(-23 * 60, 23 * 60),
    separator=st.sampled_from("T _"),
)
def test_parse_timestamp_reads_isoformat(moment, offset, separator):
    local = moment.astimezone(timezone(timedelta(minutes=offset)))
    batch = EventBatch()
    batch.append(b"", local)
    assert parse_timestamp(local.isoformat(separator)) == (batch[0].timestamp, True)


@given(nanoseconds=st.integers(0, LATEST))
def test_parse_timestamp_reads_decimal_seconds_exactly(nanoseconds):
    seconds, fraction = divmod(nanoseconds, 10**9)
    assert parse_timestamp(f"{seconds}.{fraction:09}").nanoseconds == nanoseconds


@given(value=st.one_of(st.text(), st.integers(), st.floats()))
def test_parse_timestamp_returns_a_time_or_raises_value_error(value):
    try:
        parsed = parse_timestamp(value)
    except ValueError:
        return
    assert 0 <= parsed.nanoseconds <= LATEST
