"""The payloads; `bench/works.py` tells what they are."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

BATCH = 128
LARGEST = 1204 << 10
DEFAULT = 262_144


def event_size(work: str) -> int:
    return LARGEST if work.startswith("random:") else DEFAULT


def payloads(work: str) -> Iterator[bytes | memoryview]:
    kind, _, file = work.partition(":")
    if kind == "empty":
        return itertools.repeat(b"")
    if kind == "lines":
        return itertools.cycle(Path(file).read_bytes().splitlines())
    if kind == "random":
        return _slices(Path(file).read_bytes())
    raise ValueError(f"no such work: {work}")


def lists(work: str) -> Iterator[list[bytes]]:
    """The payloads in lists of a batch each, which are made once: such as the pages of an API."""
    lines = [b""] * BATCH if work == "empty" else Path(work.removeprefix("lines:")).read_bytes().splitlines()
    if len(lines) % BATCH != 0:
        raise ValueError(f"{len(lines)} lines are no whole number of batches")
    return itertools.cycle([lines[start : start + BATCH] for start in range(0, len(lines), BATCH)])


def _slices(data: bytes) -> Iterator[memoryview]:
    view = memoryview(data)
    state = 1
    while True:
        state ^= state << 13 & 0xFFFF_FFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFF_FFFF
        yield view[: 1024 + state % (LARGEST - 1024)]
