"""Checks a plugin beyond what its build refuses: what it lacks before others can use it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from falco_plugin._build import definitions, host, pack, temporary
from falco_plugin._build import target as targets
from falco_plugin._build.errors import TargetError
from falco_plugin._build.package.registry_rules import SEMANTIC_VERSION
from falco_plugin._declare import fields, plugin_ids
from falco_plugin._rules.fields import FALCO_FIELDS, Plugin
from falco_plugin._rules.problems import Problem, Report

_FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+")
_LOCATED = re.compile(r"([^:]+):(\d+): (.*)", re.DOTALL)
_HOST = "falco-plugin-host: "
Where = Callable[[str], tuple[str, int]]
"""Returns the path and the line of an attribute of the plugin's class."""


@dataclass(frozen=True)
class Checked:
    """A plugin, and its problems."""

    plugin: Plugin | None
    """The plugin; ``None`` if it cannot be built or loaded."""
    problems: list[Problem]
    error: TargetError | None = None
    """Why it cannot be built."""


def check(target: str) -> Checked:
    """Builds a target, asks its library for its metadata as Falco does, and checks them."""
    try:
        info, where = _read(target)
    except TargetError as error:
        return Checked(None, [_problem_of(target, error)], error)
    report = Report()
    _check_identity(info, where, report)
    _check_fields(info, where, report)
    _check_schema(info["schema"], where, report)
    if targets.is_library(target) and Path(target).name != f"lib{info['name']}.so":
        message = f"the file is not named lib{info['name']}.so, as Falco's documentation expects it: rename it"
        report.add(target, 0, message, "note")
    return Checked(Plugin.of(info), report.problems)


def check_together(plugins: list[tuple[str, Plugin]]) -> Iterator[Problem]:
    """Yields why Falco does not load plugins together. The first is the target, which gets the problems."""
    owners: dict[str, str] = {}
    for target, plugin in plugins:
        for field in plugin.fields:
            owner = owners.setdefault(field.name, plugin.name)
            if owner != plugin.name:
                message = f"{owner} and {plugin.name} both have the field {field.name}: load one of them"
                yield Problem(target, 0, "warning", message)
                break


def _problem_of(target: str, error: TargetError) -> Problem:
    located = _LOCATED.fullmatch(str(error))
    if located:
        return Problem(located[1], int(located[2]), "error", located[3])
    return Problem(target, 0, "error", str(error).removeprefix(f"{target}: "))


def _read(target: str) -> tuple[Mapping[str, Any], Where]:
    """Returns what ``falco-plugin info`` shows, and where attributes are defined."""
    if targets.is_library(target):
        return _ask(Path(target), target), lambda _: (target, 0)
    with temporary.folder() as folder:
        made = targets.load(target)
        info = _ask(made.write_into(folder), target)
    files = pack.files_of(made.path)
    attributes = {declaration.name: attribute for attribute, _, declaration in fields.declarations(type(made.plugin))}

    def where(name: str) -> tuple[str, int]:
        located = definitions.line_of(files, made.entry, attributes.get(name, name))
        path, _, line = located.rpartition(":")
        return (path, int(line)) if path else (str(made.path), 0)

    return info, where


def _ask(library: Path, target: str) -> Mapping[str, Any]:
    status, stdout, stderr = host.output(["info", library, "--json"])
    if status != 0:
        reported = [line for line in stderr.splitlines() if line.startswith(_HOST)]
        reason = reported[-1].removeprefix(_HOST) if reported else f"the host ended with status {status}"
        raise TargetError(reason.replace(str(library), target))
    info: Mapping[str, Any] = json.loads(stdout)
    return info


def _check_identity(info: Mapping[str, Any], where: Where, report: Report) -> None:
    if info["id"] is not None:
        _check_id(info, where, report)
    if not SEMANTIC_VERSION.fullmatch(info["version"]):
        message = f"the version {info['version']!r} is not a semantic version, which falcoctl needs: write 1.2.3"
        report.add(*where("version"), message, "warning")
    for name, remedy in (
        ("description", "write in one line what the plugin does"),
        ("contact", "write where users ask, such as contact = 'https://example.org'"),
    ):
        if not info[name].strip():
            report.add(*where(name), f"the {name} is empty: {remedy}", "warning")


def _check_id(info: Mapping[str, Any], where: Where, report: Report) -> None:
    remedy = f"use id = {plugin_ids.private_id(info['name'])}, which is for private use, or register one with Falco"
    if info["id"] == plugin_ids.DEVELOPMENT:
        message = f"the id is still {plugin_ids.DEVELOPMENT}, with which Falco loads only one plugin: {remedy}"
        report.add(*where("id"), message, "warning")
    elif info["id"] < plugin_ids.PRIVATE[0]:
        private = plugin_ids.private_id(info["name"])
        message = (
            f"the id {info['id']} is not for private use, and only Falco's registry has the ids of others: register it "
            f"there, or use id = {private}"
        )
        report.add(*where("id"), message, "note")
    if info["event_source"] == "test":
        message = "the event source is still 'test', which is for development: name it after the events"
        report.add(*where("event_source"), message, "warning")


def _check_fields(info: Mapping[str, Any], where: Where, report: Report) -> None:
    """Checks the fields. Only libraries of other SDKs can have names and descriptions that a build refuses."""
    for field in info["fields"]:
        name = field["name"]
        if not _FIELD_NAME.fullmatch(name):
            message = f"the field {name!r} cannot be written in conditions: join parts by dots, such as shop.order"
            report.add(*where(name), message)
        if name in FALCO_FIELDS:
            report.add(*where(name), f"the field {name} is one of Falco's own: give it another name")
        if not field.get("desc", "").strip():
            report.add(*where(name), f"the field {name} has no description: describe what it means", "warning")


def _check_schema(schema: Any, where: Where, report: Report) -> None:
    """Checks that each option of the configuration is described, because users read the schema."""
    if not isinstance(schema, dict):
        return
    missing = [name for name, option in _options(schema) if not option.get("description")]
    if missing:
        names = ", ".join(dict.fromkeys(missing))
        message = f"options of the configuration have no description: {names}: add msgspec.Meta(description=…)"
        report.add(*where("config"), message, "warning")


def _options(schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields each option of a schema and of its definitions."""
    for node in (schema, *schema.get("definitions", {}).values()):
        if isinstance(node, dict):
            yield from (
                (name, option) for name, option in node.get("properties", {}).items() if isinstance(option, dict)
            )
