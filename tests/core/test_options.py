"""Tests the checks of sizes, timeouts, timestamps and other arguments of sources."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone, tzinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falco_plugin.source import BaseInstance, EventBatch, LinesInstance, PullInstance, PushEvent, PushInstance, channel

LARGEST_EVENT = 2**32 - 1 - 38
LATEST = 2**64 - 2

# The warning is issued once per process, so the test that triggers it depends on the order of tests.
pytestmark = pytest.mark.filterwarnings("ignore:the timestamp .* looks like:RuntimeWarning")


def pull(**options):
    return PullInstance(lambda context, writer: None, **options)


def lines(**options):
    return LinesInstance(os.devnull, **options)


def push(**options):
    return PushInstance(channel()[1], **options)


WITH_BATCH_SIZE = [EventBatch, BaseInstance, pull, push, lines]
WITH_EVENT_SIZE = [EventBatch, BaseInstance, pull, lines, channel]
WITH_TIMEOUT = [pull, push, lines]


def make_cases(makers, option, values):
    return [
        pytest.param(make, option, value, id=f"{make.__name__}-{option}={value}") for make in makers for value in values
    ]


@pytest.mark.parametrize(
    ("make", "option", "value"),
    [
        *make_cases(WITH_BATCH_SIZE, "batch_size", [0, -1, 2**32, 2**70]),
        *make_cases(WITH_EVENT_SIZE, "event_size", [0, -1, LARGEST_EVENT + 1, 2**32, 2**70]),
        *make_cases(WITH_TIMEOUT, "timeout", [-1, -0.001, math.nan, -math.inf, timedelta(microseconds=-1)]),
        *make_cases([channel], "capacity", [0, -1, 2**70]),
        *make_cases([channel], "max_bytes", [0, -1, 2**70]),
    ],
)
def test_out_of_range_value_names_option_and_range(make, option, value):
    with pytest.raises(ValueError, match=rf"^{option} must be ") as caught:
        make(**{option: value})
    message = str(caught.value)
    assert str(value) in message
    assert ("0 seconds or more" if option == "timeout" else "1 to ") in message


@pytest.mark.parametrize(
    ("make", "option", "value"),
    [
        *make_cases(WITH_BATCH_SIZE, "batch_size", [1.0, "1", True]),
        *make_cases(WITH_EVENT_SIZE, "event_size", [1.0, "1", True]),
        *make_cases(WITH_TIMEOUT, "timeout", ["1", True, b"1"]),
        *make_cases([channel], "capacity", [1.0, "1", True]),
        *make_cases([channel], "max_bytes", [1.0, "1", True]),
        *make_cases([pull, push], "close", [1, "close"]),
        *make_cases([pull, push], "progress", [1, "progress"]),
        *make_cases([pull, push, BaseInstance], "context", ["context"]),
    ],
)
def test_wrong_type_names_option(make, option, value):
    with pytest.raises(TypeError, match="parent" if make is BaseInstance and option == "context" else option):
        make(**{option: value})


@pytest.mark.parametrize(
    ("make", "option", "value"),
    [
        *make_cases(WITH_BATCH_SIZE, "batch_size", [1, 2**32 - 1]),
        *make_cases(WITH_EVENT_SIZE, "event_size", [1, LARGEST_EVENT]),
        *make_cases(WITH_TIMEOUT, "timeout", [0, 0.5, 1, math.inf, 1e300, timedelta(0), timedelta.max]),
        *make_cases([channel], "capacity", [1, 2**40]),
        *make_cases([channel], "max_bytes", [1, 2**40]),
    ],
)
def test_range_limits_are_accepted_without_allocation(make, option, value):
    created = make(**{option: value})
    holder = getattr(created, "events", created)
    if option == "batch_size":
        assert holder.batch_size == value
    elif option == "event_size":
        assert (holder[0] if isinstance(holder, tuple) else holder).event_size == value


def test_instance_defaults_equal_batch_defaults():
    for make in (BaseInstance, pull, push):
        assert (make().events.batch_size, make().events.event_size) == (128, 262_144)


@pytest.mark.parametrize("timeout", [-1, math.nan, timedelta(days=-1)])
def test_send_rejects_invalid_timeout(timeout):
    sender, _receiver = channel()
    for send in (lambda: sender.send(b"a", timeout=timeout), lambda: sender.send_many([b"a"], timeout=timeout)):
        with pytest.raises(ValueError, match="timeout must be 0 seconds or more"):
            send()


@pytest.mark.parametrize("timeout", [math.inf, timedelta.max, 10**30])
def test_huge_timeout_waits(timeout):
    sender, _receiver = channel()
    sender.send(b"a", timeout=timeout)
    instance = PullInstance(lambda context, writer: writer.write(b"a"), timeout=timeout, batch_size=3)
    assert instance.next_batch(instance.events) == 3


class ZoneWithoutOffset(tzinfo):
    def utcoffset(self, moment):
        return None


def append_timestamp(timestamp):
    batch = EventBatch()
    batch.append(b"", timestamp)
    return batch[0].timestamp


def append_pair(timestamp):
    batch = EventBatch()
    batch.append((b"", timestamp))
    return batch[0].timestamp


def create_event(timestamp):
    return PushEvent(b"", timestamp).timestamp


def set_writer_timestamp(timestamp):
    batch = EventBatch()
    with batch.writer() as writer:
        writer.timestamp = timestamp
        assert writer.timestamp == timestamp or not isinstance(timestamp, int)
    return batch[0].timestamp


def send_timestamp(timestamp):
    sender, receiver = channel()
    sender.send(b"", timestamp)
    batch = EventBatch()
    PushInstance(receiver, timeout=0).next_batch(batch)
    return batch[0].timestamp


TIMESTAMP_SETTERS = [append_timestamp, append_pair, create_event, set_writer_timestamp, send_timestamp]


@pytest.mark.parametrize("store", TIMESTAMP_SETTERS)
class TestTimestamp:
    @pytest.mark.parametrize(
        ("value", "error", "message"),
        [
            (-1, ValueError, r"0 to 2\*\*64 - 2"),
            (2**64 - 1, ValueError, r"0 to 2\*\*64 - 2"),
            (2**64, ValueError, r"0 to 2\*\*64 - 2"),
            (10**40, ValueError, r"0 to 2\*\*64 - 2"),
            (1.7e18, TypeError, r"int\(seconds \* 1_000_000_000\)"),
            (math.nan, TypeError, "int"),
            ("2024-01-01", TypeError, "aware datetime, got str"),
            (True, TypeError, "got bool"),
            (timedelta(1), TypeError, "got timedelta"),
            (datetime(2024, 1, 1), ValueError, "naive datetime"),
            (datetime(2024, 1, 1, tzinfo=ZoneWithoutOffset()), ValueError, "naive datetime"),
            (datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), ValueError, "before 1970"),
            # 1970-01-01 in local time, but before the epoch.
            (datetime(1970, 1, 1, tzinfo=timezone(timedelta(hours=1))), ValueError, "before 1970"),
        ],
    )
    def test_invalid_timestamp_is_rejected_with_advice(self, store, value, error, message):
        with pytest.raises(error, match=message):
            store(value)

    def test_datetime_after_2554_is_rejected(self, store):
        # 2**64 ns after the epoch is in the year 2554.
        with pytest.raises(ValueError, match="timestamp must") as caught:
            store(datetime(2600, 1, 1, tzinfo=UTC))
        assert "before 1970" not in str(caught.value)

    @pytest.mark.parametrize("value", [None, 0, 1, 1_700_000_000_123_456_789, LATEST])
    def test_valid_timestamp_is_unchanged(self, store, value):
        assert store(value) == value

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (datetime(1970, 1, 1, tzinfo=UTC), 0),
            (datetime(2024, 2, 29, 12, 0, 0, 1, tzinfo=UTC), 1_709_208_000_000_001_000),
            (datetime(2024, 2, 29, 12, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=2))), 1_709_200_800_999_999_000),
            (datetime(2500, 1, 1, tzinfo=UTC), 16_725_225_600_000_000_000),
        ],
    )
    def test_aware_datetime_is_exact_to_microsecond(self, store, value, expected):
        assert store(value) == expected


@given(
    moment=st.datetimes(datetime(1970, 1, 2), datetime(2554, 1, 1)),
    offset=st.timedeltas(timedelta(hours=-23), timedelta(hours=23)),
)
def test_any_aware_datetime_is_exact(moment, offset):
    moment = moment.replace(tzinfo=timezone(offset))
    elapsed = moment - datetime(1970, 1, 1, tzinfo=UTC)
    assert create_event(moment) == elapsed // timedelta(microseconds=1) * 1000


@given(st.integers(0, LATEST))
def test_int_in_range_is_unchanged(timestamp):
    assert append_timestamp(timestamp) == timestamp


@pytest.mark.parametrize(
    ("timestamp", "unit"),
    [(1_700_000_000, "seconds"), (1_700_000_000_000, "milliseconds"), (1_700_000_000_000_000, "microseconds")],
)
def test_timestamp_in_other_unit_warns_once(timestamp, unit):
    code = (
        "import warnings\n"
        "from falco_plugin.source import EventBatch\n"
        "batch = EventBatch()\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    batch.append(b'', 1_700_000_000_000_000_000)\n"
        "    assert not caught, caught\n"
        f"    for _ in range(3): batch.append(b'', {timestamp})\n"
        "print(len(caught), caught[0].category.__name__, caught[0].message)\n"
        "print(batch[1].timestamp)\n"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    warning, kept = process.stdout.splitlines()
    assert warning.startswith("1 RuntimeWarning ")
    assert f"looks like {unit} " in warning
    assert kept == str(timestamp)


@pytest.mark.parametrize(
    "pass_str",
    [
        lambda: EventBatch().append("text"),
        lambda: EventBatch().extend(["text"]),
        lambda: PushEvent("text"),
        lambda: channel()[0].send("text"),
        lambda: channel()[0].send_many(["text"]),
        lambda: channel()[0].send(("text", 1)),
    ],
    ids=["append", "extend", "PushEvent", "send", "send_many", "pair"],
)
def test_str_payload_is_rejected_with_advice(pass_str):
    with pytest.raises(TypeError, match=r"must be bytes, got str: give text\.encode\(\)"):
        pass_str()
