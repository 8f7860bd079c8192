"""Inputs for which `json_field` returns other values than the official plugins, which use github.com/valyala/fastjson.

Each difference is one row of the tables "Differs from the official plugin" in the documentation, with a document that
shows it. `test_fastjson` reads these documents with both parsers, and compares the rows with the pages.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Difference:
    """One row: a kind of input, and the values on both sides.

    Attributes:
        title: the kind of input, as on the pages.
        official: what the official plugins make of it, as the pages have it.
        here: what `json_field` makes of it, as the pages have it.
        document: an example.
        values: for each pointer, the values of fastjson and of `json_field`, read in this order; None where a field is
            absent.
    """

    title: str
    official: str
    here: str
    document: bytes
    values: dict[str, tuple[bytes | None, str | None]] = field(default_factory=dict)

    def row(self) -> str:
        return f"| {self.title} | {self.official} | {self.here} |"


OTHER_VALUES = [
    Difference(
        "a byte that is not UTF-8",
        "as it is",
        "U+FFFD, one for each byte",
        b'{"a": "x\xff\xe2\x82"}',
        {"/a": (b"x\xff\xe2\x82", "x\ufffd\ufffd\ufffd")},
    ),
    Difference(
        "a NUL in a string",
        "ends the string in rules",
        "U+FFFD",
        b'{"a": "x\\u0000y\0z"}',
        {"/a": (b"x\0y\0z", "x\ufffdy\ufffdz")},
    ),
    Difference(
        "half of a surrogate pair, such as `\\ud83d`",
        "the escape as it is written, or U+FFFD instead of it and of the escape after it",
        "U+FFFD",
        b'{"a": "\\ud83dx", "b": "\\ud83d\\u0041"}',
        {"/a": (b"\\ud83dx", "\ufffdx"), "/b": ("\ufffd".encode(), "\ufffdA")},
    ),
    Difference("`null`", "the string `null`", "absent", b'{"a": null}', {"/a": (b"null", None)}),
    Difference(
        "keys that are equal only once they are decoded",
        "a key without escapes counts before one with escapes",
        "the first counts",
        b'{"\\u0061": 1, "a": 2}',
        {"/a": (b"2", "1")},
    ),
    Difference(
        "array indexes such as `01`, `+1`, `-0` in a pointer",
        "1, 1, 0",
        "match nothing, as RFC 6901 requires",
        b"[1, 2]",
        {"/01": (b"2", None), "/+1": (b"2", None), "/-0": (b"1", None)},
    ),
    Difference(
        "an object or array, after another rule has read a value in it",
        "strings and keys in the syntax of Go",
        "as in the event",
        b'{"a": {"b": "\\u00e9\\u0001\\"", "c\\/": 1}}',
        {
            "/a/b": ('é\x01"'.encode(), 'é\x01"'),
            "/a/c~1": (b"1", "1"),
            "/a": ('{"b":"é\\x01\\"","c/":1}'.encode(), '{"b":"\\u00e9\\u0001\\"","c\\/":1}'),
        },
    ),
]
"""The values differ."""

MORE_VALUES = [
    Difference(
        "an event that is cut off",
        "no fields",
        "the fields before the cut",
        b'{"a": 1, "b": {"c": [2, "x',
        {"/a": (None, "1"), "/b/c/0": (None, "2"), "/b": (None, None)},
    ),
    Difference(
        "a missing comma, colon, key or value; a comma too many; a bracket of the wrong kind",
        "no fields",
        "all fields outside of the object or array, and those in it before the fault",
        b'{"a": {"x": 1, "y" 2}, "b": [3, 4}, "c": , "d": 5,}',
        {"/a/x": (None, "1"), "/a/y": (None, None), "/b/1": (None, "4"), "/c": (None, None), "/d": (None, "5")},
    ),
    Difference(
        "a value such as `Infinity`, `undefined`, `0x1F`, `tru`, `'x'`",
        "no fields",
        "its characters",
        b'{"a": Infinity, "b": undefined, "c": 0x1F, "d": tru, "e": \'x\'}',
        {
            "/a": (None, "Infinity"),
            "/b": (None, "undefined"),
            "/c": (None, "0x1F"),
            "/d": (None, "tru"),
            "/e": (None, "'x'"),
        },
    ),
    Difference(
        "a byte order mark or NULs before the event",
        "no fields",
        "not counted",
        b'\0\xef\xbb\xbf{"a": 1}',
        {"/a": (None, "1")},
    ),
    Difference(
        "control characters between values",
        "no fields",
        "white space",
        b'{"a"\x0b:\x00 1\x1f}',
        {"/a": (None, "1")},
    ),
    Difference("more characters after the event", "no fields", "not read", b'{"a": 1} x', {"/a": (None, "1")}),
    Difference("more than 300 levels", "no fields", "all fields", b"[" * 301 + b"]" * 301, {"/0" * 300: (None, "[]")}),
]
"""The official plugins have no value."""
