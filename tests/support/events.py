"""Result codes and events of the plugin API, as bytes."""

from __future__ import annotations

import struct
from collections.abc import Sequence

SUCCESS, FAILURE, TIMEOUT, EOF = 0, 1, -1, 2
NO_TIMESTAMP = 2**64 - 1
PLUGIN_EVENT = 322
ASYNC_EVENT = 402
CLOSE = 5
EXECVE = 293
GENERIC = 1
PAYLOAD_AT = 38


def payloads_of(events: list[bytes]) -> list[bytes]:
    """The payloads of events."""
    return [event[PAYLOAD_AT:] for event in events]


def encode_event(payload: bytes, timestamp: int = NO_TIMESTAMP, plugin_id: int = 0) -> bytes:
    """The bytes of an event with this payload."""
    whole = PAYLOAD_AT + len(payload)
    header = struct.pack("<QQIHI", timestamp, 2**64 - 1, whole, PLUGIN_EVENT, 2)
    return header + struct.pack("<III", 4, len(payload), plugin_id) + payload


def encode_raw(
    code: int, params: Sequence[bytes] = (), *, thread_id: int = 77, timestamp: int = 5, is_large: bool = False
) -> bytes:
    """The bytes of an event of any type, with lengths of 2 or 4 bytes."""
    lengths = b"".join(struct.pack("<I" if is_large else "<H", len(param)) for param in params)
    body = lengths + b"".join(params)
    return struct.pack("<QqIHI", timestamp, thread_id, 26 + len(body), code, len(params)) + body


def encode_async(name: str, data: bytes = b"", plugin_id: int = 0) -> bytes:
    """The bytes of an async event."""
    params = (struct.pack("<I", plugin_id), name.encode() + b"\0", data)
    return encode_raw(ASYNC_EVENT, params, thread_id=-1, is_large=True)


def encode_execve(exe: str, *args: str, thread_id: int = 77) -> bytes:
    """The bytes of the end of a successful call of execve."""
    texts = b"".join(arg.encode() + b"\0" for arg in args)
    return encode_raw(EXECVE, (bytes(8), exe.encode() + b"\0", texts), thread_id=thread_id)
