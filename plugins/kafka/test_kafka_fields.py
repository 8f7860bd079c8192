"""Tests the fields of a record."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from falco_plugin import Event

KAFKA = Path(__file__).parent
REPOSITORY = KAFKA.parents[1]


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(REPOSITORY))
    return importlib.import_module("plugins.kafka.plugin").Kafka()


RECORD = b'{"user":"carol","action":"audit.retention","days":1,"ok":true,"object":{"name":"orion"}}'


@pytest.mark.parametrize(
    ("record", "pointer", "value", "number"),
    [
        (RECORD, "/action", "audit.retention", None),
        (RECORD, "/ok", "true", None),
        (RECORD, "/days", "1", 1),
        (RECORD, "/object", '{"name":"orion"}', None),
        (RECORD, "/role", None, None),
        (b"\x00\x01avro", "/user", None, None),
    ],
)
def test_value_and_number_are_read_by_pointer(
    plugin: Any, record: bytes, pointer: str, value: str | None, number: int | None
) -> None:
    assert plugin.value(Event(record), key=pointer) == value
    assert plugin.number(Event(record), key=pointer) == number


def test_record_field_has_any_length(plugin: Any) -> None:
    record = "ü" + 5000 * "x" + " the end"
    assert plugin.event_to_string(Event(record.encode())) == record
