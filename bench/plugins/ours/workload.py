"""Makes the payloads of the workloads, which `bench/workloads.py` describes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BATCH = 128
LARGEST = 1204 << 10
DEFAULT = 262_144


def event_size(workload: str) -> int:
    return LARGEST if workload.startswith("random:") else DEFAULT


def payloads(workload: str) -> Iterator[bytes | memoryview]:
    kind, _, file = workload.partition(":")
    if kind == "empty":
        return itertools.repeat(b"")
    if kind == "lines":
        return itertools.cycle(Path(file).read_bytes().splitlines())
    if kind == "json":
        return _encoded([json.loads(line) for line in Path(file).read_bytes().splitlines()])
    if kind == "random":
        return _slices(Path(file).read_bytes())
    raise ValueError(f"unknown workload: {workload}")


def lists(workload: str) -> Iterator[list[bytes]]:
    """Yields the payloads in lists of one batch each, made once, like the pages of an API."""
    lines = [b""] * BATCH if workload == "empty" else Path(workload.removeprefix("lines:")).read_bytes().splitlines()
    if len(lines) % BATCH != 0:
        raise ValueError(f"the number of lines must be a multiple of {BATCH}, got {len(lines)}")
    return itertools.cycle([lines[start : start + BATCH] for start in range(0, len(lines), BATCH)])


def _encoded(records: list[Any]) -> Iterator[bytes]:
    for record in itertools.cycle(records):
        yield json.dumps(record, separators=(",", ":")).encode()


def _slices(data: bytes) -> Iterator[memoryview]:
    view = memoryview(data)
    state = 1
    while True:
        state ^= state << 13 & 0xFFFF_FFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFF_FFFF
        yield view[: 1024 + state % (LARGEST - 1024)]
