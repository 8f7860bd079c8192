"""Collects everything that a self-contained library brings beside the plugin's own files."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from falco_plugin._build.bundle import (
    code,
    cython,
    distributions,
    files,
    overlaps,
    reachable,
    requirements,
    sdk,
    settings,
    standard_library,
)
from falco_plugin._build.bundle.choice import Choice
from falco_plugin._build.bundle.distributions import SDK, Installed, Needed
from falco_plugin._build.bundle.parts import Part
from falco_plugin._build.bundle.reachable import Compiled
from falco_plugin._build.bundle.requirements import Owners
from falco_plugin._build.errors import TargetError

if TYPE_CHECKING:
    from packaging.requirements import Requirement

STANDARD_LIBRARY = "stdlib"
_TIME_ZONES = "tzdata"
"""The distribution that ``zoneinfo`` uses if the system has no time zones."""


@dataclass
class Collection:
    """Everything that is packed, and what the user should know."""

    standard: Compiled
    sdk: Compiled
    dependencies: list[Compiled]
    """Sorted by name."""
    needed: dict[str, Needed]
    """The distributions, with the SDK, by their normalised names."""
    base: frozenset[str]
    """Modules of the standard library that the SDK reaches, so that they are in every bundle."""
    warnings: list[str] = field(default_factory=list)

    @property
    def parts(self) -> list[Compiled]:
        """All parts, in the order in which they are stored."""
        return [self.standard, self.sdk, *self.dependencies]


def collect(
    path: Path, sources: Mapping[str, bytes], include: Sequence[str], exclude: Sequence[str], cache: Path | None
) -> Collection:
    """Collects what a plugin needs from the environment of this Python.

    Args:
        path: the file or folder of the plugin.
        sources: its own files by their names in the archive.
        include: names of modules, packages or distributions to pack beside what is found, or patterns of data files
            to keep.
        exclude: names of modules, packages or distributions to leave out, or patterns of data files.
        cache: the cache folder; ``None`` for no cache.

    Raises:
        TargetError: something that the plugin needs cannot be packed.
    """
    _check_platform()
    library = standard_library.find()
    installed = Installed()
    owners = Owners(installed)
    own = _own_imports(sources)
    choice = Choice(settings.join(path, include, exclude), library, installed, owners)
    warnings: list[str] = []
    roots = _roots(path, sources, own, installed, owners, choice.excluded, warnings)
    needed = distributions.resolve(installed, [*roots, *choice.requirements], str(path), choice.excluded)
    parts = [_part_of(name, distribution) for name, distribution in needed.items()]
    overlaps.remove(sorted(parts, key=lambda part: installed.position(part.name)), library)
    choice.apply(parts)
    compiled = [Compiled(part, cache) for part in parts]
    reachable.add_imported(compiled, own)
    own_sdk = next(part for part in compiled if part.part.name == SDK)
    dependencies = [part for part in compiled if part is not own_sdk]
    of_sdk = [part for part in dependencies if part.part.name in needed[SDK].requires]
    used = own | reachable.references([part for part in dependencies if part not in of_sdk])
    used |= cython.imported(item for part in dependencies for item in part.part.extensions.items())
    zones = installed.find(_TIME_ZONES)
    if "zoneinfo" in used and zones is not None and _TIME_ZONES not in needed and _TIME_ZONES not in choice.excluded:
        needed[_TIME_ZONES] = Needed(_TIME_ZONES, zones)
        dependencies.append(Compiled(files.part_of(_TIME_ZONES, zones), cache))
    standard = Compiled(Part(STANDARD_LIBRARY), cache)
    base = reachable.imports([own_sdk]) | reachable.references(of_sdk) | {*sdk.CORE_IMPORTS, *library.roots()}
    reachable.reach(library, standard, base, [*choice.excluded_modules, *standard_library.ARCHIVES])
    in_every_bundle = frozenset(standard.modules)
    used |= choice.modules
    hidden = () if standard_library.needs_archives(used) else standard_library.ARCHIVES
    reachable.reach(library, standard, used, [*choice.excluded_modules, *hidden])
    choice.check()
    for part in (standard, own_sdk, *dependencies):
        part.save()
    dependencies.sort(key=lambda part: part.part.name)
    needed = dict(sorted(needed.items()))
    return Collection(standard, own_sdk, dependencies, needed, in_every_bundle, warnings)


def _check_platform() -> None:
    """Raises ``TargetError`` if self-contained libraries do not run on this platform."""
    remedy = "build with --linked, or use a Linux system with glibc, such as Debian, Ubuntu or Fedora"
    if sys.platform != "linux":
        raise TargetError(f"a self-contained library needs Linux, and this is {sys.platform}: {remedy}")
    try:
        libc = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):
        libc = ""
    if not libc.startswith("glibc"):
        raise TargetError(f"a self-contained library needs a Python for glibc, and {sys.executable} is not: {remedy}")


def _own_imports(sources: Mapping[str, bytes]) -> set[str]:
    """Returns the modules that the plugin's own code may import or name, without its own."""
    own = {name.partition("/")[0].removesuffix(".py") for name in sources}
    found: set[str] = set()
    for name, source in sources.items():
        if name.endswith(".py"):
            parts = name.removesuffix(".py").split("/")
            is_package = parts[-1] == "__init__"
            module = code.compile_module(source, ".".join(parts[:-1] if is_package else parts), is_package)
            if module is not None:
                found.update(module.imports, module.strings)
    return {name for name in found if name.partition(".")[0] not in own}


def _roots(
    path: Path,
    sources: Mapping[str, bytes],
    own: set[str],
    installed: Installed,
    owners: Owners,
    excluded: frozenset[str],
    warnings: list[str],
) -> list[Requirement]:
    """Returns what the plugin requires, with the SDK."""
    brought = sys.stdlib_module_names | {"falco_plugin"}
    names = {name for name in own if name.partition(".")[0] not in brought}
    imported = owners.of(names, str(path))
    declared = requirements.declared(path, installed)
    if declared is None:
        required = [distributions.parse(name, str(path)) for name in imported]
    else:
        required = declared.requirements
        # Also an error if one is not installed, so that the warning is about distributions that the plugin could bring.
        resolved = distributions.resolve(installed, required, declared.origin, excluded)
        for module, file in sorted(requirements.required_imports(sources).items()):
            for owner in owners.of({module} & names, str(path)):
                if owner not in resolved and owner not in excluded:
                    warnings.append(
                        f"{file} imports {module}, but {declared.origin} does not depend on {owner}, so it is "
                        f"not packed: add {owner} to {declared.member}, or build with --include {owner}"
                    )
    of_sdk = f"{SDK}[{','.join(extras)}]" if (extras := sdk.extras(own)) else SDK
    return [distributions.parse(of_sdk, str(path)), *required]


def _part_of(name: str, needed: Needed) -> Part:
    return sdk.part(needed.metadata) if name == SDK else files.part_of(name, needed.metadata)
