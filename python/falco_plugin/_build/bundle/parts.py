"""The parts of a bundle, before they are compiled: which modules, extension modules and files each of them brings."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple


class Source(NamedTuple):
    """The file of a module."""

    path: Path
    is_package: bool


@dataclass
class Part:
    """The standard library, the SDK, or a distribution."""

    name: str
    """The name of its group of entries."""
    version: str = ""
    modules: dict[str, Source] = field(default_factory=dict)
    """Files of modules by their dotted names."""
    extensions: dict[str, Path] = field(default_factory=dict)
    """Extension modules by their dotted names."""
    files: dict[str, Path | bytes] = field(default_factory=dict)
    """Data files, or their contents, by their paths relative to the folder of packages."""
    left_out: dict[str, Source] = field(default_factory=dict)
    """Modules of tests, documentation and the like. They are packed if another module imports them."""

    def remove(self, name: str) -> bool:
        """Removes a module or a package with all that is in it. Returns whether there was anything to remove."""
        below = f"{name}."
        folder = name.replace(".", "/") + "/"
        modules = [module for module in self.modules if module == name or module.startswith(below)]
        extensions = [module for module in self.extensions if module == name or module.startswith(below)]
        files = [path for path in self.files if path.startswith(folder)]
        for module in modules:
            del self.modules[module]
        for module in extensions:
            del self.extensions[module]
        for path in files:
            del self.files[path]
        return bool(modules or extensions or files)
