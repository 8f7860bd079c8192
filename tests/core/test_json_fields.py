"""Tests that `json_field` returns the same values as the reference parser `json_walk`, in any order of reading."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.json_documents import Read, any_documents, assert_same, reads_of, valid_documents
from support.json_walk import Document

from falco_plugin import Event

needs_gigabytes = pytest.mark.skipif(
    os.environ.get("HYPOTHESIS_PROFILE") != "slow", reason="needs gigabytes: set HYPOTHESIS_PROFILE=slow"
)


@given(valid_documents.flatmap(lambda payload: st.tuples(st.just(payload), reads_of(payload))))
@pytest.mark.slow
def test_fields_equal_reference_in_any_order(case: tuple[bytes, list[Read]]) -> None:
    assert_same(*case)


@given(any_documents.flatmap(lambda payload: st.tuples(st.just(payload), reads_of(payload))))
def test_fields_equal_reference_for_damaged_documents(case: tuple[bytes, list[Read]]) -> None:
    assert_same(*case)


@given(st.binary(max_size=40))
def test_fields_equal_reference_for_any_bytes(payload: bytes) -> None:
    assert_same(payload, [Read(pattern, "string") for pattern in ("", "/*", "/0", "/a")])


@pytest.mark.parametrize("brackets", ["[]", "{}"])
@pytest.mark.parametrize("levels", [127, 128, 129, 10_000])
def test_fields_are_found_at_any_depth(brackets: str, levels: int) -> None:
    open, close = ('{"0":', "}") if brackets == "{}" else ("[", "]")
    payload = (open * (levels - 1) + brackets + close * (levels - 1)).encode()
    innermost = Read("/0" * (levels - 1), "string")
    assert_same(payload, [Read(pointer, "string") for pointer in ("", "/0", "/0/0")] + [innermost])
    assert innermost.get(Event(payload)) == brackets


def test_values_above_cache_limit_are_equal() -> None:
    elements = [f'{{"id": {number}, "tags": ["{number}"]}}' for number in range(3000)]
    payload = f'{{"list": [{", ".join(elements)}], "end": true}}'.encode()
    choose = random.Random(1)
    reads = [Read("/end", "bool"), Read("/list/*/tags/*", "string"), Read("/list/*/id", "uint64")]
    reads += [Read("/list/{index}/id", "uint64", choose.randrange(3100)) for _ in range(20)]
    document = Document(payload)
    expected = {read: read.get_expected(document) for read in reads}
    for _ in range(4):
        choose.shuffle(reads)
        event = Event(payload)
        for read in reads:
            assert read.get(event) == expected[read]


# Large payloads, each in a separate process

READ_SCRIPT = """
import sys
from pathlib import Path

from falco_plugin import Event, json_field

MEGABYTE = 1 << 20


def peak():
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) << 10


payload, reads, expected, megabytes = (eval(argument) for argument in sys.argv[1:])
event = Event(payload)
# Reset the peak, so that it measures only the reads below.
Path("/proc/self/clear_refs").write_text("5")
before = peak()
for order in (reads, reads[::-1]):
    found = [json_field("a.field", pointer, type=type, desc="A field")(event) for pointer, type in order]
    assert [len(value) if isinstance(value, (str, list)) else value for value in found] == expected
    expected = expected[::-1]
    del found
assert peak() - before < megabytes * MEGABYTE, (peak() - before) / MEGABYTE
"""

ELEMENTS = "b'[' + b'1,' * 10_000_000 + b'true]'"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("payload", "reads", "expected", "megabytes"),
    [
        pytest.param(
            "b'{\"a\": \"' + b'x' * 100_000_000 + b'\"}'",
            "[('/a', int), ('/a', str), ('/a/0', str), ('/b', str)]",
            "[None, 100_000_000, None, None]",
            300,
            id="one string",
        ),
        pytest.param(
            ELEMENTS,
            "[('/10000000', bool), ('/*', list[bool]), ('/10000001', bool), ('/a', str)]",
            "[True, 1, None, None]",
            16,
            id="many elements",
        ),
        pytest.param(
            ELEMENTS, "[('/*', list[int])]", "[10_000_000]", 1024, id="a list of many elements", marks=needs_gigabytes
        ),
        pytest.param(
            "b'[' * 50_000_000",
            "[('', str), ('/0', str), ('/*', list[str]), ('/0/0/0', int)]",
            "[None] * 4",
            16,
            id="many brackets",
        ),
        pytest.param(
            "b'{' + b','.join(b'\"%d\": %d' % (n, n) for n in range(1_000_000)) + b'}'",
            "[('/999999', int), ('/1000000', int), ('/5', int), ('', bool)]",
            "[999_999, None, 5, None]",
            16,
            id="many members",
        ),
    ],
)
def test_large_payload_needs_bounded_memory(payload: str, reads: str, expected: str, megabytes: int) -> None:
    process = subprocess.run(
        [sys.executable, "-c", READ_SCRIPT, payload, reads, expected, str(megabytes)], capture_output=True, check=False
    )
    assert process.returncode == 0, process.stderr.decode()
