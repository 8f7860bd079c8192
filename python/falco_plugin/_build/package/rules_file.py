"""Reads a file of Falco rules: the engine and the plugins that it requires, and the event sources of its rules."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from falco_plugin._build.errors import TargetError
from falco_plugin._build.package.plugin_library import Metadata
from falco_plugin._build.package.registry_rules import SEMANTIC_VERSION

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
        data = Path(path).read_bytes()
    except OSError as error:
        raise TargetError(f"cannot read {path}: {error.strerror}") from None
    entries = _parse(path, data)
    dependencies = list(_dependencies(path, entries))
    _check_version(path, dependencies, plugin)
    if not any(plugin.name == name for name, _ in _names(dependencies)):
        dependencies.append({"name": plugin.name, "version": plugin.version})
    return RulesFile(
        path=path,
        data=data,
        engine_version=_engine_version(path, entries),
        dependencies=sorted(dependencies, key=lambda dependency: str(dependency["name"])),
        warnings=list(_warn_of_sources(path, entries, plugin, dependencies)),
    )


def _parse(path: str, data: bytes) -> list[dict[str, Any]]:
    """Returns the entries of a rules file."""
    try:
        yaml = importlib.import_module("yaml")
    except ModuleNotFoundError:
        raise TargetError("--rules needs PyYAML, which is not installed: python -m pip install PyYAML") from None
    try:
        documents = list(yaml.safe_load_all(data))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise TargetError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    entries = [entry for document in documents if document is not None for entry in _entries(path, document)]
    if not entries:
        raise TargetError(f"{path} has no rules: leave out --rules, or name a file with rules")
    return entries


def _entries(path: str, document: object) -> Iterator[dict[str, Any]]:
    if not isinstance(document, list):
        raise TargetError(f"{path} is not a rules file: it must be a list of rules, got {type(document).__name__}")
    for entry in document:
        if not isinstance(entry, dict):
            raise TargetError(
                f"{path} is not a rules file: each entry must be a mapping such as '- rule: …', got {entry!r}"
            )
        yield entry


def _dependencies(path: str, entries: list[dict[str, Any]]) -> Iterator[Pair]:
    for entry in entries:
        if "required_plugin_versions" not in entry:
            continue
        plugins = entry["required_plugin_versions"]
        if not isinstance(plugins, list):
            raise TargetError(f"{path}: required_plugin_versions must be a list of plugins with name and version")
        for item in plugins:
            pair = _pair(path, item)
            alternatives = item.get("alternatives") or []
            if not isinstance(alternatives, list):
                raise TargetError(f"{path}: alternatives in required_plugin_versions must be a list")
            if alternatives:
                pair["alternatives"] = [_pair(path, other) for other in alternatives]
            yield pair


def _pair(path: str, item: object) -> Pair:
    name, version = (item.get("name"), item.get("version")) if isinstance(item, dict) else (None, None)
    if not isinstance(name, str) or not name:
        raise TargetError(f"{path}: required_plugin_versions has an entry without the name of a plugin: {item!r}")
    if not isinstance(version, str) or not SEMANTIC_VERSION.fullmatch(version):
        raise TargetError(
            f"{path}: required_plugin_versions has {name} with the version {version!r}: use a semantic version, such "
            "as 1.2.3"
        )
    return {"name": name, "version": version}


def _names(dependencies: list[Pair]) -> Iterator[tuple[str, str]]:
    """Yields name and version of each required plugin, and of each alternative."""
    for dependency in dependencies:
        for pair in (dependency, *dependency.get("alternatives", ())):
            yield pair["name"], pair["version"]


def _check_version(path: str, dependencies: list[Pair], plugin: Metadata) -> None:
    """Checks that Falco accepts the plugin for the rules: the same major version, and not an older one."""
    for name, version in _names(dependencies):
        if name == plugin.name:
            required, found = _numbers(version), _numbers(plugin.version)
            if required[0] != found[0] or required > found:
                raise TargetError(
                    f"{path} requires {name} {version}, and Falco does not accept {name} {plugin.version} for it: "
                    "change the version in required_plugin_versions"
                )


def _numbers(version: str) -> list[int]:
    return [int(number) for number in version.partition("-")[0].split(".")]


def _engine_version(path: str, entries: list[dict[str, Any]]) -> str | None:
    for entry in entries:
        if "required_engine_version" in entry:
            version = entry["required_engine_version"]
            if isinstance(version, int) and not isinstance(version, bool) and version >= 0:
                # Falco writes its former numbers as minor versions.
                return f"0.{version}.0"
            if isinstance(version, str) and SEMANTIC_VERSION.fullmatch(version):
                return version
            raise TargetError(
                f"{path}: required_engine_version is {version!r}: use a number, or a semantic version such as 0.31.0"
            )
    return None


def _warn_of_sources(
    path: str, entries: list[dict[str, Any]], plugin: Metadata, dependencies: list[Pair]
) -> Iterator[str]:
    """Yields a warning for each source of rules that is not one of the plugin's."""
    own = plugin.event_sources()
    others = any(name != plugin.name for name, _ in _names(dependencies))
    if not own or others:
        # The events of other plugins, whose sources are not known.
        return
    first: dict[str, str] = {}
    for entry in entries:
        is_definition = "rule" in entry and "condition" in entry and not {"append", "override"} & entry.keys()
        if is_definition:
            first.setdefault(str(entry.get("source", "syscall")), str(entry["rule"]))
    for source, rule in first.items():
        if source not in own:
            yield (
                f"{path}: the rule {rule!r} is for the event source {source}, but {plugin.name} has "
                f"{', '.join(own)}: set its source, or name the plugin of {source} in required_plugin_versions"
            )
