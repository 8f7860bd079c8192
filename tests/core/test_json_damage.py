"""Tests that a fault in a JSON payload hides at most the value that contains it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.json_documents import (
    Read,
    assert_same,
    escape,
    faulty_containers,
    faulty_scalars,
    faulty_values,
    valid_documents,
    with_type,
)
from support.json_walk import Document, tokens

from falco_plugin import Event

# One faulty value


@st.composite
def documents_with_a_faulty_value(draw: st.DrawFn) -> tuple[bytes, bytes, str]:
    """Draws a valid document, a copy with one faulty value, and the pointer to that value."""
    payload = draw(valid_documents)
    pointer, node = draw(st.sampled_from(list(Document(payload).pointers())[1:] or [("", None)]))
    assume(node is not None)
    faulty = draw(st.one_of(faulty_scalars, faulty_containers(faulty_values)))
    # Outside of strings and containers, these bytes could look like the end of the value.
    assume(not set(faulty) & set(b',{}[]"') or faulty[:1] in (b'"', b"{", b"["))
    return payload, payload[: node.start] + faulty + payload[node.end :], pointer


@given(documents_with_a_faulty_value())
@pytest.mark.slow
def test_fault_costs_at_most_its_value(case: tuple[bytes, bytes, str]) -> None:
    whole, damaged, faulty_pointer = case
    before, after = Event(whole), Event(damaged)
    for pointer, _ in Document(whole).pointers():
        if not f"{pointer}/".startswith(f"{faulty_pointer}/") and not faulty_pointer.startswith(f"{pointer}/"):
            pattern = "".join(f"/{escape(token)}" for token in tokens(pointer))
            for kind in ("string", "uint64", "abstime"):
                read = Read(pattern, kind)
                assert with_type(read.get(after)) == with_type(read.get(before)), read


# One case for each rule

ABSENT = None


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        pytest.param(b'{"a": {"x": 1, "y" 2}, "b": 3}', {"/a/x": "1", "/a/y": ABSENT, "/b": "3"}, id="no colon"),
        pytest.param(b'{"a": {"x": 1, "y" 2}}', {"/a": '{"x":1,"y"2}'}, id="string form of a faulty object"),
        pytest.param(b'{"a": {"x": 1, "b', {"/a/x": "1", "/a": ABSENT, "": ABSENT}, id="cut off in a key"),
        pytest.param(b'{"a": {"x": 1, "b": "tex', {"/a/x": "1", "/a/b": ABSENT}, id="cut off in a string"),
        pytest.param(b'{"a": 1, "b": 12', {"/a": "1", "/b": ABSENT}, id="cut off in a number"),
        pytest.param(b'{"a": 1, "b": 12 ', {"/a": "1", "/b": ABSENT}, id="cut off after a number"),
        pytest.param(b'{"a": 1, "b": "c"', {"/a": "1", "/b": "c"}, id="cut off after a string"),
        pytest.param(b'{"a": 1, "b": [1]', {"/b": "[1]", "": ABSENT}, id="cut off after an array"),
        pytest.param(b"[1, 2", {"/0": "1", "/1": ABSENT}, id="array cut off"),
        pytest.param(b'{"a": [1, 2}, "b": 3}', {"/a/1": "2", "/a": "[1,2}", "/b": "3"}, id="wrong closing bracket"),
        pytest.param(b'{"a": 1 "b": 2}', {"/a": "1", "/b": ABSENT}, id="no comma"),
        pytest.param(b'{"a": "x" y, "b": 2}', {"/a": "x", "/b": ABSENT}, id="text after a string"),
        pytest.param(
            b'{"a": x{"b": 1}, "c": 2}', {"/a": "x", "/a/b": ABSENT, "/c": ABSENT}, id="no comma before an object"
        ),
        pytest.param(b'{"a": , "b": 2}', {"/a": ABSENT, "/b": "2"}, id="missing value"),
        pytest.param(b'{"a": , "a": 2}', {"/a": ABSENT}, id="missing value precedes an equal key"),
        pytest.param(b'{"a": null, "a": 2}', {"/a": ABSENT}, id="null precedes an equal key"),
        pytest.param(b'{"a": 1, "\\u0061": 2}', {"/a": "1"}, id="equal keys in two spellings"),
        pytest.param(b'{"\xff": 1, "\xfe": 2}', {"/\ufffd": "1"}, id="equal keys that are not UTF-8"),
        pytest.param(b'{,"a": 1,, "b": 2,}', {"/a": "1", "/b": "2"}, id="commas in an object"),
        pytest.param(b"[1,,2,]", {"/1": ABSENT, "/2": "2", "/3": ABSENT}, id="commas in an array"),
        pytest.param(b'{"a": 1, b: 2, "c": 3}', {"/a": "1", "/b": ABSENT, "/c": ABSENT}, id="key without quotes"),
        pytest.param(b'{"a": 1}}{"b": 2} x', {"/a": "1", "/b": ABSENT, "": '{"a":1}'}, id="text after the document"),
        pytest.param(b'\xef\xbb\xbf{"a": 1}', {"/a": "1"}, id="byte order mark"),
        pytest.param(b'\0\0 \xef\xbb\xbf\n{"a": 1}', {"/a": "1"}, id="NULs and a byte order mark"),
        pytest.param(b'x{"a": 1}', {"/a": ABSENT, "": ABSENT}, id="text before the document"),
        pytest.param(b'{"a": "Zend\\x5CHttp", "b": 2}', {"/a": "Zend\\x5CHttp", "/b": "2"}, id="unknown escape"),
        pytest.param(b'{"a": "\\u12G4\\u1", "b": 2}', {"/a": "\\u12G4\\u1", "/b": "2"}, id="malformed escape"),
        pytest.param(b'{"a": "b\tc\nd", "b": 2}', {"/a": "b\tc\nd", "/b": "2"}, id="control characters"),
        pytest.param(b'{"a": "b\0c\\u0000", "b": 2}', {"/a": "b\ufffdc\ufffd", "/b": "2"}, id="NULs in a string"),
        pytest.param(b'{"a": "\\ud83dx\\ude00", "b": 2}', {"/a": "\ufffdx\ufffd", "/b": "2"}, id="half surrogates"),
        pytest.param(b'{"a": "\xe2\x82x\xff", "b": 2}', {"/a": "\ufffd\ufffdx\ufffd", "/b": "2"}, id="not UTF-8"),
        pytest.param(b'{"a": [ "\\\xff\0" , 1 ]}', {"/a": '["\\\ufffd\ufffd",1]'}, id="string form of a faulty array"),
        pytest.param(b'{"a": NaN, "b": -Infinity}', {"/a": "NaN", "/b": "-Infinity"}, id="NaN and Infinity"),
        pytest.param(
            b'{"a": 007, "b": +1, "c": 0x1F}', {"/a": "007", "/b": "+1", "/c": "0x1F"}, id="numbers that are not JSON"
        ),
        pytest.param(b'{"a": tr\xffe, "b": a b: c }', {"/a": "tr\ufffde", "/b": "a b: c"}, id="strings without quotes"),
        pytest.param(b"NaN", {"": "NaN"}, id="NaN as root"),
        pytest.param(b" -12\0", {"": "-12"}, id="number as root"),
        pytest.param(b"12,", {"": ABSENT}, id="text after a number"),
        pytest.param(b"text", {"": ABSENT}, id="text as root"),
        pytest.param(b'"a" b', {"": "a"}, id="text after a string as root"),
        pytest.param(b'"a', {"": ABSENT}, id="string as root cut off"),
    ],
)
def test_damaged_document_is_read_up_to_fault(payload: bytes, expected: dict[str, Any]) -> None:
    reads = [Read(pointer, "string") for pointer in expected]
    assert [read.get(Event(payload)) for read in reads] == list(expected.values())
    assert_same(payload, reads)


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        *[("uint64", text, 33) for text in ("33", "33.0", "3.3e1", "330e-1", "0.33E+2", "033", "+33", "33.")],
        *[("uint64", text, 5) for text in (".5e1", "5.e0", "00005.000", "5" + "0" * 5000 + "e-5000")],
        *[("uint64", text, 0) for text in ("-0", "-0.0", "0e" + "9" * 30, "0." + "0" * 5000)],
        *[("uint64", text, 2**64 - 1) for text in ("18446744073709551615", "18446744073709551615.0")],
        *[("uint64", text, ABSENT) for text in ("18446744073709551616", "1e20", "-1", "1.5", "1e-1", "1e" + "9" * 30)],
        *[("uint64", text, ABSENT) for text in ("", "-", ".", "e5", "1e", "0x1F", "1_0", "٣", "NaN", "true", "null")],
        *[("uint64", f'"{text}"', 33) for text in ("33", "33.0", "+33", "\\u0033\\u0033")],
        *[("uint64", f'"{text}"', ABSENT) for text in ("", " 33", "33 ", "33\\n", "x")],
        *[("bool", text, True) for text in ("true", '"true"', '"\\u0074rue"')],
        *[("bool", text, False) for text in ("false", '"false"')],
        *[("bool", text, ABSENT) for text in ("True", '"TRUE"', '" true"', "1", "tru", "null", '"null"')],
        ("string", '"null"', "null"),
        ("string", "null", ABSENT),
    ],
)
def test_value_is_read_in_each_notation(kind: str, text: str, expected: Any) -> None:
    payload = f'{{"a": {text}, "b": 1}}'.encode()
    read = Read("/a", kind)
    assert with_type(read.get(Event(payload))) == with_type(expected)
    assert_same(payload, [read])


# A sample with damage at each offset

SAMPLE = (
    rb'{"verb":"get\u00e9","n" : 12,"list":[ {"x":1.5,"y":[true,"10.0.0.1"]},{"x":"b"},null,[],{}],'
    rb'"k\u0061":{"":"2024-02-29T12:00:00Z","deep":[[["\ud83d\ude00 \" ] }"]]]},"verb":"second","end":-0}'
)
SAMPLE_READS = [
    Read("/verb", "string"),
    Read("/n", "uint64"),
    Read("/list/*/x", "string"),
    Read("/list/{index|*}/y/*", "bool"),
    Read("/list/{index}/y/1", "ipaddr", 0),
    Read("/ka/", "abstime"),
    Read("/{key}", "string", None, "ka"),
    Read("{pointer}", "string", None, "/ka/deep/0/0"),
    Read("/end", "uint64"),
    Read("", "string"),
]


@pytest.mark.parametrize("order", [SAMPLE_READS, SAMPLE_READS[::-1]], ids=["forwards", "backwards"])
def test_truncated_document_has_values_before_cut(order: list[Read]) -> None:
    whole = Document(SAMPLE)
    for cut in range(len(SAMPLE)):
        event = Event(SAMPLE[:cut])
        for read in order:
            value, undamaged = read.get(event), read.get_expected(whole)
            if read.is_list and value is not None:
                undamaged = undamaged[: len(value)]
            assert value in (None, undamaged)
        assert_same(SAMPLE[:cut], order)


@pytest.mark.slow
def test_changed_byte_is_read_consistently() -> None:
    for offset, byte in itertools.product(range(len(SAMPLE)), b'"\\,]}{[:0x \x00\xff'):
        payload = bytearray(SAMPLE)
        payload[offset] = byte
        document, event = Document(bytes(payload)), Event(payload)
        for read in SAMPLE_READS:
            assert read.get(event) == read.get_expected(document), payload
