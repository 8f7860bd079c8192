"""Writes and identifies plugin libraries: a copy of the stub, to which a manifest and an archive are appended."""

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
_LOCATION = struct.Struct("<QQQQQQ")
"""The struct that follows the marker: offset and length of the manifest, length of the archive, checksum of both,
length and checksum of the bundle. A linked library has no bundle, so both are 0."""
_MARKER_LIMIT = 1 << 20
"""Bytes of a library in which the marker is searched. The stub is much smaller."""
_MAX_MANIFEST = 64 << 20
"""Largest manifest in bytes. The length of a larger one is damaged."""
_PAGE = 4096
_ELF64_SECTION = struct.Struct("<IIQQQQIIQQ")
_ELF64_SYMBOL = struct.Struct("<IBBHQQ")
_SHT_DYNSYM = 11


def write(path: Path, manifest: Mapping[str, str], archive: bytes, *, hidden: frozenset[str]) -> None:
    """Writes a library to a temporary file and renames it, so that an existing library is replaced atomically.

    Args:
        path: the path of the library.
        manifest: the static answers of the library, and its environment.
        archive: the archive of the plugin's modules.
        hidden: the symbols that the library must not export.

    Raises:
        OSError: the file cannot be written.
    """
    library = bytearray(_core.stub())
    _hide(library, hidden)
    library += b"\0" * (-len(library) % _PAGE)
    pairs = b"".join(f"{name}\0{value}\0".encode() for name, value in manifest.items())
    parts = pairs + archive
    location = library.index(_MARKER) + len(_MARKER)
    _LOCATION.pack_into(library, location, len(library), len(pairs), len(archive), zlib.crc32(parts), 0, 0)
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
    """The id; ``None`` for a plugin that makes no events."""


def read_identity(path: Path) -> Identity | None:
    """Reads the identity of a plugin library without running it.

    Returns:
        The identity; ``None`` if the file is damaged or is not a library of this SDK.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_MARKER_LIMIT)
        location = head.find(_MARKER) + len(_MARKER)
        if location < len(_MARKER) or len(head) < location + _LOCATION.size:
            return None
        offset, length, *_ = _LOCATION.unpack_from(head, location)
        if length > _MAX_MANIFEST or offset > path.stat().st_size:
            return None
        file.seek(offset)
        words = file.read(length).decode(errors="replace").split("\0")
    manifest = dict(zip(words[::2], words[1::2], strict=False))
    is_source = b"\0plugin_open\0" in head
    return Identity(manifest["name"], manifest.get("id") if is_source else None) if "name" in manifest else None


def _hide(library: bytearray, hidden: frozenset[str]) -> None:
    """Hides symbols by a change of the first letter of their names in the dynamic string table.

    Their hashes stay, so a search for the name finds an entry, but the names differ.
    """
    section_offset = struct.unpack_from("<Q", library, 40)[0]
    size, count = struct.unpack_from("<HH", library, 58)
    sections = [_ELF64_SECTION.unpack_from(library, section_offset + index * size) for index in range(count)]
    dynsym = next(section for section in sections if section[1] == _SHT_DYNSYM)
    offset, length, strings = dynsym[4], dynsym[5], sections[dynsym[6]][4]
    remaining = set(hidden)
    for symbol in range(offset, offset + length, _ELF64_SYMBOL.size):
        name = strings + _ELF64_SYMBOL.unpack_from(library, symbol)[0]
        text = library[name : library.index(0, name)].decode()
        if text in remaining:
            library[name] = ord("_")
            remaining.remove(text)
    if remaining:
        raise ValueError(f"the stub has no symbols {sorted(remaining)}")
