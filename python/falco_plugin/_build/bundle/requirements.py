"""Finds what a plugin requires: the dependencies that it declares, or the distributions that its code imports."""

from __future__ import annotations

import ast
import importlib.machinery
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from falco_plugin._build.bundle import distributions, editable, records, script
from falco_plugin._build.bundle.distributions import Installed
from falco_plugin._build.bundle.files import part_of
from falco_plugin._build.errors import TargetError

if TYPE_CHECKING:
    from importlib import metadata

    from packaging.requirements import Requirement


class Declared(NamedTuple):
    """The dependencies that a plugin declares."""

    origin: str
    """Where they are declared: a path."""
    member: str
    """Their name there."""
    requirements: list[Requirement]


def declared(path: Path, installed: Installed) -> Declared | None:
    """Returns the dependencies that the pyproject.toml of a folder or the metadata in a single file declares.

    Returns:
        The dependencies; ``None`` if none are declared.

    Raises:
        TargetError: the metadata are not valid.
    """
    origin, metadata = metadata_of(path)
    texts = _in_folder(metadata, installed) if path.is_dir() else metadata.get("dependencies")
    if texts is None:
        return None
    member = "project.dependencies" if path.is_dir() else script.DEPENDENCIES
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise TargetError(f"{origin}: {member} must be a list of strings")
    requirements = [distributions.parse(text, origin) for text in texts]
    met = [requirement for requirement in requirements if requirement.marker is None or requirement.marker.evaluate()]
    return Declared(origin, member, met)


def metadata_of(path: Path) -> tuple[str, dict[str, Any]]:
    """Returns the metadata of a plugin: its pyproject.toml, or the block of a single file. They are empty without one.

    Args:
        path: the file or folder of the plugin.

    Returns:
        The path of the file that has the metadata, and the metadata.

    Raises:
        TargetError: they cannot be read, or are not valid.
    """
    if not path.is_dir():
        return str(path), script.metadata(path)
    file = path / "pyproject.toml"
    if not file.is_file():
        return str(file), {}
    try:
        return str(file), tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TargetError(f"cannot read {file}: {error}") from None


def _in_folder(metadata: dict[str, Any], installed: Installed) -> Any:
    """Returns the value of ``project.dependencies`` of a pyproject.toml; ``None`` if there is none."""
    project = metadata.get("project")
    if not isinstance(project, dict):
        return None
    if "dependencies" in project.get("dynamic", ()):
        # The build backend computes them. An installed project has the result in its metadata.
        distribution = installed.find(distributions.normalise(str(project.get("name", ""))))
        if distribution is None:
            return None
        return [text for text in distribution.requires or () if "extra ==" not in text]
    return project.get("dependencies", [])


class Owners:
    """Finds the installed distributions that modules belong to."""

    def __init__(self, installed: Installed) -> None:
        self._distributions: dict[str, metadata.Distribution] = {}
        self._top_level: dict[str, list[str]] = {}
        for name, distribution in installed.all():
            self._distributions[name] = distribution
            for module in _top_level(name, distribution):
                self._top_level.setdefault(module, []).append(name)

    def of(self, modules: Iterable[str], importer: str) -> list[str]:
        """Returns the normalised names of the distributions that modules belong to, sorted.

        Args:
            modules: dotted names, without those of the standard library. Modules that do not exist are ignored.
            importer: the path of the plugin, for the error.

        Raises:
            TargetError: a module exists, but belongs to no distribution.
        """
        found: set[str] = set()
        for top, names in _by_top_level(modules).items():
            owners = self._top_level.get(top, [])
            if not owners:
                _check_missing(top, importer)
            found.update(owners if len(owners) < 2 else self._closest(owners, names))
        return sorted(found)

    def _closest(self, owners: Iterable[str], names: Iterable[str]) -> set[str]:
        """Returns those of several owners of a namespace package that have the modules."""
        modules: dict[str, set[str]] = {}
        for owner in owners:
            part = part_of(owner, self._distributions[owner])
            for module in (*part.modules, *part.extensions):
                modules.setdefault(module, set()).add(owner)
        found: set[str] = set()
        for name in names:
            while name and name not in modules:
                name = name.rpartition(".")[0]
            found |= modules.get(name, set())
        return found


def required_imports(sources: Mapping[str, bytes]) -> dict[str, str]:
    """Returns the modules that statements at the top level of files import, with the name of the file."""
    found: dict[str, str] = {}
    for file, source in sources.items():
        if not file.endswith(".py"):
            continue
        for statement in ast.parse(source).body:
            if isinstance(statement, ast.Import):
                found.update((alias.name, file) for alias in statement.names)
            elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
                found[statement.module] = file
    return found


def _by_top_level(modules: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for module in sorted(modules):
        found.setdefault(module.partition(".")[0], []).append(module)
    return found


def _top_level(name: str, distribution: metadata.Distribution) -> set[str]:
    """Returns the modules at the top level of a distribution."""
    if editable.is_editable(distribution):
        try:
            return {file.partition("/")[0].partition(".")[0] for file, _ in editable.files(distribution, name)}
        except TargetError:
            # It is an error only if the plugin needs this distribution.
            return {name.replace("-", "_")}
    listed = {file.partition("/")[0].partition(".")[0] for file in records.files_of(distribution) or ()}
    return {*listed, *(distribution.read_text("top_level.txt") or "").split()}


def _check_missing(module: str, importer: str) -> None:
    spec = importlib.machinery.PathFinder.find_spec(module)
    if spec is not None and spec.origin is not None:
        raise TargetError(
            f"{importer} imports {module} from {spec.origin}, which belongs to no installed package: move it into the "
            f"plugin's folder, or install it ({sys.executable} -m pip install PATH)"
        )
