"""The files of a plugin in one piece: a zip archive without compression, so that any tool lists what a library has."""

from __future__ import annotations

from collections.abc import Mapping

_MARK = b"PK\x03\x04"
"""What each file begins with."""


def pack(files: Mapping[str, bytes]) -> bytes:
    """An archive of files by their names. The same files make the same archive."""
    import io
    import zipfile

    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:
        for name, data in files.items():
            packed.writestr(zipfile.ZipInfo(name), data)  # of a fixed time
    return archive.getvalue()


def unpack(archive: bytes) -> dict[str, bytes]:
    """The files of an archive that `pack` made.

    By hand: zipfile, with what it imports, would take as long to start as a good part of the SDK.
    """
    files = {}
    place = 0

    def number(offset: int, size: int) -> int:
        return int.from_bytes(archive[place + offset : place + offset + size], "little")

    while archive.startswith(_MARK, place):
        size, name_size, extra_size = number(22, 4), number(26, 2), number(28, 2)
        name = place + 30
        data = name + name_size + extra_size
        files[archive[name : name + name_size].decode()] = archive[data : data + size]
        place = data + size
    return files
