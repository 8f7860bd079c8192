"""Reads from an ELF header for which architecture a library was built."""

from __future__ import annotations

import platform
import struct

from falco_plugin._build.errors import TargetError

_HEADER = struct.Struct("<4sBB10xHH12xQ14xHH")
"""Magic number, class, byte order, type, machine, and the offset, the size and the number of program headers."""
_PROGRAM_HEADER = struct.Struct("<I4xQ16xQ16x")
"""Type, offset, and size in the file."""
_LOAD = 1
_CLASS_64 = 2
_LITTLE_ENDIAN = 1
_SHARED_OBJECT = 3
_ARCHITECTURES = {62: "amd64", 183: "arm64"}
"""The names that OCI platforms have for the architectures of Falco's packages."""
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def architecture_of(path: str, data: bytes) -> str:
    """Returns ``amd64`` or ``arm64``.

    Raises:
        TargetError: the file is not a complete shared library, or is for another architecture.
    """
    if len(data) < _HEADER.size or not data.startswith(b"\x7fELF"):
        raise TargetError(
            f"{path} is not a shared library: give the path of a library that 'falco-plugin build' wrote, or of a "
            "plugin library of another SDK"
        )
    _, word, order, kind, machine, *headers = _HEADER.unpack_from(data)
    if (word, order) != (_CLASS_64, _LITTLE_ENDIAN) or machine not in _ARCHITECTURES:
        raise TargetError(
            f"{path} is for another architecture (ELF machine {machine}): Falco's packages are for x86_64 or aarch64"
        )
    if kind != _SHARED_OBJECT or headers[1] != _PROGRAM_HEADER.size:
        raise TargetError(f"{path} is an ELF file, but not a shared library: give the path of a plugin library")
    if _end_of_segments(data, *headers) > len(data):
        # To load it would crash the program that does.
        raise TargetError(f"{path} was cut off: build it or copy it again")
    return _ARCHITECTURES[machine]


def _end_of_segments(data: bytes, offset: int, size: int, count: int) -> int:
    """Returns the offset behind all bytes that are loaded, or behind the program headers if they are cut off."""
    end = offset + size * count
    if end > len(data):
        return end
    for header in range(offset, end, size):
        kind, start, length = _PROGRAM_HEADER.unpack_from(data, header)
        if kind == _LOAD:
            end = max(end, start + length)
    return end


def machine_of(architecture: str) -> str:
    """Returns the name that Linux has for an architecture, such as ``x86_64``."""
    return _MACHINES[architecture]


def is_of_this_machine(architecture: str) -> bool:
    """Returns whether libraries for an architecture can be opened here."""
    return platform.machine() == _MACHINES[architecture]
