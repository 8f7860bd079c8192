"""Tests the arguments and results of `source.split_json`. Unit tests in Rust cover how it splits a payload."""

from __future__ import annotations

import json
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falco_plugin.source import EventBatch, split_json

PAYLOAD = b'{"a": 1}\n{"b": "\xff"}\n'
RECORDS = [b'{"a": 1}', b'{"b": "\xff"}']


@pytest.mark.parametrize(
    "make_buffer",
    [bytes, bytearray, memoryview, lambda data: array("B", data)],
    ids=["bytes", "bytearray", "memoryview", "array"],
)
def test_split_json_accepts_any_buffer(make_buffer):
    records = split_json(make_buffer(PAYLOAD))
    assert records == RECORDS
    assert {type(record) for record in records} == {bytes}


def test_split_json_reads_a_sliced_memoryview():
    assert split_json(memoryview(b"-".join(PAYLOAD[i : i + 1] for i in range(len(PAYLOAD))))[::2]) == RECORDS


def test_split_json_returns_a_single_record_without_a_copy():
    payload = b' {"a": 1}\n'
    assert split_json(payload)[0] is payload


def test_split_json_splits_large_payloads():
    records = [json.dumps({"number": number, "text": "x" * 100}).encode() for number in range(5000)]
    for separator in (b"", b"\n", b","):
        assert split_json(separator.join(records)) == records
    assert split_json(b"[" * 5_000_000) == [b"[" * 5_000_000]


def test_split_json_accepts_lines_and_items():
    assert split_json(b"one\ntwo\n") == [b"one\ntwo\n"]
    assert split_json(b"one\ntwo\n", lines=True) == [b"one", b"two"]
    assert split_json(b'{"items": [1, {}]}', items="items") == [b"1", b"{}"]
    assert split_json('{"ítems": [1]}'.encode(), items="ítems") == [b"1"]


def test_split_json_returns_records_with_their_times():
    second = 1_795_593_600_000_000_000
    payload = b'{"items": [{"at": {"time": "2026-11-25T09:00:00+01:00"}}, {"at": {"time": 1795593601}}, {"at": {}}, 5]}'
    expected = [
        (b'{"at": {"time": "2026-11-25T09:00:00+01:00"}}', second),
        (b'{"at": {"time": 1795593601}}', second + 10**9),
        (b'{"at": {}}', None),
        (b"5", None),
    ]
    records = split_json(payload, items="items", timestamp="/at/time")
    assert records == expected
    batch = EventBatch()
    batch.extend(records)
    assert [(event.data, event.timestamp) for event in batch] == expected
    for damaged in (payload[:-2], payload.replace(b", 5", b": 5"), b"\n" + payload.replace(b"5]", b"\n5]")):
        assert split_json(damaged, items="items", timestamp="/at/time") == expected
    assert split_json(b'{"t": "2026-11-25T08:00:00Z"} ', timestamp="/t") == [
        (b'{"t": "2026-11-25T08:00:00Z"} ', second)
    ]
    assert split_json(b"text", timestamp="/t") == [(b"text", None)]
    assert split_json(b" ", timestamp="/t") == []


def test_split_json_reads_the_times_of_large_payloads():
    records = [json.dumps({"number": number, "time": number}).encode() for number in range(5000)]
    times = [number * 10**9 for number in range(5000)]
    payload = b'{"items": [%s]}' % b",".join(records)
    assert split_json(payload, items="items", timestamp="/time") == list(zip(records, times, strict=True))


@pytest.mark.parametrize("wrong", ["time", "/*/time", "/{key}", "/{index}", "{pointer}"])
def test_split_json_rejects_a_timestamp_that_is_not_one_value(wrong):
    with pytest.raises(ValueError, match="timestamp: the pointer "):
        split_json(b"{}", timestamp=wrong)


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ((), {}),
        (("{}",), {}),
        ((None,), {}),
        ((5,), {}),
        ((b"", b""), {}),
        ((b"",), {"lines": 1}),
        ((b"",), {"items": b""}),
        ((b"",), {"timestamp": b""}),
    ],
    ids=["no payload", "str", "None", "int", "two payloads", "int as lines", "bytes as items", "bytes as timestamp"],
)
def test_split_json_rejects_other_arguments(arguments, options):
    with pytest.raises(TypeError):
        split_json(*arguments, **options)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=3), values, max_size=3),
    max_leaves=8,
)


@given(
    st.lists(st.dictionaries(st.text(max_size=3), JSON, max_size=3), min_size=2, max_size=5),
    st.sampled_from([None, 2]),
    st.sampled_from(["", "\n", " , "]),
)
def test_split_json_returns_each_object_of_payload(objects, indent, separator):
    encoded = [json.dumps(each, indent=indent, ensure_ascii=False).encode() for each in objects]
    assert split_json(separator.encode().join(encoded)) == encoded
    assert split_json(b"[%s]" % b",".join(encoded)) == encoded
