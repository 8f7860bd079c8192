"""Tests how bodies of answers are read: compressed, damaged, and larger than the limit."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.polled_api import Simulate

from falco_plugin.polling.content import UnreadableBody, read_content

LIMIT = 1000
PLAIN = b'[{"uuid": "a"}]'
PACKED = gzip.compress(PLAIN)


class Parts(httpx.AsyncByteStream):
    """A body that arrives in parts of a size."""

    def __init__(self, body: bytes, size: int) -> None:
        self._body, self._size = body, size

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for begin in range(0, len(self._body), self._size):
            yield self._body[begin : begin + self._size]


def read(body: bytes, coding: str | None, size: int = 1 << 16, limit: int = LIMIT) -> bytes:
    headers = {} if coding is None else {"Content-Encoding": coding}
    return asyncio.run(read_content(httpx.Response(200, headers=headers, stream=Parts(body, size)), limit))


READABLE = {
    "no coding": (PLAIN, None),
    "identity": (PLAIN, "identity"),
    "gzip": (PACKED, "gzip"),
    "old name of gzip": (PACKED, " X-GZIP "),
    "several members": (gzip.compress(PLAIN[:4]) + gzip.compress(b"") + gzip.compress(PLAIN[4:]), "gzip"),
}


@pytest.mark.parametrize("size", [1, 7, 1 << 16])
@pytest.mark.parametrize(("body", "coding"), READABLE.values(), ids=READABLE)
def test_body_is_decompressed_in_any_parts(body: bytes, coding: str | None, size: int) -> None:
    assert read(body, coding, size) == PLAIN


@pytest.mark.parametrize("coding", [None, "gzip"])
def test_empty_body_is_read(coding: str | None) -> None:
    assert read(b"", coding) == b""


UNREADABLE = {
    "another coding": (zlib.compress(PLAIN), "deflate", "compressed in another way than gzip"),
    "several codings": (gzip.compress(PACKED), "gzip, gzip", "compressed in another way than gzip"),
    "not compressed": (PLAIN, "gzip", "damaged gzip"),
    "wrong checksum": (PACKED[:-5] + b"\0\0\0\0\0", "gzip", "damaged gzip"),
    "more after the end": (PACKED + PLAIN, "gzip", "damaged gzip"),
    "cut off": (PACKED[:-1], "gzip", "gzip that is cut off"),
    "cut off in a second member": (PACKED + PACKED[:5], "gzip", "gzip that is cut off"),
}


@pytest.mark.parametrize(("body", "coding", "reason"), UNREADABLE.values(), ids=UNREADABLE)
def test_body_that_cannot_be_decompressed_is_refused(body: bytes, coding: str, reason: str, simulate: Simulate) -> None:
    for size in (1, 1 << 16):
        with pytest.raises(UnreadableBody, match=reason):
            read(body, coding, size)
    simulation = simulate(lambda *_: (200, {"Content-Encoding": coding}, body))
    simulation.run(20)
    assert simulation.failures[0].startswith("no complete answer from https://api.example: its body is ")
    assert simulation.requests[0].headers["Accept-Encoding"] == "gzip"


@given(st.binary(max_size=3000), st.integers(1, 4000), st.integers(1, 200), st.booleans())
def test_body_is_cut_beyond_the_limit(plain: bytes, limit: int, size: int, is_compressed: bool) -> None:
    body = gzip.compress(plain) if is_compressed else plain
    assert read(body, "gzip" if is_compressed else None, size, limit) == plain[: limit + 1]


def test_small_answer_does_not_fill_the_memory(simulate: Simulate) -> None:
    bomb = gzip.compress(bytes(64 << 20))
    simulation = simulate(lambda *_: (200, {"Content-Encoding": "gzip"}, bomb), max_body=100_000)
    tracemalloc.start()
    simulation.run(1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "is larger than 100000 bytes" in (simulation.error or "")
    assert peak < 8 << 20


def test_compressed_refusal_is_searched_for_its_reason(simulate: Simulate) -> None:
    body = gzip.compress(b'{"message": "API rate limit exceeded"}' + bytes(64 << 20))
    simulation = simulate(lambda *_: (403, {"Content-Encoding": "gzip"}, body))
    simulation.run(100)
    assert simulation.error is None
    assert any("the rate limit is reached" in line for line in simulation.log)
