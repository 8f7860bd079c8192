"""Makes the artifacts of a plugin from its libraries and its rules, after all checks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields

from falco_plugin._build.errors import TargetError
from falco_plugin._build.package import artifacts, elf, plugin_library, registry_rules, rules_file
from falco_plugin._build.package.artifacts import Artifact
from falco_plugin._build.package.plugin_library import Metadata, PluginLibrary

_NOT_COMPARED = frozenset({"description", "contact"})
"""Metadata in which libraries of one plugin may differ. The package has those of the first."""


@dataclass(frozen=True)
class Package:
    """The artifacts of a plugin."""

    about: Metadata
    plugin: Artifact
    rules: Artifact | None
    warnings: list[str]


def make(paths: Sequence[str], rules: str | None, allowed: Collection[str], annotations: Mapping[str, str]) -> Package:
    """Reads and checks all files of a package.

    Args:
        paths: the libraries, one for each architecture.
        rules: the rules file.
        allowed: the problems that are meant, of `registry_rules.ALLOWED`.
        annotations: additional annotations.

    Raises:
        TargetError: something cannot be packaged.
    """
    libraries = [plugin_library.read(path) for path in paths]
    for library in libraries:
        for problem in registry_rules.problems(library, allowed):
            raise TargetError(problem)
    first, *others = libraries
    seen = {first.architecture: first}
    for other in others:
        _check_same_plugin(first, other)
        same = seen.setdefault(other.architecture, other)
        if same is not other:
            raise TargetError(
                f"{same.path} and {other.path} are both for {elf.machine_of(other.architecture)}: give one library for "
                "each architecture"
            )
    about = first.metadata
    file = rules_file.read(rules, about) if rules is not None else None
    return Package(
        about=about,
        plugin=artifacts.plugin(libraries, annotations),
        rules=artifacts.rules(file, about, annotations) if file is not None else None,
        warnings=file.warnings if file is not None else [],
    )


def _check_same_plugin(first: PluginLibrary, other: PluginLibrary) -> None:
    for name in (field.name for field in fields(Metadata)):
        one, two = getattr(first.metadata, name), getattr(other.metadata, name)
        if name not in _NOT_COMPARED and one != two:
            values = f" ({one} and {two})" if isinstance(one, str | int) and isinstance(two, str | int) else ""
            label = name.replace("_", " ")
            raise TargetError(
                f"{first.path} and {other.path} differ in their {label}{values}: give libraries that were built from "
                "the same plugin"
            )
