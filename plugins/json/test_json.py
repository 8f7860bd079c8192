"""Tests the fields of lines that the plugin tail reads in the native host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from falco_plugin.testing import collect

JSON = Path(__file__).parent
TAIL = JSON.parent / "tail"
SAMPLE = JSON / "sample.jsonl"
NAMES = ("json", "jevt")
FIELDS = [f"{name}.{field}" for name in NAMES for field in ("value", "obj", "rawtime")]


def fields_of(log: Path, *fields: str) -> list[dict[str, Any]]:
    events = collect(TAIL, str(log), config={"follow": False}, plugins=[JSON], fields=fields)
    return [{field: event.fields[field] for field in fields} for event in events]


# The value of each pointer in each line of the sample. The last line is not JSON.
VALUES: dict[str, tuple[str | None, str | None, str | None]] = {
    "/action": ("login", "login", "export"),
    "/user/name": ("alice", "bob", "alice"),
    "/user/groups": ('["admins","staff"]', "[]", '["admins","staff"]'),
    "/user/groups/1": ("staff", None, "staff"),
    "/user/groups/01": (None, None, None),
    "/user/name/0": (None, None, None),
    "/ok": ("true", "false", "true"),
    "/rows": (None, None, "1.50e6"),
    "/id": (None, None, "123456789012345678901234567890"),
    "/note": (None, None, "café"),
    "/a~1b": (None, None, "~"),
    "/reason": (None, None, None),
    "/none": (None, None, None),
    "/": (None, None, None),
    "action": ("login", "login", "export"),
}


@pytest.mark.parametrize("name", NAMES)
def test_value_is_read_by_its_pointer(name: str) -> None:
    lines = fields_of(SAMPLE, *(f"{name}.value[{pointer}]" for pointer in VALUES))
    for pointer, values in VALUES.items():
        assert tuple(line[f"{name}.value[{pointer}]"] for line in lines) == (*values, None), pointer


@pytest.mark.parametrize("name", NAMES)
def test_obj_has_one_line_per_member_with_values_unchanged(name: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text('{"a":[1.0e3,{},[]],"a":"caf\\u00e9","n":12345678901234567890}\nno JSON\n{"cut\n')
    first, *others = fields_of(log, f"{name}.obj")
    assert first[f"{name}.obj"] == "\n".join(
        [
            "{",
            '  "a": [',
            "    1.0e3,",
            "    {},",
            "    []",
            "  ],",
            '  "a": "caf\\u00e9",',
            '  "n": 12345678901234567890',
            "}",
        ]
    )
    assert [other[f"{name}.obj"] for other in others] == [None, "{}"]


DAMAGED = {
    "byte that is not UTF-8": (b'{"a":"x\xff","b":"\\u00e9"}', '{\n  "a": "x\ufffd",\n  "b": "é"\n}'),
    "lexical faults": (b'{"a":"\\x5C\\ud83d","b":007}', '{\n  "a": "\\\\x5C\ufffd",\n  "b": "007"\n}'),
    "cut off": (b'{"a":[1,{"b":2,"c', '{\n  "a": [\n    1,\n    {\n      "b": 2\n    }\n  ]\n}'),
}


def test_obj_of_damaged_event_has_its_readable_part(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"".join(line + b"\n" for line, _ in DAMAGED.values()))
    events = fields_of(log, "json.obj", "jevt.obj")
    for event, (kind, (_, expected)) in zip(events, DAMAGED.items(), strict=True):
        assert (event["json.obj"], event["jevt.obj"]) == (expected, expected), kind


def test_obj_is_present_at_any_depth(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"[" * 5000 + b"]" * 5000 + b"\n")
    (found,) = fields_of(log, "json.obj")
    # The number of levels depends on the version of Python, and is at least 128.
    assert "".join(found["json.obj"].split()).startswith("[" * 128)


@pytest.mark.parametrize("name", NAMES)
def test_rawtime_is_the_timestamp_in_nanoseconds(name: str) -> None:
    events = collect(TAIL, str(SAMPLE), config={"follow": False}, plugins=[JSON], fields=[f"{name}.rawtime"])
    assert [event.fields[f"{name}.rawtime"] for event in events] == [str(event.timestamp) for event in events]
