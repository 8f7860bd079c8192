"""Reading of ELF headers by `falco-plugin package`, whose input may be any file."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falco_plugin._build.errors import TargetError
from falco_plugin._build.package.elf import architecture_of

HEADER = struct.Struct("<4sBB10xHH12xQ14xHH6x")
SEGMENT = struct.Struct("<I4xQ16xQ16x")


def header(*, kind: int = 3, machine: int = 62, offset: int = 64, size: int = 56, count: int = 1) -> bytes:
    return HEADER.pack(b"\x7fELF", 2, 1, kind, machine, offset, size, count)


def segment(kind: int = 1, offset: int = 0, size: int = 120) -> bytes:
    return SEGMENT.pack(kind, offset, size)


ACCEPTED = {
    "x86_64": (header() + segment(), "amd64"),
    "aarch64": (header(machine=183) + segment(), "arm64"),
    "segment to the last byte": (header() + segment(offset=100, size=20), "amd64"),
    "unloaded segment behind the end": (header() + segment(kind=4, offset=2**63, size=2**63), "amd64"),
}
REJECTED = {
    "segment behind the last byte": (header() + segment(offset=100, size=21), "was cut off"),
    "large offset": (header() + segment(offset=2**64 - 1, size=2**64 - 1), "was cut off"),
    "no segments in the file": (header(), "was cut off"),
    "headers behind the end": (header(offset=2**64 - 1) + segment(), "was cut off"),
    "other size of headers": (header(size=0) + segment(), "not a shared library"),
    "program": (header(kind=2) + segment(), "not a shared library"),
    "other machine": (header(machine=40) + segment(), "another architecture"),
    "32 bits": (header().replace(b"ELF\x02", b"ELF\x01") + segment(), "another architecture"),
    "big endian": (header().replace(b"ELF\x02\x01", b"ELF\x02\x02") + segment(), "another architecture"),
    "short": (header()[:57], "not a shared library"),
}


@pytest.mark.parametrize("kind", ACCEPTED)
def test_architecture_is_read_from_header(kind: str) -> None:
    data, architecture = ACCEPTED[kind]
    assert architecture_of("lib.so", data) == architecture


@pytest.mark.parametrize("kind", REJECTED)
def test_header_is_rejected(kind: str) -> None:
    data, message = REJECTED[kind]
    with pytest.raises(TargetError, match=rf"^lib\.so .*{message}"):
        architecture_of("lib.so", data)


@given(st.integers(0, 200), st.lists(st.tuples(st.integers(0, 119), st.integers(0, 255)), max_size=8), st.data())
def test_any_header_is_accepted_or_rejected(length: int, changes: list[tuple[int, int]], data: Any) -> None:
    content = bytearray(header() + segment() + data.draw(st.binary(max_size=80)))
    for position, value in changes:
        content[position] = value
    try:
        assert architecture_of("lib.so", bytes(content[:length])) in {"amd64", "arm64"}
    except TargetError as error:
        assert str(error).startswith("lib.so ")
