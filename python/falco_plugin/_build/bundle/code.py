"""Compiles modules into marshalled code objects. The same source always gives the same bytes."""

from __future__ import annotations

import marshal
import warnings
from types import CodeType
from typing import NamedTuple

from falco_plugin._build.bundle import marshalled, references


class Module(NamedTuple):
    """A compiled module. Its parts can be marshalled, because the cache stores them."""

    code: bytes
    """The marshalled code object."""
    imports: tuple[str, ...]
    """The absolute names of all modules that its import statements may import."""
    strings: tuple[str, ...]
    """String constants that begin with the name of a module of the standard library."""
    uses_path: bool
    """Whether it uses ``__file__`` or ``__path__``, by which code finds files beside it."""


def compile_module(source: bytes, name: str, is_package: bool) -> Module | None:
    """Compiles a module without optimisation.

    Args:
        source: the contents of its file.
        name: its dotted name.
        is_package: whether it is the ``__init__`` of a package.

    Returns:
        The module; ``None`` if this Python cannot compile it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code = compile(source, _file_name(name, is_package), "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return of_code(code, source, name, is_package)


def of_code(code: CodeType, source: bytes, name: str, is_package: bool) -> Module:
    """Returns the compiled module of a code object and its source."""
    found = references.find(code, source, name, is_package)
    return Module(marshalled.normalise(marshal.dumps(code)), found.imports, found.strings, found.uses_path)


def _file_name(name: str, is_package: bool) -> str:
    """Returns the file name in the code object. It does not depend on the machine; the finder replaces it."""
    return name.replace(".", "/") + ("/__init__.py" if is_package else ".py")
