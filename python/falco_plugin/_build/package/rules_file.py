"""Reads the rules that are packaged with a plugin: the engine and the plugins that they require."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from falco_plugin._build.errors import TargetError
from falco_plugin._build.package.plugin_library import Metadata
from falco_plugin._rules import files
from falco_plugin._rules.files import SEMANTIC_VERSION, Entry, Requirement
from falco_plugin._rules.problems import Problem, RulesError
from falco_plugin._rules.versions import is_accepted
from falco_plugin._rules.yaml_nodes import Scalar

Pair = dict[str, Any]


@dataclass(frozen=True)
class RulesFile:
    """A rules file, and what falcoctl must know of it."""

    path: str
    data: bytes
    engine_version: str | None
    """The lowest version of Falco's rule engine, as a semantic version."""
    dependencies: list[Pair]
    """The plugins that the rules require: ``name``, ``version`` and perhaps ``alternatives``."""
    warnings: list[str]


def read(path: str, plugin: Metadata) -> RulesFile:
    """Reads the rules that are packaged with a plugin.

    Raises:
        TargetError: the file cannot be read, is not a rules file, or requires another plugin than this one.
    """
    try:
        file = files.read(path)
    except RulesError as error:
        raise TargetError(str(error)) from None
    for problem in file.problems:
        if problem.severity == "error":
            raise TargetError(str(problem))
    if not file.entries:
        raise TargetError(f"{path}: the file has no rules: leave out --rules, or name a file with rules")
    for required in _all(file.requirements):
        if not SEMANTIC_VERSION.fullmatch(required.version):
            message = f"the version {required.version!r} of {required.name} is not semantic: write 1.2.3"
            raise TargetError(str(Problem(path, required.line, "error", message)))
    _check_version(path, file.requirements, plugin)
    dependencies = [_dependency(requirement) for requirement in file.requirements]
    if not any(plugin.name == required.name for required in _all(file.requirements)):
        dependencies.append({"name": plugin.name, "version": plugin.version})
    return RulesFile(
        path=path,
        data=file.data,
        engine_version=next((version for version, _ in file.engine_versions), None),
        dependencies=sorted(dependencies, key=lambda dependency: str(dependency["name"])),
        warnings=[
            *(f"{problem.where}: {problem.message}" for problem in file.problems),
            *_warn_of_sources(path, file.entries, plugin, file.requirements),
        ],
    )


def _dependency(requirement: Requirement) -> Pair:
    pair: Pair = {"name": requirement.name, "version": requirement.version}
    if requirement.alternatives:
        pair["alternatives"] = [{"name": other.name, "version": other.version} for other in requirement.alternatives]
    return pair


def _all(requirements: list[Requirement]) -> Iterator[Requirement]:
    """Yields each required plugin and each alternative."""
    for requirement in requirements:
        yield from (requirement, *requirement.alternatives)


def _check_version(path: str, requirements: list[Requirement], plugin: Metadata) -> None:
    for required in _all(requirements):
        if required.name == plugin.name and not is_accepted(plugin.version, required.version):
            message = (
                f"the rules require {required.name} {required.version}, and Falco does not accept {plugin.name} "
                f"{plugin.version} for it: change the version in required_plugin_versions"
            )
            raise TargetError(str(Problem(path, required.line, "error", message)))


def _warn_of_sources(
    path: str, entries: list[Entry], plugin: Metadata, requirements: list[Requirement]
) -> Iterator[str]:
    """Yields a warning for each source of rules that is not one of the plugin's."""
    own = plugin.event_sources()
    others = any(required.name != plugin.name for required in _all(requirements))
    if not own or others:
        # The events of other plugins, whose sources are not known.
        return
    first: dict[str, tuple[str, int]] = {}
    for entry in entries:
        body = entry.body
        if entry.kind == "rule" and body.get("condition") and not (body.get("append") or body.get("override")):
            source = body.get("source")
            name = source.text if isinstance(source, Scalar) else "syscall"
            first.setdefault(name, (entry.name, entry.line))
    for name, (rule, line) in first.items():
        if name not in own:
            message = (
                f"the rule {rule!r} is for the event source {name}, but {plugin.name} has {', '.join(own)}: set its "
                f"source, or name the plugin of {name} in required_plugin_versions"
            )
            yield f"{path}:{line}: {message}"
