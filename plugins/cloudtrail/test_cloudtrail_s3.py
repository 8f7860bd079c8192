"""Tests which log files of a bucket become events, their order, and the position across restarts."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from plugins.cloudtrail.conftest import CLOUDTRAIL, Reading, take
from support.aws_server import ACCOUNT, OTHER_ACCOUNT, AwsServer, trail_key

from falco_plugin.testing import RunningPlugin, run

Read = Callable[..., Reading]


def test_bucket_is_read_once_in_the_order_of_keys(aws: AwsServer, read: Read) -> None:
    bucket = aws.new_bucket()
    for number, key in enumerate(["b.json", "a/1.json.gz", "a/2.json", "a/3.txt", "c.json.gz.tmp"]):
        aws.put(bucket, key, f"{number}-1", f"{number}-2")
    assert read(f"s3://{bucket}").ids == ["1-1", "1-2", "2-1", "2-2", "0-1", "0-2"]
    assert read(f"s3://{bucket}/a/2").ids == ["2-1", "2-2"]


def test_trails_are_read_together_in_the_order_of_time(aws: AwsServer, read: Read) -> None:
    bucket = aws.new_bucket()
    minutes = ["20260131T1800", "20260131T1805", "20260131T1810", "20260201T0000"]
    for minute, region in zip(minutes, ["us-west-2", "eu-west-1", "us-west-2", "eu-west-1"], strict=True):
        aws.put(bucket, trail_key(minute, region=region), minute)
    for prefix in ("AWSLogs/", f"AWSLogs/{ACCOUNT}", f"AWSLogs/{ACCOUNT}/CloudTrail/"):
        assert read(f"s3://{bucket}/{prefix}").ids == minutes


ORGANISATION = "o-exampleorgid"


@pytest.fixture
def organisation(aws: AwsServer) -> str:
    """Returns a bucket with the trails of two accounts of an organisation, of another account, and with other files."""
    bucket = aws.new_bucket()
    before = f"logs/AWSLogs/{ORGANISATION}/"
    aws.put(bucket, trail_key("20260131T1805", before=before), "one")
    aws.put(bucket, trail_key("20260131T1800", account=OTHER_ACCOUNT, before=before), "other")
    aws.put(bucket, trail_key("20260131T1810", account="111111111111", before="logs/AWSLogs/"), "alone")
    aws.put(bucket, f"logs/AWSLogs/{ORGANISATION}/{ACCOUNT}/Config/x.json", "not a trail")
    digest = trail_key("20260131T1800").replace("CloudTrail/", "CloudTrail-Digest/", 1)
    aws.put_bytes(bucket, f"logs/{digest}", b"{}")
    return bucket


@pytest.mark.parametrize(
    ("prefix", "accounts", "ids"),
    [
        ("logs/AWSLogs/", "", ["other", "one", "alone"]),
        ("logs/AWSLogs", "", ["other", "one", "alone"]),
        (f"logs/AWSLogs/{ORGANISATION}", "", ["other", "one"]),
        (f"logs/AWSLogs/{ORGANISATION}/", f" {ACCOUNT} , {OTHER_ACCOUNT}", ["other", "one"]),
        (f"logs/AWSLogs/{ORGANISATION}/", int(ACCOUNT), ["one"]),
        ("logs/AWSLogs/", OTHER_ACCOUNT, ["other"]),
        ("logs/AWSLogs/", f"{OTHER_ACCOUNT},111111111111", ["other", "alone"]),
        (f"logs/AWSLogs/{ORGANISATION}/{OTHER_ACCOUNT}/", "", ["other"]),
    ],
)
def test_account_list_chooses_trails_of_an_organisation(
    organisation: str, read: Read, prefix: str, accounts: str | int, ids: list[str]
) -> None:
    ran = read(f"s3://{organisation}/{prefix}", s3AccountList=accounts)
    assert ran.ids == ids
    assert ran.log == []


def test_account_without_log_files_is_reported(organisation: str, read: Read) -> None:
    ran = read(f"s3://{organisation}/logs/AWSLogs/{ORGANISATION}", s3AccountList=f"{ACCOUNT},999999999999")
    assert ran.ids == ["one"]
    assert "has no log files of 999999999999: check s3AccountList" in ran.log[0]


@pytest.mark.parametrize("before", ["AWSLogs/", "a/b/AWSLogs/"])
@pytest.mark.parametrize("below", ["", f"{ACCOUNT}/", f"{ACCOUNT}/CloudTrail/us-east-1/"])
def test_interval_chooses_log_files_by_the_times_in_their_names(
    aws: AwsServer, read: Read, before: str, below: str
) -> None:
    bucket = aws.new_bucket()
    minutes = ["20251231T2355", "20260131T1800", "20260131T1805", "20260131T1810"]
    for minute in minutes:
        aws.put(bucket, trail_key(minute, before=before), minute)
    interval = "2026-01-31T18:00:00Z-2026-01-31T18:05:59Z"
    assert read(f"s3://{bucket}/{before}{below}", s3Interval=interval).ids == minutes[1:3]
    assert read(f"s3://{bucket}/{before}{below}", s3Interval="2026-01-31T18:05:00Z").ids == minutes[2:]


def test_interval_also_applies_without_the_layout_of_a_trail(aws: AwsServer, read: Read) -> None:
    bucket = aws.new_bucket()
    for minute in ("20260131T1800", "20260131T1805"):
        aws.put(bucket, trail_key(minute, before="copied/"), minute)
    aws.put(bucket, "copied/other.json", "no time")
    assert read(f"s3://{bucket}/copied", s3Interval="2026-01-31T18:05:00Z").ids == ["20260131T1805", "no time"]


def test_listing_has_several_pages(aws: AwsServer, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plugins.cloudtrail.bucket._MOST_KEYS", 2)
    bucket = aws.new_bucket()
    keys = [f"{number}.json" for number in range(5)]
    for key in keys:
        aws.put(bucket, key, key)
    assert read(f"s3://{bucket}").ids == keys
    assert aws.count("ListObjectsV2") == 4  # the first is that of the check


@pytest.mark.slow
def test_position_survives_a_kill(aws: AwsServer, start: Callable[..., RunningPlugin], tmp_path: Path) -> None:
    bucket = aws.new_bucket()
    first = datetime.now(UTC) - timedelta(days=4)
    minutes = [f"{first + timedelta(minutes=5 * number):%Y%m%dT%H%M}" for number in range(40)]
    for minute in minutes:
        aws.put(bucket, trail_key(minute), minute)
    seen: list[str] = []
    settings = {"cursorFile": str(tmp_path / "cursor"), "s3Interval": "5d", "s3DownloadConcurrency": 2}
    plugin = start(f"s3://{bucket}/AWSLogs/", **settings)
    seen += take(plugin, 25)
    plugin.kill()
    plugin = start(f"s3://{bucket}/AWSLogs/", **settings)
    seen += [json.loads(event.data)["eventID"] for event in plugin.wait(timeout=60).events]
    assert sorted(set(seen)) == minutes


def test_position_at_the_end_yields_only_new_log_files(aws: AwsServer, read: Read, tmp_path: Path) -> None:
    bucket = aws.new_bucket()
    minutes = ["20260131T1800", "20260131T1805"]
    for minute in minutes:
        aws.put(bucket, trail_key(minute, "m"), minute)
    params, settings = f"s3://{bucket}/AWSLogs/", {"cursorFile": str(tmp_path / "cursor")}
    assert read(params, **settings).ids == minutes
    assert read(params, **settings).ids == []
    aws.put(bucket, trail_key("20260131T1805", "a"), "late, and with an earlier key")
    aws.put(bucket, trail_key("20260131T1751", "a"), "late by 14 minutes")
    aws.put(bucket, trail_key("20260131T1730", region="eu-west-1"), "of a new region")
    assert read(params, **settings).ids == [
        "of a new region",
        "late by 14 minutes",
        "late, and with an earlier key",
    ]
    assert read(params, **settings, s3Interval="2026-01-31T18:05:00Z").ids == [
        "late, and with an earlier key",
        "20260131T1805",
    ]


def test_position_without_the_layout_of_a_trail_is_a_key(aws: AwsServer, read: Read, tmp_path: Path) -> None:
    bucket = aws.new_bucket()
    settings = {"cursorFile": str(tmp_path / "cursor")}
    for key in ("a.json", "b.json"):
        aws.put(bucket, key, key)
    assert read(f"s3://{bucket}/", **settings).ids == ["a.json", "b.json"]
    aws.put(bucket, "c.json", "c.json")
    assert read(f"s3://{bucket}/", **settings).ids == ["c.json"]


def test_bucket_is_searched_for_new_log_files(aws: AwsServer, start: Callable[..., RunningPlugin]) -> None:
    bucket = aws.new_bucket()
    aws.put(bucket, trail_key("20260131T1800"), "first")
    plugin = start(f"s3://{bucket}/AWSLogs/", s3PollSeconds=0.05)
    assert take(plugin, 1) == ["first"]
    for number in range(3):
        aws.put(bucket, trail_key(f"20260131T18{number}5"), number)
        aws.put(bucket, trail_key("20260131T1800", region=f"eu-west-{number}"), f"region {number}")
        assert sorted(take(plugin, 2)) == [str(number), f"region {number}"]
    assert plugin.stop().result == "interrupted"


@pytest.mark.slow
def test_events_and_fields_are_those_of_the_file(
    aws: AwsServer, library: Path, start: Callable[..., RunningPlugin]
) -> None:
    bucket = aws.new_bucket()
    sample = (CLOUDTRAIL / "sample.json").read_bytes()
    aws.put_bytes(bucket, trail_key("20260131T1800"), gzip.compress(sample))
    from_file = run(library, str(CLOUDTRAIL / "sample.json")).events
    ran = start(f"s3://{bucket}/AWSLogs/", fields=None).wait(timeout=60)
    assert ran.result == "eof", str(ran)
    assert [(event.data, event.timestamp, event.fields) for event in ran.events] == [
        (event.data, event.timestamp, event.fields) for event in from_file
    ]
