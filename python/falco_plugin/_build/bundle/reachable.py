"""Compiles the modules of all parts, and finds which modules of the standard library they can reach."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from falco_plugin._build.bundle import native, standard_library
from falco_plugin._build.bundle.cache import Compiler
from falco_plugin._build.bundle.code import Module
from falco_plugin._build.bundle.parts import Part
from falco_plugin._build.bundle.standard_library import StandardLibrary


class Compiled:
    """A part with its compiled modules."""

    def __init__(self, part: Part, cache: Path | None) -> None:
        self.part = part
        self.modules: dict[str, Module] = {}
        self.skipped: list[str] = []
        """Names of modules that this Python cannot compile, for example because they are written for Python 2."""
        self._compiler = Compiler(cache, f"{part.name}-{part.version}" if part.version else part.name)
        for name in part.modules:
            self.add(name)

    def add(self, name: str) -> Module | None:
        """Compiles a module of the part."""
        module = self._compiler.compile(name, self.part.modules[name])
        if module is None:
            self.skipped.append(name)
        else:
            self.modules[name] = module
        return module

    def save(self) -> None:
        """Writes new modules to the cache."""
        self._compiler.save()


def add_imported(parts: list[Compiled], imports: Iterable[str]) -> None:
    """Adds modules that were left out, such as those in a package named ``tests``, if others import them."""
    left_out = {name: part for part in parts for name in part.part.left_out}
    if not left_out:
        return
    pending = {*imports, *(name for part in parts for module in part.modules.values() for name in module.imports)}
    while pending:
        name = pending.pop()
        for module_name in (*standard_library.parents(name), name):
            part = left_out.pop(module_name, None)
            if part is not None:
                part.part.modules[module_name] = part.part.left_out.pop(module_name)
                module = part.add(module_name)
                pending.update(module.imports if module is not None else ())


def imports(parts: Iterable[Compiled]) -> set[str]:
    """Returns the names of modules that import statements of parts may import."""
    return {name for part in parts for module in part.modules.values() for name in module.imports}


def references(parts: Sequence[Compiled]) -> set[str]:
    """Returns the names of modules that parts may import: by statements, by names in strings, and from C or Rust."""
    found = imports(parts)
    for compiled in parts:
        for module in compiled.modules.values():
            found.update(module.strings)
        for path in compiled.part.extensions.values():
            found |= native.module_names(path)
    return found


def reach(library: StandardLibrary, compiled: Compiled, roots: Iterable[str], excluded: Iterable[str]) -> None:
    """Adds the modules of the standard library that roots lead to.

    Args:
        library: the standard library.
        compiled: its part, to which the modules are added.
        roots: names of modules; those that are not of the standard library are ignored.
        excluded: names of modules and packages that are not packed.
    """
    part = compiled.part
    hidden = set(excluded)
    pending = set(roots)
    seen: set[str] = set()
    while pending:
        root = pending.pop()
        for name in (*standard_library.parents(root), root):
            if name in seen or hidden & {name, *standard_library.parents(name)}:
                continue
            seen.add(name)
            followed: Iterable[str] = ()
            if name in library.extensions:
                part.extensions[name] = library.extensions[name]
                followed = filter(standard_library.is_precise, native.module_names(library.extensions[name]))
            elif name in library.sources:
                part.modules[name] = library.sources[name]
                module = compiled.modules.get(name) or compiled.add(name)
                followed = module.imports if module is not None else ()
            pending.update(other for other in followed if standard_library.is_followed(other, name))
            pending.update(standard_library.implied(name))
