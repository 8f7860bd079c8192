"""Tests that `Event.json` equals Python's json for valid documents and has the readable part of damaged ones."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from support.json_documents import any_documents, valid_documents
from support.json_values import decode_string
from support.json_walk import Document

from falco_plugin import Event, NoJsonError


@given(valid_documents)
@pytest.mark.slow
def test_json_equals_python_json_for_valid_documents(payload: bytes) -> None:
    def keep_first(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {replace_surrogates(key): value for key, value in reversed(pairs)}

    loaded = json.loads(payload.decode(), object_pairs_hook=keep_first)
    assert comparable(Event(payload).json) == comparable(replace_surrogates(loaded))


@given(any_documents)
def test_json_equals_reference_for_damaged_documents(payload: bytes) -> None:
    try:
        expected = Document(payload).objects()
    except ValueError:
        with pytest.raises(NoJsonError):
            Event(payload).json  # noqa: B018
    else:
        assert comparable(Event(payload).json) == comparable(expected)


def replace_surrogates(tree: Any) -> Any:
    """Replaces unpaired surrogates in the objects of Python's json with U+FFFD, as UTF-8 requires."""
    if isinstance(tree, dict):
        return {key: replace_surrogates(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [replace_surrogates(element) for element in tree]
    return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in tree) if type(tree) is str else tree


def comparable(tree: Any) -> str:
    """Returns objects as a string in which NaN equals NaN, 1 differs from 1.0 and True, and keys are sorted."""
    if isinstance(tree, dict):
        return f"{{{', '.join(f'{key!r}: {comparable(tree[key])}' for key in sorted(tree))}}}"
    return f"[{', '.join(map(comparable, tree))}]" if isinstance(tree, list) else repr(tree)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        pytest.param(b'{"a": {"x": 1, "y" 2}, "b": 3}', {"a": {"x": 1}, "b": 3}, id="no colon"),
        pytest.param(b'{"a": [1, {"b": "c", "d": "e', {"a": [1, {"b": "c"}]}, id="cut off in a string"),
        pytest.param(b'{"a": [1, 2', {"a": [1]}, id="cut off in a number"),
        pytest.param(b"[", [], id="cut off after the first bracket"),
        pytest.param(b'{"a": , "a": 1, "b": [1,,]}', {"a": None, "b": [1, None]}, id="missing value"),
        pytest.param(b'{"a": 1, "a": 2, "\\u0061": 3}', {"a": 1}, id="equal keys"),
        pytest.param(b'\xef\xbb\xbf\0{"a": 1} x', {"a": 1}, id="bytes around the document"),
        pytest.param(b"[NaN, Infinity, -Infinity]", [float("nan"), float("inf"), -float("inf")], id="NaN and Infinity"),
        pytest.param(b"[nan, 007, +1, 5., .5, 0x1F]", ["nan", "007", "+1", "5.", ".5", "0x1F"], id="other numbers"),
        pytest.param(b"[tru, a b: c, '\xff']", ["tru", "a b: c", "'\ufffd'"], id="strings without quotes"),
        pytest.param(
            b'["\xff\xe2\x82", "\\x5C", "a\0\tb"]',
            ["\ufffd\ufffd\ufffd", "\\x5C", "a\0\tb"],
            id="invalid bytes in strings",
        ),
        pytest.param(b'["\\ud83d", "\\ud83d\\ude00", "\\u0000"]', ["\ufffd", "😀", "\0"], id="surrogates"),
        pytest.param(b'{"\xff\\ud83d": 1}', {"\ufffd\ufffd": 1}, id="invalid bytes in a key"),
        pytest.param(b"-0", 0, id="negative zero"),
        pytest.param(b"NaN", float("nan"), id="NaN alone"),
        pytest.param(b"007", "007", id="number with zeros alone"),
        pytest.param(b"null", None, id="null alone"),
        pytest.param(b"9" * 4000, int("9" * 4000), id="integer of 4,000 digits"),
        pytest.param(b"-" + b"9" * 4000, -int("9" * 4000), id="negative integer of 4,000 digits"),
        pytest.param(b"1" + b"0" * 4000, float("inf"), id="integer of 4,001 digits"),
        pytest.param(b"0" * 4001, "0" * 4001, id="4,001 zeros"),
    ],
)
def test_json_of_damaged_document_has_readable_values(payload: bytes, expected: Any) -> None:
    assert comparable(Document(payload).objects()) == comparable(expected)
    assert comparable(Event(payload).json) == comparable(expected)


@pytest.mark.parametrize("payload", [b"", b" \0", b"\xef\xbb\xbf", b"text", b'"cut off', b"1,", b"x{}", b"-", b"}"])
def test_json_raises_without_readable_value(payload: bytes) -> None:
    with pytest.raises(ValueError):
        Document(payload).objects()
    with pytest.raises(NoJsonError):
        Event(payload).json  # noqa: B018


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")], ids=["arrays", "objects"])
@pytest.mark.parametrize("is_closed", [True, False], ids=["closed", "cut off"])
def test_json_has_none_below_128_levels(opening: str, closing: str, is_closed: bool) -> None:
    levels = 10_000
    payload = (opening * levels + '"deep"' + closing * levels * is_closed).encode()
    tree = Event(payload).json
    for _ in range(128):
        (tree,) = tree if isinstance(tree, list) else tree.values()
    assert tree is None
    assert comparable(Event(payload).json) == comparable(Document(payload).objects())


def test_fields_and_json_decode_strings_alike() -> None:
    raw = bytes(range(1, 256)).replace(b'"', b"").replace(b"\\", b"") + rb"\x\u00zz\ud800\"\\"
    assert Event(b'["' + raw + b'"]').json == [decode_string(raw)]
