"""Tests how damaged pages are read."""

from __future__ import annotations

import pytest

from falco_plugin.polling.records import Record, read, split

DAMAGED = [
    (b'[{"id":1,"x":"\xff"},{"id":2}]', ["1", "2"]),
    (b'[{"id":1,"x":"\\x5C"},{"id":2,"at":"now"}]', ["1", "2"]),
    (b'[{"id":1,"x":NaN},{"id":"two"}]', ["1", "two"]),
    (b'[{"id":1,"x" 2},{"id":2}]', ["1", "2"]),
    (b'[{"id":"\\ud83d"},{"id":2}]', [None, "2"]),
    (b'[{"id":"\xff"},{"id":"\xfe"}]', [None, None]),
    (b'[{"id":""},{"id":"","x":1}]', [None, None]),
    (b'[{"id":"a"},{"id":"b"}]]', ["a", "b", None]),
    (b'[{"id":"a"},\n{"id":"b","x":{},\n{"id":"c"}\n]', None),
    (b'[{"id":1}]\n5\n{"id":2}\n[]', None),
    (b'[{"id":"a","x":' + b"[" * 1100 + b"]" * 1100 + b'},{"id":"b"}]', ["a", "b"]),
    (b'\xef\xbb\xbf\0 [{"id":"a"}]', ["a"]),
]


def parse(body: bytes) -> list[Record]:
    return [read(raw, ["id"], ["at"]) for raw in split(body, ())]


@pytest.mark.parametrize(("body", "ids"), DAMAGED)
def test_parse_keeps_every_record_of_a_damaged_page(body: bytes, ids: list[str | None] | None) -> None:
    found = parse(body)
    if ids is not None:
        assert [record.id if not record.id.startswith("sha256:") else None for record in found] == ids
    assert len({record.id for record in found}) == len(found), "no record hides another one"
    assert all(record.data in body for record in found), "the bytes are unchanged"


@pytest.mark.parametrize("body", [b'[{"id": 1}, {"id": ', b'[{"id": 1}, 2]', b"{}", b"\xff", b'[{"id": "\xff]', b""])
def test_parse_rejects_body_that_is_not_an_array_of_objects(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"^(Expected|Input|JSON|it is)"):
        parse(body)
