"""Packs the files of a plugin into one archive. It is an uncompressed zip file, so that any tool can list it."""

from __future__ import annotations

from collections.abc import Mapping

_MARK = b"PK\x03\x04"
"""The first bytes of the header of each file."""


def pack(files: Mapping[str, bytes]) -> bytes:
    """Returns an archive of files by their names. The same files make the same archive."""
    import io
    import zipfile

    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:
        for name, data in files.items():
            # A ZipInfo that is made from a name alone has a fixed time.
            packed.writestr(zipfile.ZipInfo(name), data)
    return archive.getvalue()


def unpack(archive: bytes) -> dict[str, bytes]:
    """Returns the files of an archive that `pack` made.

    Does not use zipfile, whose import takes a considerable part of the time that the whole SDK takes to start.
    """
    files = {}
    header = 0

    def number(offset: int, size: int) -> int:
        return int.from_bytes(archive[header + offset : header + offset + size], "little")

    while archive.startswith(_MARK, header):
        size, name_size, extra_size = number(22, 4), number(26, 2), number(28, 2)
        name = header + 30
        data = name + name_size + extra_size
        files[archive[name : name + name_size].decode()] = archive[data : data + size]
        header = data + size
    return files
