"""Distinguishes extension modules from other shared libraries, and finds the modules that they import."""

from __future__ import annotations

import functools
import importlib.machinery
import re
import sys
from pathlib import Path

_MAGIC = b"\x7fELF"
_DOTTED = re.compile(rb"[\w.]+")
_STANDARD = frozenset(name.encode() for name in sys.stdlib_module_names)
_RUST = b"pyo3"
"""Bytes that extension modules in Rust contain."""
_HOOKS = (b"PyInit", b"PyModExport")
"""The functions that an extension module exports. Python 3.15 has the second one."""
_LONG = 7
"""Letters of a name that is not part of another word by chance."""
_ANY_SHARED_LIBRARY = re.compile(r".+\.so(\.\d+)*")


def is_shared_library(file: str) -> bool:
    """Returns whether a file name is that of a shared library."""
    return _ANY_SHARED_LIBRARY.fullmatch(file) is not None


def extension_name(file: str) -> str | None:
    """Returns the name of the module that this Python finds in a file; ``None`` if it finds none."""
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        name = file.removesuffix(suffix)
        if name != file and name and "." not in name:
            return name
    return None


def exports_module(path: Path, name: str) -> bool:
    """Returns whether a shared library is an extension module of this name, rather than a library for ``ctypes``."""
    unicode = b"" if name.isascii() else b"U"
    encoded = name.encode("punycode").replace(b"-", b"_") if unicode else name.encode()
    data = path.read_bytes()
    return data.startswith(_MAGIC) and any(hook + unicode + b"_" + encoded + b"\0" in data for hook in _HOOKS)


@functools.cache
def module_names(path: Path) -> frozenset[str]:
    """Returns the names of modules of the standard library that an extension module may import."""
    data = path.read_bytes()
    strings = {string for string in set(data.split(b"\0")) if string.partition(b".")[0] in _STANDARD}
    names = {string.decode() for string in strings if _DOTTED.fullmatch(string)}
    if _RUST in data:
        # Strings of Rust have no end mark, so that short names would be found within other words.
        names.update(name.decode() for name in _STANDARD if len(name) >= _LONG and name in data)
    return frozenset(names)
