"""The struct of a library that locates what was appended to it, for tests that damage libraries."""

from __future__ import annotations

import struct
from typing import NamedTuple

from falco_plugin import _core

MARKER = b"\x7ffalco.appended!"
DAMAGED = "was cut, stripped or changed after it was built"
_STRUCT = struct.Struct("<QQQQ32s32s")
_HEADER = struct.Struct("<8s16sIIII")
_BLOCK = struct.Struct("<QII32s")


class Appended(NamedTuple):
    """The members of the struct."""

    offset: int
    manifest: int
    archive: int
    bundle: int
    hash: bytes
    index_hash: bytes

    @property
    def archive_start(self) -> int:
        """The offset of the archive in the file."""
        return self.offset + self.manifest

    @property
    def bundle_start(self) -> int:
        """The offset of the bundle in the file."""
        return self.archive_start + self.archive


NUMBERS = Appended._fields[:4]
"""The names of the offset and the lengths."""
HASHES = Appended._fields[4:]


def position(library: bytes | bytearray, name: str = "offset") -> int:
    """Returns the offset in the file of a member of the struct."""
    index = Appended._fields.index(name)
    numbers = min(index, 4)
    return library.index(MARKER) + len(MARKER) + 8 * numbers + 32 * (index - numbers)


def read(library: bytes | bytearray) -> Appended:
    """Returns the struct."""
    return Appended(*_STRUCT.unpack_from(library, position(library)))


def write(library: bytearray, appended: Appended) -> None:
    """Replaces the struct."""
    _STRUCT.pack_into(library, position(library), *appended)


def read_blocks(library: bytes | bytearray) -> list[tuple[int, int, int, bytes]]:
    """Returns the table of blocks: each with its offset in the bundle, stored length, length and hash."""
    start = read(library).bundle_start
    count = _HEADER.unpack_from(library, start)[2]
    return [_BLOCK.unpack_from(library, start + _HEADER.size + _BLOCK.size * row) for row in range(count)]


def sign_bundle(library: bytearray) -> None:
    """Corrects all hashes of the bundle, as far as its tables are inside of it."""
    appended = read(library)
    bundle = memoryview(library)[appended.bundle_start :][: appended.bundle]
    _, _, blocks, entries, numbers, strings = _HEADER.unpack_from(bundle)
    index = _HEADER.size + _BLOCK.size * blocks + 44 * entries + 4 * numbers + strings
    if index > len(bundle):
        return
    for row in range(_HEADER.size, _HEADER.size + _BLOCK.size * blocks, _BLOCK.size):
        offset, stored, length, _ = _BLOCK.unpack_from(bundle, row)
        stored_hash = _core.blake3(bytes(bundle[offset : offset + stored]))
        _BLOCK.pack_into(bundle, row, offset, stored, length, stored_hash)
    index_hash = _core.blake3(bytes(bundle[:index]))
    bundle.release()
    write(library, appended._replace(index_hash=index_hash))
