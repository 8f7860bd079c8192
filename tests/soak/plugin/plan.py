"""The plan of the events: each event is computed from its number.

The host has the same arithmetic (``rust/host/examples/endurance/plan.rs``), so that it knows each event in advance.
A tenth of the events is empty; only their position tells them apart. The others are JSON with the plugin's version,
the source's key, the producer, the number, a checksum of these and of the body, and the body.
"""

from __future__ import annotations

import zlib

from .version import VERSION

_MASK = 2**64 - 1


def mix(bits: int) -> int:
    """64 bits that look random: the last step of splitmix64."""
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EB & _MASK
    return bits ^ bits >> 31


_TEXT = b"".join(b"%016x" % mix(place) for place in range(512))
_BODIES = _TEXT * 200


def event(key: int, producer: int, number: int) -> bytes:
    """The payload of an event, of 0 bytes to 1.5 MiB."""
    bits = mix(key ^ mix(producer << 32 | number))
    size = _body_size(bits)
    if size is None:
        return b""
    head = b'{"v":"%s","k":"%016x","p":"%02x","n":"%08x","c":"' % (VERSION.encode(), key, producer, number)
    start = (bits >> 40) % len(_TEXT)
    body = _BODIES[start : start + size]
    return b'%s%08x","b":"%s"}' % (head, zlib.crc32(body, zlib.crc32(head)), body)


def _body_size(bits: int) -> int | None:
    """The bytes of an event's body; ``None`` where all of the event is empty."""
    kind, rest = bits & 1023, bits >> 10
    if kind < 100:
        return None
    if kind < 900:
        return rest % 512
    if kind < 1012:
        return rest % (16 << 10)
    if kind < 1023:
        return rest % (256 << 10)
    return (1 << 20) + rest % (512 << 10)
