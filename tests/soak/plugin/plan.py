"""The plan of the events: each event is computed from its source's key, its producer and its number.

The host uses the same arithmetic (`rust/host/examples/endurance/plan.rs`), so it can compute each event in advance. A
tenth of the events is empty and identified only by position. The others are JSON with the plugin's version, the
source's key, the producer, the number, a checksum of these and of the body, and the body.
"""

from __future__ import annotations

import zlib

from .version import VERSION

_MASK = 2**64 - 1


def mix(bits: int) -> int:
    """Returns 64 pseudo-random bits: the last step of splitmix64."""
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EB & _MASK
    return bits ^ bits >> 31


_TEXT = b"".join(b"%016x" % mix(word) for word in range(512))
_BODIES = _TEXT * 200


def event(key: int, producer: int, number: int) -> bytes:
    """Returns the payload of an event, 0 bytes to 1.5 MiB."""
    bits = mix(key ^ mix(producer << 32 | number))
    size = _body_size(bits)
    if size is None:
        return b""
    head = b'{"v":"%s","k":"%016x","p":"%02x","n":"%08x","c":"' % (VERSION.encode(), key, producer, number)
    start = (bits >> 40) % len(_TEXT)
    body = _BODIES[start : start + size]
    return b'%s%08x","b":"%s"}' % (head, zlib.crc32(body, zlib.crc32(head)), body)


def _body_size(bits: int) -> int | None:
    """Returns the size of an event's body in bytes, or `None` if the whole event is empty."""
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
