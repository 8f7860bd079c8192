"""The SDK as a part of a bundle: what runs inside Falco, without the command."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import falco_plugin
from falco_plugin import _core
from falco_plugin._build.bundle import files
from falco_plugin._build.bundle.distributions import SDK
from falco_plugin._build.bundle.parts import Part, Source

_NOT_IN_FALCO = frozenset({"__main__", "_build", "_falco", "_rules", "cli", "templates", "testing"})
"""Modules and packages that only the command and tests use."""
_OPTIONAL = frozenset({"polling", "receiving"})
"""Packages that are packed only if the plugin imports them."""
_EXTRAS = {"polling": "polling"}
"""Optional packages that need other distributions, and the extras of the SDK that name these."""
CORE = "falco_plugin._core"
CORE_IMPORTS = ("collections", "datetime", "gc", "ipaddress", "os", "sys")
"""Modules of the standard library that the extension module imports."""


def extras(imports: Iterable[str]) -> list[str]:
    """Returns the extras of the SDK that code needs which imports these modules."""
    packages = {_package_of(name) for name in imports}
    return [extra for package, extra in _EXTRAS.items() if package in packages]


def _package_of(module: str) -> str:
    """Returns the package of the SDK that a module is in, such as ``polling``; empty for other modules."""
    root, _, rest = module.partition(".")
    return rest.partition(".")[0] if root == "falco_plugin" else ""


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
                modules = found.left_out if _package_of(module) in _OPTIONAL else found.modules
                modules[module] = Source(Path(parent, name), is_package)
    found.extensions[CORE] = Path(_core.__file__)
    files.add_metadata(found, distribution)
    return found
