"""Capture files of Falco."""

from __future__ import annotations

import gzip
import os
import struct
from collections.abc import Iterable
from pathlib import Path

from support.paths import REPOSITORY

CAPTURES = Path(os.environ.get("FALCO_CAPTURES", REPOSITORY.parent / "shared/data/scap"))
"""The folder of the captures of Falco's regression tests. It may not exist."""
_SECTION = 0x0A0D0D0A
_EVENT = 0x216
_THREADS = 0x215


def _block(kind: int, content: bytes) -> bytes:
    padded = content + bytes(-len(content) % 4)
    length = struct.pack("<I", 12 + len(padded))
    return struct.pack("<I", kind) + length + padded + length


def encode_thread(tid: int, comm: str, exe_path: str, *args: str, pid: int | None = None) -> bytes:
    """A thread as the lists of capture files have it."""
    body = struct.pack("<5q", tid, tid if pid is None else pid, 1, 1, 1)
    for text in (comm, comm, exe_path, "\0".join(args), "/"):
        body += struct.pack("<H", len(text)) + text.encode()
    body += struct.pack("<QIII", 1024, 0, 1000, 1000) + bytes(28) + bytes(2) + struct.pack("<qq", tid, tid) + bytes(4)
    return struct.pack("<I", 4 + len(body)) + body


def write_capture(
    path: Path, events: Iterable[bytes], *, threads: Iterable[bytes] = (), is_compressed: bool = False
) -> Path:
    """Writes encoded events as a capture file, after a list of threads. Returns its path."""
    header = struct.pack("<IHHQ", 0x1A2B3C4D, 1, 2, 2**64 - 1)
    blocks = [_block(_SECTION, header), _block(_THREADS, b"".join(threads))]
    blocks += [_block(_EVENT, bytes(2) + event) for event in events]
    content = b"".join(blocks)
    path.write_bytes(gzip.compress(content) if is_compressed else content)
    return path
