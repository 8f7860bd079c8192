"""Loads extension modules in a Python whose libpython is not in the global scope of symbols.

An extension module does not name libpython as a dependency: it expects to find its symbols in the global scope. Each
one is opened through a small library that depends on both libpython and the module. The dynamic linker then searches
both of them.
"""

import os
import sys
from importlib.machinery import ExtensionFileLoader

SHIMS = "@SHIMS@"
LIBPYTHON = "@LIBPYTHON@"

_create_module = ExtensionFileLoader.create_module


def _shim(extension):
    """Returns the path of the library through which an extension module is opened. Builds it at first use."""
    found = os.stat(extension)
    path = f"{SHIMS}/{found.st_ino:x}-{found.st_mtime_ns:x}.so"
    if not os.path.exists(path):
        part = f"{path}.{os.getpid()}"
        # subprocess needs extension modules.
        linked = ("-Wl,--no-as-needed", extension, LIBPYTHON, f"-Wl,-rpath,{os.path.dirname(extension)}")
        # Without an object file, the linker requests an executable stack, which new versions of glibc refuse.
        options = ("-Wl,--allow-shlib-undefined", "-Wl,-z,noexecstack")
        command = ("cc", "-shared", "-nostdlib", "-o", part, *linked, *options)
        _, status = os.waitpid(os.posix_spawnp("cc", command, os.environ), 0)
        if status:
            raise ImportError(f"cannot link {path} for {extension}")
        os.rename(part, path)
    return path


def _create_through_shim(self, spec):
    spec.origin = _shim(os.path.realpath(self.path))
    try:
        return _create_module(self, spec)
    finally:
        spec.origin = self.path


ExtensionFileLoader.create_module = _create_through_shim
# Programs that this process starts are ordinary.
del os.environ["PYTHONPATH"]
sys.path.remove(os.path.dirname(__file__))
