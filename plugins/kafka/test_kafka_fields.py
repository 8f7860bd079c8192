"""Tests the fields of a record."""

from __future__ import annotations

import pytest
from plugins.kafka.plugin import Kafka

from falco_plugin import Event

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
    record: bytes, pointer: str, value: str | None, number: int | None
) -> None:
    assert Kafka().value(Event(record), key=pointer) == value
    assert Kafka().number(Event(record), key=pointer) == number


def test_record_field_has_any_length() -> None:
    record = "ü" + 5000 * "x" + " the end"
    assert Kafka().event_to_string(Event(record.encode())) == record
