"""Finds the modules of the standard library that a plugin, its dependencies and the SDK can reach."""

from __future__ import annotations

import _imp
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from falco_plugin._build.bundle import native
from falco_plugin._build.bundle.parts import Source
from falco_plugin._build.errors import TargetError

_ALWAYS = (
    # Python itself imports these without an import statement.
    *("codecs", "contextvars", "copyreg", "importlib", "io", "linecache", "os", "re", "string", "struct", "threading"),
    *("tokenize", "traceback", "types", "typing", "warnings", "_strptime", "_weakrefset", "_pylong"),
    *("annotationlib", "string.templatelib"),
    # The SDK adapts modules that a plugin may use.
    *("importlib.abc", "importlib.metadata", "importlib.resources", "importlib.util", "pkgutil"),
)
"""Modules that every plugin can reach. Some are only in newer versions of Python."""

# Type checkers do not know the private names of this module.
_private_sysconfig: Any = sysconfig
_COMPUTED = {
    "_decimal": ("collections", "numbers"),
    "_elementtree": ("copy", "pyexpat"),
    "_pickle": ("copyreg", "functools"),
    "_sqlite3": ("functools",),
    "dbm": ("dbm.dumb", "dbm.gnu", "dbm.ndbm", "dbm.sqlite3"),
    "multiprocessing": ("multiprocessing.resource_tracker", "multiprocessing.spawn"),
    "sysconfig": (_private_sysconfig._get_sysconfigdata_name(),),
    "xml.dom": ("xml.dom.minidom",),
    "xml.sax": ("xml.sax.expatreader",),
    "zoneinfo": ("importlib.resources",),
}
"""Modules that others import under computed names, or from C under names that are also other words."""

_NOT_FOLLOWED = frozenset(
    {
        # terminals and windows
        *(
            "cgitb",
            "cmd",
            "curses",
            "idlelib",
            "pdb",
            "pydoc",
            "readline",
            "rlcompleter",
            "tkinter",
            "turtle",
            "turtledemo",
        ),
        *("_pyrepl",),
        # other systems
        *("_aix_support", "_osx_support", "asyncio.windows_events", "asyncio.windows_utils", "plistlib"),
        *("multiprocessing.popen_spawn_win32", "nturl2path"),
        # the tests and tools of the standard library itself
        *("antigravity", "doctest", "ensurepip", "lib2to3", "test", "this", "trace", "unittest", "venv", "xmlrpc"),
        # modules in Python that are imported only if the same module in C is missing
        *("_py_abc", "_pydatetime", "_pydecimal", "_pyio"),
    }
)
"""Modules that are not packed if only the standard library itself imports them."""


ARCHIVES = frozenset({"bz2", "lzma", "tarfile", "compression.bz2", "compression.lzma", "compression.zstd"})
"""Modules for archives. They need large libraries, and ``shutil`` and ``zipfile`` import them for a few functions."""
_USERS_OF_ARCHIVES = frozenset({"shutil", "zipfile", "compression", *ARCHIVES})


@dataclass
class StandardLibrary:
    """The modules of this Python's standard library."""

    sources: dict[str, Source] = field(default_factory=dict)
    """Files of the modules in Python, without those that are frozen into libpython."""
    extensions: dict[str, Path] = field(default_factory=dict)
    """Extension modules."""

    def has(self, name: str) -> bool:
        """Returns whether there is a module of this name in a file."""
        return name in self.sources or name in self.extensions

    def names(self) -> Iterable[str]:
        """Yields the names of all modules in files."""
        yield from self.sources
        yield from self.extensions

    def roots(self) -> set[str]:
        """Returns the modules that every plugin can reach."""
        return {*_ALWAYS, *(name for name in self.sources if name.partition(".")[0] == "encodings")}


def find() -> StandardLibrary:
    """Finds all modules of the standard library.

    Raises:
        TargetError: it is not in a folder.
    """
    found = StandardLibrary()
    folders = dict.fromkeys(sysconfig.get_path(name) for name in ("stdlib", "platstdlib"))
    for folder in map(Path, folders):
        for path in sorted(folder.glob("*.py")) if folder.is_dir() else ():
            _add(found, path, path.stem)
        for path in sorted(folder.glob("*/__init__.py")):
            _add_package(found, path.parent, path.parent.name)
    extension_folders = dict.fromkeys(
        [sysconfig.get_config_var("DESTSHARED") or "", *(f"{folder}/lib-dynload" for folder in folders)]
    )
    for folder in map(Path, filter(None, extension_folders)):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            name = native.extension_name(path.name)
            if name is not None:
                found.extensions.setdefault(name, path)
    if "encodings" not in found.sources:
        raise TargetError(
            f"{sys.executable} has no folder with its standard library ({', '.join(folders)}): choose another Python "
            "with --python PATH"
        )
    return found


def _add_package(found: StandardLibrary, folder: Path, name: str) -> None:
    if not _is_standard(name) or name == "test":
        return
    for path in sorted(folder.rglob("*.py")):
        relative = path.relative_to(folder)
        if "test" in relative.parts or "tests" in relative.parts:
            continue
        parts = [name, *relative.with_suffix("").parts]
        _add(found, path, ".".join(parts).removesuffix(".__init__"))


def _add(found: StandardLibrary, path: Path, name: str) -> None:
    if _is_standard(name.partition(".")[0]) and not _imp.is_frozen(name):
        found.sources.setdefault(name, Source(path, path.name == "__init__.py"))


def _is_standard(name: str) -> bool:
    return name in sys.stdlib_module_names or name.startswith("_sysconfigdata_")


def parents(name: str) -> Iterable[str]:
    """Yields the packages that contain a module, from the outermost."""
    position = name.find(".")
    while position > 0:
        yield name[:position]
        position = name.find(".", position + 1)


def implied(name: str) -> tuple[str, ...]:
    """Returns the modules that a module imports without an import statement."""
    return _COMPUTED.get(name, ())


def is_followed(name: str, importer: str) -> bool:
    """Returns whether an import of a module by another module of the standard library leads to it."""
    if name == "readline":
        # All uses of it in the standard library are optional.
        return False
    return not _is_for_itself(name) or _is_for_itself(importer)


def needs_archives(names: Iterable[str]) -> bool:
    """Returns whether code that imports these modules may use modules for archives."""
    return not _USERS_OF_ARCHIVES.isdisjoint(name.partition(".")[0] for name in names)


def is_precise(name: str) -> bool:
    """Returns whether a string in an extension module is hardly anything else than the name of a module."""
    return "." in name or name.startswith("_")


def _is_for_itself(name: str) -> bool:
    return not _NOT_FOLLOWED.isdisjoint((name, *parents(name)))
