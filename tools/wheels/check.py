"""Checks a wheel: the platforms that it runs on, the programs that are embedded in it, and its bill of materials."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection

_EMBEDDED = (".falco_stub", ".falco_host", ".falco_packer")
_MACHINES = {"x86_64": "EM_X86_64", "aarch64": "EM_AARCH64"}


def check_wheel(wheel: Path, platform: str) -> None:
    """Exits with a message if something is wrong with the wheel.

    Args:
        wheel: the file.
        platform: the platform without the architecture, such as ``manylinux_2_17``.
    """
    architecture = next(name for name in _MACHINES if wheel.stem.endswith(name))
    if platform_tag(wheel) != f"{platform}_{architecture}":
        sys.exit(f"{wheel.name} fits {platform_tag(wheel)}, not {platform}_{architecture}")
    glibc = tuple(int(part) for part in platform.removeprefix("manylinux_").split("_"))
    with zipfile.ZipFile(wheel) as archive:
        (core,) = (name for name in archive.namelist() if name.startswith("falco_plugin/_core.") and ".so" in name)
        _check_embedded(wheel.name, archive.read(core), _MACHINES[architecture], glibc)
        materials = [name for name in archive.namelist() if ".dist-info/sboms/" in name]
        if not materials:
            sys.exit(f"{wheel.name} has no bill of materials")
        for name in materials:
            if not json.loads(archive.read(name))["components"]:
                sys.exit(f"{wheel.name}: {name} has no components")


@cache
def platform_tag(wheel: Path) -> str:
    """Returns the oldest platform that the wheel runs on, as auditwheel finds it."""
    command = [Path(sys.executable).with_name("auditwheel"), "show", "--json", wheel]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["overall_tag"]


def _check_embedded(wheel: str, core: bytes, machine: str, glibc: tuple[int, ...]) -> None:
    """Checks what auditwheel does not see: the files in sections of the extension module, and unversioned symbols."""
    module = ELFFile(io.BytesIO(core))
    _check_symbols(f"{wheel}: _core", module, glibc)
    for name in _EMBEDDED:
        section = module.get_section_by_name(name)
        if section is None:
            sys.exit(f"{wheel} has no section {name}: a tool stripped it")
        embedded = ELFFile(io.BytesIO(section.data()))
        if embedded["e_machine"] != machine:
            sys.exit(f"{wheel}: {name} is for {embedded['e_machine']}, not {machine}")
        _check_symbols(f"{wheel}: {name}", embedded, glibc)


def _check_symbols(name: str, file: ELFFile, glibc: tuple[int, ...]) -> None:
    """Checks that the system's glibc has all symbols that a file needs."""
    for version in _glibc_versions(file):
        if version > glibc:
            sys.exit(f"{name} needs glibc {'.'.join(map(str, version))}: it was linked for this system")
    # Zig links symbols of a newer glibc without a version, so auditwheel does not find them.
    symbols, versions = (file.get_section_by_name(section) for section in (".dynsym", ".gnu.version"))
    for index, symbol in enumerate(symbols.iter_symbols()):
        is_needed = symbol["st_shndx"] == "SHN_UNDEF" and symbol["st_info"]["bind"] == "STB_GLOBAL"
        is_unversioned = versions.get_symbol(index)["ndx"] in ("VER_NDX_LOCAL", "VER_NDX_GLOBAL")
        if is_needed and is_unversioned and not symbol.name.startswith(("Py", "_Py")):
            sys.exit(f"{name} needs {symbol.name}, which glibc {'.'.join(map(str, glibc))} does not have")


def _glibc_versions(file: ELFFile) -> list[tuple[int, ...]]:
    """Returns the versions of glibc whose symbols a file needs."""
    names = [
        version.name
        for section in file.iter_sections()
        if isinstance(section, GNUVerNeedSection)
        for _, versions in section.iter_versions()
        for version in versions
    ]
    found = [name.removeprefix("GLIBC_") for name in names if name.startswith("GLIBC_")]
    return [tuple(int(part) for part in version.split(".")) for version in found]
