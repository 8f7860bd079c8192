"""Writing a plugin library: the library in front, a manifest, and the plugin's modules behind its end."""

from __future__ import annotations

import os
import struct
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from falco_plugin import _core

_MARKER = b"\x7ffalco.appended!"
_PLACE = struct.Struct("<QQQQ")
"""Behind the marker: the offset of the manifest, its length, the length of the archive, and the checksum of both."""
_MARKED_WITHIN = 1 << 20
"""Bytes of a library in which the marker is searched; the stub is much smaller."""
_LONGEST_MANIFEST = 64 << 20
_PAGE = 4096
_ELF64_SECTION = struct.Struct("<IIQQQQIIQQ")
_ELF64_SYMBOL = struct.Struct("<IBBHQQ")
_SHT_DYNSYM = 11


def write(path: Path, manifest: Mapping[str, str], archive: bytes, *, hidden: frozenset[str]) -> None:
    """Writes the library at once and whole: to a temporary file that is then renamed.

    Args:
        path: where the library is to be.
        manifest: what the library answers without Python.
        archive: a zip archive of the plugin's modules.
        hidden: symbols of capabilities that the plugin lacks.
    """
    library = bytearray(_core.stub())
    _hide(library, hidden)
    library += b"\0" * (-len(library) % _PAGE)
    pairs = b"".join(f"{name}\0{value}\0".encode() for name, value in manifest.items())
    parts = pairs + archive
    place = library.index(_MARKER) + len(_MARKER)
    _PLACE.pack_into(library, place, len(library), len(pairs), len(archive), zlib.crc32(parts))
    library += parts

    file, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(file, "wb") as stream:
            stream.write(library)
            os.fchmod(stream.fileno(), 0o755)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


class Identity(NamedTuple):
    """The attributes by which Falco distinguishes two plugin libraries."""

    name: str
    id: str | None
    """``None`` for a plugin that makes no events."""


def identity(path: Path) -> Identity | None:
    """Reads the identity of a plugin library without running it.

    Returns:
        The identity; ``None`` for a file that is not a library of this SDK, or is damaged.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_MARKED_WITHIN)
        place = head.find(_MARKER) + len(_MARKER)
        if place < len(_MARKER) or len(head) < place + _PLACE.size:
            return None
        offset, length, _, _ = _PLACE.unpack_from(head, place)
        if length > _LONGEST_MANIFEST or offset > path.stat().st_size:
            return None
        file.seek(offset)
        words = file.read(length).decode(errors="replace").split("\0")
    manifest = dict(zip(words[::2], words[1::2], strict=False))
    is_source = b"\0plugin_open\0" in head
    return Identity(manifest["name"], manifest.get("id") if is_source else None) if "name" in manifest else None


def _hide(library: bytearray, hidden: frozenset[str]) -> None:
    """Takes symbols out of the dynamic symbol table: their hash stays, but no name matches any more."""
    section_offset = struct.unpack_from("<Q", library, 40)[0]
    size, count = struct.unpack_from("<HH", library, 58)
    sections = [_ELF64_SECTION.unpack_from(library, section_offset + index * size) for index in range(count)]
    dynsym = next(section for section in sections if section[1] == _SHT_DYNSYM)
    offset, length, strings = dynsym[4], dynsym[5], sections[dynsym[6]][4]
    left = set(hidden)
    for symbol in range(offset, offset + length, _ELF64_SYMBOL.size):
        name = strings + _ELF64_SYMBOL.unpack_from(library, symbol)[0]
        text = library[name : library.index(0, name)].decode()
        if text in left:
            library[name] = ord("_")
            left.remove(text)
    if left:
        raise ValueError(f"the library in front has no symbols {sorted(left)}")
