"""Tests files and folders in the native host: their order, their faults, and the parameters of the source."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import msgspec
import pytest
from plugins.cloudtrail.config import Config
from plugins.cloudtrail.files import Files
from plugins.cloudtrail.plugin import CloudTrail

from falco_plugin import Context
from falco_plugin.testing import Run, run

CLOUDTRAIL = Path(__file__).parent
TIME = "2026-01-01T00:00:01Z"
NANOSECONDS = 1_767_225_601_000_000_000


def record(name: str, **more: object) -> bytes:
    """Returns a record whose id is ``name``."""
    return json.dumps({"eventTime": TIME, "eventType": "AwsApiCall", "eventID": name, **more}).encode()


def log_file(*names: str) -> bytes:
    return b'{"Records":[%s]}' % b",".join(map(record, names))


def names_of(ran: Run) -> list[str]:
    """Returns the ids of the records, of which the last may be cut."""
    return [re.findall(rb'"eventID": "(\w+)"', event.data)[0].decode() for event in ran.events]


def write_folder(folder: Path, files: dict[str, bytes]) -> str:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return str(folder)


def test_folder_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path,
        {
            "b.json": log_file("4", "5"),
            "a/2.json.gz": gzip.compress(log_file("3")),
            "a/1/z.json": log_file("1", "2"),
            "c.json.gz": log_file("6"),
            # Other files are not logs.
            "a.txt": b"text",
            "a/json": log_file("not read"),
            "b.gz": gzip.compress(log_file("not read")),
            "z/lines.jsonl": b"{}",
        },
    )
    (tmp_path / "d.json").symlink_to("b.json")
    (tmp_path / "loop").symlink_to(tmp_path)
    ran = run(CLOUDTRAIL, folder)
    assert names_of(ran) == ["1", "2", "3", "4", "5", "6", "4", "5"]
    assert {(event.timestamp, event.source) for event in ran.events} == {(NANOSECONDS, "aws_cloudtrail")}
    assert (ran.result, ran.log) == ("eof", [])


def test_faults_of_a_folder_are_logged_and_hide_no_other_file(tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path,
        {
            "a.json": log_file("1"),
            "b.json.gz": gzip.compress(log_file("2"))[:-12],
            "c.json": b"text",
            "d.json": b"{}",
            "e.json": log_file(),
            "f.json": b'{"digestStartTime": "2026-01-01T00:00:00Z"}',
            "g/CloudTrail-Digest/a.json.gz": b"",
            "h.json": b'{"Records":[%s,%s,7]}' % (record("x" * 200), record("3")),
            "j.json": log_file("4"),
        },
    )
    (tmp_path / "i.json").symlink_to("missing")
    ran = run(CLOUDTRAIL, folder, config={"maxEventSize": 150})
    assert names_of(ran) == ["1", "2", "3", "4"]
    assert ran.result == "eof"
    # The SDK reports the second event, which is cut.
    assert [
        (line.severity, line.text.replace(f"{tmp_path}/", "")) for line in ran.log if "event 2" not in line.text
    ] == [
        ("error", "b.json.gz: the gzip data is truncated: copy the file again"),
        ("error", "c.json: has no readable Records: JSON is malformed: invalid character (byte 4)"),
        ("error", "d.json: has no Records: only log files of CloudTrail can be read"),
        ("warning", "h.json: elements of Records that are not objects were skipped: 1"),
        ("warning", "h.json: records larger than 150 bytes were skipped: 1: raise maxEventSize"),
        ("error", "i.json: No such file or directory"),
    ]


def test_file_that_vanishes_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_folder(tmp_path, {f"{name}.json": log_file(number) for name, number in zip("abc", "123", strict=True)})
    plugin = CloudTrail()
    files = Files(str(tmp_path), 1000, Context(), plugin, plugin.log)
    (tmp_path / "b.json").unlink()
    assert files.next_batch(files.events) == 2
    assert [event.data for event in files.events] == [record("1"), record("3")]
    assert caplog.messages == [f"{tmp_path}/b.json: No such file or directory"]
    assert files.progress() == (1.0, "3 of 3 files")
    assert (plugin.files.value, plugin.unreadable_files.value, plugin.records.value) == (2, 1, 2)
    assert plugin.bytes_read.value == 2 * len(log_file("1"))


@pytest.mark.parametrize(
    ("content", "delivered", "error"),
    [
        (b"text", [], "has no readable Records: JSON is malformed"),
        (b"", [], "has no readable Records: Input data was truncated"),
        (b'{"Records":[%s,%s' % (record("1"), record("2")[:-1]), ["1", "2"], ""),
        (gzip.compress(log_file("1"))[:-9], ["1"], "the gzip data is truncated: copy the file again"),
    ],
    ids=["text", "empty", "cut", "cut gzip"],
)
def test_damaged_file_is_an_error(content: bytes, delivered: list[str], error: str, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(content)
    ran = run(CLOUDTRAIL, str(tmp_path / "log"))
    assert ran.result == ("failure" if error else "eof"), ran.error
    assert names_of(ran) == delivered
    if error:
        assert f"{tmp_path}/log: {error}" in str(ran.error)


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ("", "open_params is empty: set it to a file, a folder, s3://bucket/prefix or sqs://queue"),
        (
            "{}/missing",
            "open_params: {}/missing cannot be read: No such file or directory: set it to a log file or a folder",
        ),
        ("{}", "open_params: {} has no files .json or .json.gz: set it to a folder of log files"),
    ],
)
def test_open_rejects_invalid_params(params: str, error: str, tmp_path: Path) -> None:
    plugin = CloudTrail()
    plugin.config = Config()
    with pytest.raises((ValueError, OSError)) as raised:
        plugin.open(params.format(tmp_path), Context())
    assert error.format(tmp_path) in str(raised.value)


def test_configuration_has_the_keys_and_defaults_of_the_official_plugin(tmp_path: Path) -> None:
    (tmp_path / "log.json").write_bytes(log_file("1"))
    official = {
        "s3DownloadConcurrency": 32,
        "s3Interval": "",
        "s3AccountList": "",
        "sqsDelete": True,
        "sqsOwnerAccount": "",
        "useAsync": True,
        "useS3SNS": False,
        "aws": {"profile": "", "region": "", "config": "", "credentials": ""},
    }
    for config in ("", official):
        assert names_of(run(CLOUDTRAIL, str(tmp_path / "log.json"), config=config)) == ["1"]
    wrong = run(CLOUDTRAIL, str(tmp_path / "log.json"), config={"s3DownloadConcurrency": 0, "awz": {}})
    assert wrong.result == "failure"
    assert "s3DownloadConcurrency: expected at least 1" in str(wrong.error)
    assert "awz: unknown key" in str(wrong.error)


@pytest.mark.parametrize(
    ("accounts", "expected"),
    [
        ("", []),
        ("123456789012", ["123456789012"]),
        (" 123456789012 ,, 210987654321,", ["123456789012", "210987654321"]),
        (123456789012, ["123456789012"]),
        # YAML has removed the zeros of a number.
        (12345678912, ["012345678912"]),
    ],
)
def test_account_ids_may_be_numbers(accounts: str | int, expected: list[str]) -> None:
    config = Config(s3_account_list=accounts, sqs_owner_account=accounts)
    assert config.accounts == expected
    if len(expected) < 2:
        assert config.queue_owner == "".join(expected)


def test_other_spellings_of_the_official_readme_are_accepted() -> None:
    text = b'{"S3Interval": "5d", "S3AccountList": 12345678912, "SQSOwnerAccount": "123456789012"}'
    config = msgspec.json.decode(text, type=Config)
    assert (config.s3_interval, config.accounts, config.queue_owner) == ("5d", ["012345678912"], "123456789012")
    with pytest.raises(msgspec.ValidationError, match="s3Interval is set twice, in two spellings: remove one of them"):
        msgspec.json.decode(b'{"S3Interval": "5d", "s3Interval": "1d"}', type=Config)
