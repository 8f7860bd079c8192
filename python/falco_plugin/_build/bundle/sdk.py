"""The SDK as a part of a bundle: what runs inside Falco, without the command."""

from __future__ import annotations

import os
from importlib import metadata
from pathlib import Path

import falco_plugin
from falco_plugin import _core
from falco_plugin._build.bundle import files
from falco_plugin._build.bundle.distributions import SDK
from falco_plugin._build.bundle.parts import Part, Source

_NOT_IN_FALCO = frozenset({"__main__", "_build", "_falco", "_rules", "cli", "templates", "testing"})
"""Modules and packages that only the command and tests use."""
CORE = "falco_plugin._core"
CORE_IMPORTS = ("collections", "datetime", "gc", "ipaddress", "os", "sys")
"""Modules of the standard library that the extension module imports."""


def part(distribution: metadata.Distribution) -> Part:
    """Returns the SDK's modules, from where this process imported them."""
    found = Part(SDK, distribution.version)
    root = Path(falco_plugin.__file__).parent
    for parent, folders, names in os.walk(root):
        folder = Path(parent).relative_to(root)
        folders[:] = sorted(name for name in folders if name != "__pycache__" and name not in _NOT_IN_FALCO)
        for name in sorted(names):
            stem = name.removesuffix(".py")
            if stem != name and stem not in _NOT_IN_FALCO:
                is_package = stem == "__init__"
                module = ".".join((root.name, *folder.parts, *(() if is_package else (stem,))))
                found.modules[module] = Source(Path(parent, name), is_package)
    found.extensions[CORE] = Path(_core.__file__)
    files.add_metadata(found, distribution)
    return found
