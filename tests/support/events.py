"""Result codes and events of the plugin API, as bytes."""

from __future__ import annotations

import struct

SUCCESS, FAILURE, TIMEOUT, EOF = 0, 1, -1, 2
NO_TIMESTAMP = 2**64 - 1
PLUGIN_EVENT = 322
PAYLOAD_AT = 38


def payloads_of(events: list[bytes]) -> list[bytes]:
    """The payloads of events."""
    return [event[PAYLOAD_AT:] for event in events]


def encode_event(payload: bytes, timestamp: int = NO_TIMESTAMP, plugin_id: int = 0) -> bytes:
    """The bytes of an event with this payload."""
    whole = PAYLOAD_AT + len(payload)
    header = struct.pack("<QQIHI", timestamp, 2**64 - 1, whole, PLUGIN_EVENT, 2)
    return header + struct.pack("<III", 4, len(payload), plugin_id) + payload
