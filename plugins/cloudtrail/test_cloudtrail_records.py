"""Tests how a file is split into records, whatever is wrong with it."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugins.cloudtrail import inflate
from plugins.cloudtrail.records import RecordsError, read_records

TIME = "2026-01-01T00:00:01Z"
NANOSECONDS = 1_767_225_601_000_000_000


def record(name: str, **more: object) -> bytes:
    """Returns a record whose id is ``name``."""
    return json.dumps({"eventTime": TIME, "eventType": "AwsApiCall", "eventID": name, **more}).encode()


def log_file(*records: bytes) -> bytes:
    return b'{"Records":[%s]}' % b",".join(records)


def compress(content: bytes) -> bytes:
    # Without the current time, so that each process collects the same tests.
    return gzip.compress(content, mtime=0)


A, B, C = record("a"), record("b"), record("c")


def read(content: bytes, size: int = 1 << 20, name: str = "log.json") -> tuple[list[bytes], str]:
    """Returns the records before an error, and the error."""
    records: list[bytes] = []
    try:
        for data, _ in read_records(content, name, size):
            records.append(data)
    except RecordsError as error:
        return records, str(error)
    return records, ""


@pytest.mark.parametrize("pack", [bytes, compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("content", "records"),
    [
        (log_file(A), [A]),
        (log_file(A, B, C), [A, B, C]),
        (log_file(), []),
        (b' {"more": [{}], "Records" : [ %s\n,\t%s ] , "n": 1}\n' % (A, B), [A, B]),
        (log_file(b'{"n":1.0e3,"n":12345678901234567890,"t":"\\u0041"}'),) * 2,
        (
            log_file(record("a", eventType="AwsCloudTrailInsight"), B, record("c", eventType="AwsCloudTrailInsight")),
            [B],
        ),
        (log_file(record("a", requestParameters={"eventType": "AwsCloudTrailInsight"})),) * 2,
    ],
)
def test_records_are_unchanged(pack: Callable[[bytes], bytes], content: bytes, records: list[bytes] | bytes) -> None:
    expected = json_bytes(records) if isinstance(records, bytes) else records
    assert read(pack(content)) == (expected, "")


def json_bytes(file: bytes) -> list[bytes]:
    return [file.removeprefix(b'{"Records":[').removesuffix(b"]}")]


def test_gzip_streams_in_a_row_are_one_file() -> None:
    content = log_file(A, B)
    assert read(compress(content[:20]) + compress(content[20:]) + bytes(100)) == ([A, B], "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TIME, NANOSECONDS),
        ("2026-01-01T01:00:01.5+01:00", NANOSECONDS + 500_000_000),
    ],
)
def test_time_of_a_record_is_its_event_time(text: str, expected: int) -> None:
    assert [time for _, time in read_records(log_file(record("a", eventTime=text)), "log.json", 1000)] == [expected]


@pytest.mark.parametrize("wrong", ["yesterday", "", None, [], {}, "0001-01-01T00:00:00Z"])
def test_record_without_a_readable_time_has_the_current_one(wrong: object, caplog: pytest.LogCaptureFixture) -> None:
    before = time.time_ns()
    ((_, found), (_, other)) = read_records(log_file(record("a", eventTime=wrong), B), "log.json", 1000)
    assert before <= found <= time.time_ns()
    assert other == NANOSECONDS
    assert "log.json: records without a readable eventTime have the current time: 1" in caplog.text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("AWSLogs/123456789012/CloudTrail-Digest/eu-west-1/2026/01/01/file.json.gz", b"anything"),
        ("log.json", b'{"digestStartTime": "%s", "logFiles": []}' % TIME.encode()),
    ],
)
def test_digest_file_has_no_records(name: str, content: bytes) -> None:
    assert read(content, name=name) == ([], "")


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "has no readable Records: Input data was truncated"),
        (b"text", "has no readable Records: JSON is malformed"),
        (b"{}", "has no Records: only log files of CloudTrail can be read"),
        (b'{"Records": null}', "has no Records"),
        (b'{"Records": 5}', "has no readable Records: Expected `array | null`, got `int`"),
        (b'[{"Records": []}]', "has no readable Records: Expected `object`, got `array`"),
        (A, "has no Records"),
        (A + b"\n" + B, "has no readable Records"),
        (b'{"Records": null, "Records": [{}]}', "has no readable Records: the name is written twice, or with escapes"),
        (b'{"R\\u0065cords": [{}]}', "has no readable Records: the name is written twice, or with escapes"),
        (b"[" * 100_000, "has no readable Records"),
        (compress(log_file(A))[:10], "has no readable Records: the gzip data is truncated"),
        (b"\x1f\x8btext of a file", "has no readable Records: the gzip data is damaged"),
    ],
    ids=lambda value: repr(value[:30]),
)
def test_other_file_is_an_error_with_its_name_and_cause(content: bytes, cause: str) -> None:
    records, error = read(content)
    assert records == []
    assert error.startswith(f"log.json: {cause}")


def random_records(count: int) -> list[bytes]:
    return [
        record(f"{number * 7919 % 10007:05}", padding=f"{number * 0x9E3779B1 % 2**32:x}") for number in range(count)
    ]


@pytest.mark.parametrize("cut", [0.5, 0.9, 0.999])
def test_truncated_gzip_gives_its_readable_records_then_an_error(cut: float) -> None:
    records = random_records(2000)
    data = compress(log_file(*records))
    found, error = read(data[: int(len(data) * cut)])
    assert 0.4 * cut < len(found) / len(records) <= 1
    # The last record may be cut.
    assert found[:-1] == records[: len(found) - 1]
    assert error == "log.json: the gzip data is truncated: copy the file again"


def test_damaged_gzip_gives_the_records_before_the_fault_then_an_error() -> None:
    records = random_records(2000)
    data = bytearray(compress(log_file(*records)))
    data[len(data) // 2 : len(data) // 2 + 100] = bytes(100)
    found, error = read(bytes(data))
    assert len(found) > 500
    assert found[:500] == records[:500]
    assert error == "log.json: the gzip data is damaged: copy the file again"


def test_content_beyond_the_limit_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflate, "_LARGEST", 200)
    found, error = read(compress(log_file(A, B, C)))
    assert found[0] == A
    assert error == "log.json: is larger than 200 bytes uncompressed: split it"


DAMAGED = [
    b'{"eventID":"d","requestParameters":"\xff\xc3("}',
    b'{"eventID":"d","requestParameters":"\\x5C\\u12 \\ud800"}',
    b'{"eventID":"d","requestParameters":[NaN,-Infinity,007,+1,1.]}',
    b'{"eventID":"d","requestParameters":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    b'{"eventID":"d","requestParameters" {"a" 1}}',
]


@pytest.mark.parametrize("damaged", DAMAGED, ids=lambda damaged: repr(damaged[30:60]))
def test_damaged_record_is_delivered_and_hides_no_other(damaged: bytes) -> None:
    assert read(log_file(A, damaged, B)) == ([A, damaged, B], "")


@pytest.mark.parametrize(
    ("content", "is_damaged"),
    [
        (log_file(A, B)[:-1], True),
        (log_file(A, B)[:-2], True),
        (log_file(A, B)[:-3], True),
        (log_file(A, B) + b"}", True),
        (log_file(A, B) + b"\n", False),
        (b'{"Records":[%s,%s],"n":1}' % (A, B), False),
        (log_file(A) + log_file(B), False),
    ],
)
def test_file_without_its_end_is_reported(content: bytes, is_damaged: bool, caplog: pytest.LogCaptureFixture) -> None:
    assert len(read(content)[0]) == 2
    assert ("log.json: is damaged, and its records are read as far as possible: " in caplog.text) == is_damaged


def test_oversized_records_and_other_elements_are_skipped_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    large = record("large", padding="x" * 100)
    assert read(log_file(large, A, b"5", b"[]", large, B), len(A)) == ([A, B], "")
    assert f"log.json: records larger than {len(A)} bytes were skipped: 2: raise maxEventSize" in caplog.text
    assert "log.json: elements of Records that are not objects were skipped: 2" in caplog.text


@given(
    st.lists(st.text(max_size=20), max_size=4), st.sampled_from([b"%s", b'{"Records":[%s]}', b"[%s,{}]"]), st.booleans()
)
def test_records_with_arbitrary_strings_are_found(strings: list[str], form: bytes, is_ascii: bool) -> None:
    items = [
        b'{"n":%d,"value":%s}' % (number, form % json.dumps(text, ensure_ascii=is_ascii).encode(errors="replace"))
        for number, text in enumerate(strings)
    ]
    assert read(log_file(*items)) == (items, "")


@given(st.binary(max_size=60))
def test_any_bytes_give_records_or_an_error(content: bytes) -> None:
    for data in (content, b"\x1f\x8b\x08" + content, b'{"Records":[' + content):
        read(data)


def test_parsed_times_agree_with_datetime() -> None:
    texts = [
        f"2026-02-{day:02}T{hour:02}:59:{second:02}Z" for day, hour, second in [(1, 0, 0), (28, 23, 59), (9, 1, 7)]
    ]
    file = log_file(*(record("a", eventTime=text) for text in texts * 2))
    expected = [int(datetime.fromisoformat(text).astimezone(UTC).timestamp()) * 10**9 for text in texts * 2]
    assert [time for _, time in read_records(file, "log.json", 1000)] == expected
