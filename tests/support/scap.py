"""Capture files of Falco."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterable
from pathlib import Path

_SECTION = 0x0A0D0D0A
_EVENT = 0x216


def _block(kind: int, content: bytes) -> bytes:
    padded = content + bytes(-len(content) % 4)
    length = struct.pack("<I", 12 + len(padded))
    return struct.pack("<I", kind) + length + padded + length


def write_capture(path: Path, events: Iterable[bytes], *, is_compressed: bool = False) -> Path:
    """Writes encoded events as a capture file, and returns its path."""
    header = struct.pack("<IHHQ", 0x1A2B3C4D, 1, 2, 2**64 - 1)
    blocks = [_block(_SECTION, header), *(_block(_EVENT, bytes(2) + event) for event in events)]
    content = b"".join(blocks)
    path.write_bytes(gzip.compress(content) if is_compressed else content)
    return path
