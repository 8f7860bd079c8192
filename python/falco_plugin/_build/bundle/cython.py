"""Finds the modules that extension modules made by Cython import.

Cython since 3.2 compresses the strings of a module and stores them without separators. So names in them can be parts of
other words. The module is imported in another process to tell which of them it imports. Modules that only its functions
import are not found.
"""

from __future__ import annotations

import functools
import re
import subprocess
import sys
import zlib
from collections.abc import Iterable
from pathlib import Path

from falco_plugin._build import environment

_MARK = b"CYTHON_COMPRESS_STRINGS"
"""Bytes of a message in each extension module with compressed strings."""
_COMPRESSED = re.compile(rb"\x78\xda")
"""The beginning of compressed data."""
_MAX_STRINGS = 16 << 20
_CODE = """
import os, sys
from importlib import import_module
names, sys.path[:] = sys.argv[1].split(), sys.argv[2:]
# Keep the output of the modules apart from the result.
output = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
before = {*sys.modules}
for name in names:
    try:
        import_module(name)
    except BaseException:
        pass
output.write(" ".join({*sys.modules} - before))
output.flush()
os._exit(0)
"""


def imported(extensions: Iterable[tuple[str, Path]]) -> set[str]:
    """Returns the names of the modules that extension modules with compressed strings import.

    Args:
        extensions: the dotted names of extension modules, and their files.
    """
    strings = {name: found for name, path in extensions if (found := _strings(path))}
    if not strings:
        return set()
    command = [sys.executable, "-I", "-S", "-c", _CODE, " ".join(sorted(strings)), *environment.folders()]
    # A module that cannot be imported here reports it at run time too.
    process = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    return {name for name in process.stdout.split() if any(_contains(found, name) for found in strings.values())}


def _contains(strings: bytes, module: str) -> bool:
    return all(part.encode() in strings for part in module.split("."))


@functools.cache
def _strings(path: Path) -> bytes:
    """Returns the compressed strings of a file; empty if it has none."""
    data = path.read_bytes()
    if _MARK not in data:
        return b""
    return b"\0".join(_decompress(memoryview(data)[match.start() :]) for match in _COMPRESSED.finditer(data))


def _decompress(data: memoryview) -> bytes:
    """Returns decompressed data; empty if it is not compressed data."""
    decompressor = zlib.decompressobj()
    try:
        found = decompressor.decompress(data, _MAX_STRINGS)
    except zlib.error:
        return b""
    return found if decompressor.eof else b""
