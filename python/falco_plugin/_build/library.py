"""Writes and reads plugin libraries: a copy of the stub, to which a manifest, an archive and a bundle are appended."""

from __future__ import annotations

import io
import os
import struct
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

from falco_plugin import _core
from falco_plugin._build import embedded

_MARKER = b"\x7ffalco.appended!"
_LOCATION = struct.Struct("<QQQQ32s32s")
"""The struct that follows the marker: offset and length of the manifest, lengths of archive and bundle, the hash of
manifest and archive, the hash of the bundle's index. A linked library has no bundle, so its members are zeroes."""
_MARKER_LIMIT = 1 << 20
"""Bytes of a library in which the marker is searched. The stub is much smaller."""
_SOURCE = b"\0plugin_open\0"
"""The name of a function that only event sources export, in the table of symbols."""
_MAX_MANIFEST = 64 << 20
"""Largest manifest in bytes. The length of a larger one is damaged."""
_BUNDLE_HEADER = struct.Struct("<24sIIII")
"""Magic and id of a bundle, then the numbers of blocks, entries and shared numbers, and the length of the names
(``rust/bundle/src/format.rs``)."""
_BLOCK = struct.Struct("<QII32s")
"""Offset, stored length, length and hash of a block."""
_BUNDLE_ENTRY_LEN = 44
_PAGE = 4096
_ELF64_SECTION = struct.Struct("<IIQQQQIIQQ")
_ELF64_SYMBOL = struct.Struct("<IBBHQQ")
_SHT_DYNSYM = 11


def write(
    path: Path,
    manifest: Mapping[str, str],
    archive: bytes,
    *,
    hidden: frozenset[str],
    bundle: bytes = b"",
    index_hash: bytes = b"",
) -> None:
    """Writes a library to a temporary file and renames it, so that an existing library is replaced atomically.

    Args:
        path: the path of the library.
        manifest: the static answers of the library, and its environment.
        archive: the archive of the plugin's modules.
        hidden: the symbols that the library must not export.
        bundle: the Python, the packages and the files that a self-contained library brings; empty for a linked one.
        index_hash: the hash of the bundle's index.

    Raises:
        OSError: the file cannot be written.
    """
    library = bytearray(embedded.read("stub"))
    _hide(library, hidden)
    library += b"\0" * (-len(library) % _PAGE)
    pairs = b"".join(f"{name}\0{value}\0".encode() for name, value in manifest.items())
    parts = pairs + archive
    location = library.index(_MARKER) + len(_MARKER)
    numbers = (len(library), len(pairs), len(archive), len(bundle))
    _LOCATION.pack_into(library, location, *numbers, _core.blake3(parts), index_hash)
    library += parts

    file, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(file, "wb") as stream:
            stream.write(library)
            stream.write(bundle)
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
        head, location = _locate(file)
        manifest = _parse(file.read(location.manifest)) if location is not None else {}
    identity = manifest.get("id") if is_source(head) else None
    return Identity(manifest["name"], identity) if "name" in manifest else None


def read_manifest(path: Path) -> dict[str, str] | None:
    """Reads the manifest of a plugin library without running it.

    Returns:
        The manifest; ``None`` if the file is damaged or is not a library of this SDK.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        _, location = _locate(file)
        if location is None:
            return None
        manifest = file.read(location.manifest)
        archive = file.read(location.archive) if location.archive <= path.stat().st_size else b""
    return _parse(manifest) if _core.blake3(manifest + archive) == location.hash else None


class DamagedError(Exception):
    """A library is not what was built."""


def check(data: bytes) -> dict[str, str] | None:
    """Checks that the content of a library is what was built.

    Returns:
        The manifest; ``None`` if the file is not a library of this SDK.

    Raises:
        DamagedError: the library was cut or changed.
    """
    head, location = _locate(io.BytesIO(data))
    if location is None and _MARKER in head:
        raise DamagedError
    if location is None or location.offset == 0:
        return None
    parts = location.offset + location.manifest + location.archive
    bundle = data[parts : parts + location.bundle]
    if (
        len(bundle) != location.bundle
        or _core.blake3(data[location.offset : parts]) != location.hash
        or not _is_whole(bundle, location.index_hash)
    ):
        raise DamagedError
    return _parse(data[location.offset : location.offset + location.manifest])


def _is_whole(bundle: bytes, index_hash: bytes) -> bool:
    """Returns whether index and blocks of a bundle have their hashes. A linked library has an empty bundle."""
    if not bundle:
        return not any(index_hash)
    if len(bundle) < _BUNDLE_HEADER.size:
        return False
    _, blocks, entries, numbers, names = _BUNDLE_HEADER.unpack_from(bundle)
    rows = _BUNDLE_HEADER.size + _BLOCK.size * blocks
    if _core.blake3(bundle[: rows + _BUNDLE_ENTRY_LEN * entries + 4 * numbers + names]) != index_hash:
        return False
    found = list(_BLOCK.iter_unpack(bundle[_BUNDLE_HEADER.size : rows]))
    ends = [offset + length for offset, length, _, _ in found]
    return max(ends, default=0) == len(bundle) and all(
        _core.blake3(bundle[offset : offset + length]) == expected for offset, length, _, expected in found
    )


def is_source(data: bytes) -> bool:
    """Returns whether a library of this SDK exports the functions of an event source."""
    return _SOURCE in data[:_MARKER_LIMIT]


class _Location(NamedTuple):
    """The numbers that follow the marker."""

    offset: int
    manifest: int
    archive: int
    bundle: int
    hash: bytes
    index_hash: bytes


def _locate(file: BinaryIO) -> tuple[bytes, _Location | None]:
    """Seeks to the manifest of a library. Returns the beginning of the file, and the location if there is one."""
    head = file.read(_MARKER_LIMIT)
    position = head.find(_MARKER) + len(_MARKER)
    if position < len(_MARKER) or len(head) < position + _LOCATION.size:
        return head, None
    location = _Location(*_LOCATION.unpack_from(head, position))
    if location.manifest > _MAX_MANIFEST or location.offset > file.seek(0, os.SEEK_END):
        return head, None
    file.seek(location.offset)
    return head, location


def _parse(manifest: bytes) -> dict[str, str]:
    words = manifest.decode(errors="replace").split("\0")
    return dict(zip(words[::2], words[1::2], strict=False))


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
