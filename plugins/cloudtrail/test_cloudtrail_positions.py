"""Tests the position in a bucket, with log files that appear late and with restarts."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugins.cloudtrail.intervals import Interval, minutes_before
from plugins.cloudtrail.positions import LATE_MINUTES, Position
from plugins.cloudtrail.trails import Trail, find_trails, is_log_file, parse_name
from support.aws_server import ACCOUNT, REGION, trail_key

TRAIL = Trail(f"AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/", ACCOUNT, REGION)
LAST = "20260101T0100"
"""The minute of the newest log file at the beginning: just after midnight, so that the late ones are in two folders."""


def listed(position: Position, trail: Trail, keys: set[str]) -> list[str]:
    """Returns the log files that are still to be delivered, as a bucket lists them."""
    start = position.key_before(trail, position.interval.start)
    return [key for key in sorted(keys) if key > start and not position.has(trail, parse_name(key), key)]


def restarted(position: Position) -> Position:
    return msgspec.json.decode(msgspec.json.encode(position), type=Position)


@given(
    steps=st.lists(
        st.tuples(
            st.lists(st.tuples(st.integers(0, LATE_MINUTES), st.integers(0, 3))),  # new log files
            st.integers(0, 5),  # how many are delivered before a restart
            st.integers(0, 2 * LATE_MINUTES),  # minutes that pass
        )
    )
)
def test_each_log_file_is_delivered_once(steps: list[tuple[list[tuple[int, int]], int, int]]) -> None:
    position = Position("", Interval())
    keys: set[str] = set()
    delivered: list[str] = []
    passed = 0

    def deliver(most: int | None) -> None:
        for key in listed(position, TRAIL, keys)[:most]:
            position.add(TRAIL, parse_name(key), key)
            delivered.append(key)

    for added, count, minutes in steps:
        for late, id in added:
            # The times in names are those of the clock, and late ones belong to minutes that are over.
            keys.add(trail_key(minutes_before(LAST, late - passed), str(id)))
        deliver(count)
        position = restarted(position)
        passed += minutes
    deliver(None)
    assert sorted(delivered) == sorted(keys)


def test_names_before_the_late_minutes_are_forgotten() -> None:
    position = Position("", Interval())
    for minute in range(1000):
        key = trail_key(minutes_before("20260131T1800", 1000 - minute))
        position.add(TRAIL, parse_name(key), key)
    assert len(position.trails[TRAIL.prefix].names) == LATE_MINUTES + 1


def test_restart_keeps_the_interval_of_the_first_start() -> None:
    position = restarted(Position("5d", Interval("20260131T1800", "20260201T1800")))
    assert position.interval.contains("20260131T1800")
    assert not position.interval.contains("20260131T1759")
    before = f"AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/2026/01/31/{ACCOUNT}_CloudTrail_{REGION}_20260131T1800"
    assert position.key_before(TRAIL, position.interval.start) == before


@pytest.mark.parametrize(
    ("key", "minute", "is_file"),
    [
        (trail_key("20260131T1800"), "20260131T1800", True),
        ("any/1_CloudTrail_us-east-1_20260131T1800Z_x.json", "20260131T1800", True),
        ("any/1_CloudTrail_us-east-1_20260131T1800Z_x.json.gz.tmp", "20260131T1800", False),
        ("AWSLogs/1/CloudTrail-Digest/us-east-1/x.json.gz", "", False),
        ("any/name.json", "", True),
        ("any/1_CloudTrail_us-east-1_now_x.json", "", True),
        ("index.html", "", False),
    ],
)
def test_name_of_a_log_file_has_its_minute(key: str, minute: str, is_file: bool) -> None:
    assert (parse_name(key).minute, is_log_file(key)) == (minute, is_file)


@pytest.mark.parametrize("prefix", ["", "AWS", "logs/", "AWSLogs/x/", "AWSLogs/123/", f"xAWSLogs/{ACCOUNT}/"])
def test_prefix_without_the_layout_is_one_trail(prefix: str) -> None:
    assert list(find_trails(prefix, [], lambda _: pytest.fail("no folder must be listed"))) == [Trail(prefix)]


@pytest.mark.parametrize("day", ["", "2026/", "2026/01/31/"])
def test_prefix_below_a_region_is_a_trail_with_an_order(day: str) -> None:
    [trail] = find_trails(f"a/{TRAIL.prefix}{day}", [], lambda _: pytest.fail("no folder must be listed"))
    assert trail == Trail(f"a/{TRAIL.prefix}{day}", ACCOUNT, REGION)
    assert trail.key_before("20260131T1800").startswith(f"a/{TRAIL.prefix}2026/01/31/{ACCOUNT}_CloudTrail_")
