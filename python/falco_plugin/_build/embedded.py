"""Reads the stub and the programs that are embedded in the native core.

They are in sections of its file that are not loaded. So they take no memory inside Falco, and the packer drops them.
"""

from __future__ import annotations

import struct
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from falco_plugin import _core
from falco_plugin._build import temporary

if TYPE_CHECKING:
    from collections.abc import Generator

Program = Literal["host", "packer"]
Part = Literal["stub", "host", "packer"]

_SECTION = struct.Struct("<IIQQQQIIQQ")
"""A section header: name, type, flags, address, offset, size, and more."""


def read(part: Part) -> bytes:
    """Returns the stub, which is a shared library, or an executable program.

    Raises:
        RuntimeError: the file of the native core has no such section, because a tool removed it.
    """
    assert _core.__file__ is not None
    path = Path(_core.__file__)
    with path.open("rb") as file:
        section = _find_section(file, f".falco_{part}".encode())
        if section is None:
            raise RuntimeError(f"the {part} is missing in {path}: install falco-plugin-sdk again, without stripping it")
        offset, size = section
        file.seek(offset)
        return file.read(size)


@contextmanager
def executable(program: Program) -> Generator[Path]:
    """Returns the path of an embedded program. The file exists as long as the context."""
    with temporary.folder() as folder:
        path = folder / f"falco-plugin-{program}"
        path.write_bytes(read(program))
        path.chmod(0o700)
        yield path


def _find_section(file: BinaryIO, name: bytes) -> tuple[int, int] | None:
    """Returns offset and size of the section of an ELF file."""
    header = file.read(64)
    (table,) = struct.unpack_from("<Q", header, 40)
    size, count, names_index = struct.unpack_from("<HHH", header, 58)
    file.seek(table)
    headers = file.read(size * count)
    sections = [_SECTION.unpack_from(headers, index * size) for index in range(count)]
    if names_index >= count:
        return None
    file.seek(sections[names_index][4])
    names = file.read(sections[names_index][5])
    for section in sections:
        if names[section[0] :].startswith(name + b"\0"):
            return section[4], section[5]
    return None
