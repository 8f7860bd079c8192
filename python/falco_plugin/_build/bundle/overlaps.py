"""Removes what Python would not import, because something else of the same name comes first on ``sys.path``."""

from __future__ import annotations

import _imp
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any

from falco_plugin._build.bundle.parts import Part
from falco_plugin._build.bundle.standard_library import StandardLibrary


def remove(parts: Iterable[Part], library: StandardLibrary) -> None:
    """Removes modules that the standard library has too, and modules and files that an earlier part has too.

    Distributions share files: each one of a namespace package may bring the ``__init__.py`` of that package.

    Args:
        parts: the distributions, in the order in which Python searches their folders.
        library: the standard library, which precedes all of them.
    """
    modules: set[str] = set()
    files: set[str] = set()
    for part in parts:
        own = {name for kind in _kinds(part) for name in kind}
        for kind in _kinds(part):
            for name in [name for name in kind if name in modules or _is_standard(name, library)]:
                del kind[name]
        for path in files & part.files.keys():
            del part.files[path]
        modules |= own
        files |= part.files.keys()


def _kinds(part: Part) -> tuple[MutableMapping[str, Any], ...]:
    return part.modules, part.extensions, part.left_out


def _is_standard(name: str, library: StandardLibrary) -> bool:
    top = name.partition(".")[0]
    return library.has(top) or top in sys.builtin_module_names or _imp.is_frozen(top)
