"""Reads rules files: their entries with lines, and the engine and the plugins that they require."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from falco_plugin._rules import yaml_nodes
from falco_plugin._rules.problems import Problem, RulesError, Severity
from falco_plugin._rules.yaml_nodes import Mapping, Node, Scalar, Sequence

SEMANTIC_VERSION = re.compile(r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?")
"""A version as falcoctl accepts it: semantic, without build metadata."""
Kind = Literal["required_engine_version", "required_plugin_versions", "list", "macro", "rule", "unknown"]
_THREE_NUMBERS = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")
"""The beginning of a version as Falco accepts it."""
_ENGINE_NUMBER = re.compile(r"0[xX][0-9a-fA-F]{1,8}|[0-9]{1,9}")
NEWEST_ENGINE = (0, 62, 0)
"""The version of the rule engine of Falco 0.44, which these checks follow."""
_KINDS: tuple[Kind, ...] = ("required_engine_version", "required_plugin_versions", "list", "macro", "rule")
"""The keys that make an entry what it is, in the order in which Falco looks for them."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a rules file: a rule, macro or list, a change of one, or a requirement."""

    kind: Kind
    name: str
    """The name of the rule, macro or list; empty for others, and if it is missing."""
    body: Mapping
    path: str
    line: int


@dataclass(frozen=True, slots=True)
class Requirement:
    """A plugin that rules require, or one of several."""

    name: str
    version: str
    line: int
    alternatives: list[Requirement] = field(default_factory=list)


@dataclass(frozen=True)
class RulesFile:
    """A rules file. It can have problems, and then lacks the parts that have one."""

    path: str
    data: bytes
    entries: list[Entry]
    engine_versions: list[tuple[str, int]]
    """The versions of Falco's rule engine that are required, as semantic versions, with their lines."""
    requirements: list[Requirement]
    """The plugins that are required."""
    problems: list[Problem]


def read(path: str) -> RulesFile:
    """Reads a rules file.

    Raises:
        RulesError: the file cannot be read, is not YAML, or is not a list.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise RulesError(path, 0, f"cannot read the file: {error.strerror}") from None
    return _Reader(path, data).read()


class _Reader:
    """Reads one file, and collects its problems."""

    def __init__(self, path: str, data: bytes) -> None:
        self._file = RulesFile(path, data, [], [], [], [])

    def read(self) -> RulesFile:
        text = self._decode()
        try:
            for document in yaml_nodes.documents(text):
                if not (isinstance(document, Scalar) and document.is_null):
                    self._read_document(document)
        except yaml_nodes.YamlError as error:
            raise RulesError(self._file.path, error.line, f"not YAML: {error}") from None
        return self._file

    def _decode(self) -> str:
        data = self._file.data
        encoding = "utf-16" if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
        try:
            return data.decode(encoding)
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            self._report(line, "not UTF-8: save the file as UTF-8", "warning")
            return data.decode("utf-8-sig", "replace")

    def _report(self, line: int, message: str, severity: Severity = "error") -> None:
        self._file.problems.append(Problem(self._file.path, line, severity, message))

    def _read_document(self, document: Node) -> None:
        if not isinstance(document, Sequence):
            message = f"not a list of rules, got {describe(document)}: begin each rule with '- rule: …'"
            raise RulesError(self._file.path, document.line, message)
        for item in document.items:
            if isinstance(item, Mapping):
                self._read_entry(item)
            elif not (isinstance(item, Scalar) and item.is_null):
                self._report(
                    item.line,
                    f"an entry must be a mapping such as '- rule: …', got {describe(item)}: write its name after "
                    "'rule: ', 'macro: ' or 'list: '",
                )

    def _read_entry(self, body: Mapping) -> None:
        self._check_keys(body)
        keys = {key.text for key in body.names()}
        kinds: list[Kind] = [kind for kind in _KINDS if kind in keys]
        kind = kinds[0] if kinds else "unknown"
        name = body.get(kind)
        text = name.text if isinstance(name, Scalar) and not name.is_null and kind in {"rule", "macro", "list"} else ""
        self._file.entries.append(Entry(kind, text, body, self._file.path, body.line))
        if kind == "required_engine_version":
            self._read_engine_version(body)
        elif kind == "required_plugin_versions":
            self._file.requirements.extend(self._read_requirements(body))

    def _check_keys(self, body: Mapping) -> None:
        for key, _ in body.pairs:
            if not isinstance(key, Scalar):
                self._report(key.line, f"a key is {describe(key)}: write a text before ':', in quotes if necessary")
        seen: dict[str, int] = {}
        for key in body.names():
            if key.text == "<<":
                message = "Falco does not merge mappings, and ignores '<<': write the keys in each entry"
                self._report(key.line, message, "warning")
            if key.text in seen:
                self._report(
                    key.line,
                    f"the key {key.text!r} is there twice, and Falco uses only that of line {seen[key.text]}: "
                    "remove one, or begin a new entry with '- '",
                    "warning",
                )
            seen.setdefault(key.text, key.line)

    def _read_engine_version(self, body: Mapping) -> None:
        value = body.get("required_engine_version")
        if isinstance(value, Scalar) and _ENGINE_NUMBER.fullmatch(value.text):
            # Falco writes its former numbers as minor versions.
            number = int(value.text, 16 if "x" in value.text.lower() else 10)
            self._file.engine_versions.append((f"0.{number}.0", value.line))
        elif isinstance(value, Scalar) and SEMANTIC_VERSION.fullmatch(value.text):
            self._file.engine_versions.append((value.text, value.line))
        elif value is not None:
            self._report(
                value.line,
                f"required_engine_version is {describe(value)}: use a number, or a semantic version such as 0.31.0",
            )

    def _read_requirements(self, body: Mapping) -> Iterator[Requirement]:
        value = body.get("required_plugin_versions")
        if not isinstance(value, Sequence):
            self._report(body.line, "required_plugin_versions must be a list of plugins with name and version")
            return
        for item in value.items:
            found = self._read_requirement(item)
            if found is None or not isinstance(item, Mapping):
                continue
            others = item.get("alternatives")
            if isinstance(others, Sequence):
                found.alternatives.extend(filter(None, map(self._read_requirement, others.items)))
            elif others is not None:
                self._report(
                    others.line,
                    f"alternatives of the plugin {found.name} must be a list of plugins with name and version",
                )
            names = [found.name, *(other.name for other in found.alternatives)]
            if len({*names}) < len(names):
                self._report(found.line, f"{found.name} and its alternatives name a plugin twice: leave one out")
            yield found

    def _read_requirement(self, item: Node) -> Requirement | None:
        name, version = (item.get("name"), item.get("version")) if isinstance(item, Mapping) else (None, None)
        if not isinstance(name, Scalar) or not name.text:
            self._report(
                item.line,
                f"required_plugin_versions has an entry without the name of a plugin, got {describe(item)}: write "
                "'- name: …' and 'version: …'",
            )
            return None
        if not isinstance(version, Scalar) or not _THREE_NUMBERS.match(version.text):
            found = "no version" if version is None else f"the version {describe(version)}"
            self._report(
                item.line,
                f"required_plugin_versions has {name.text} with {found}: use a semantic version, such as 1.2.3",
            )
            return None
        if not SEMANTIC_VERSION.fullmatch(version.text):
            message = f"the version {version.text!r} of {name.text} is not semantic, which falcoctl needs: write 1.2.3"
            self._report(version.line, message, "warning")
        return Requirement(name.text, version.text, name.line)


def describe(node: Node) -> str:
    """Returns a value as messages show it."""
    if isinstance(node, Scalar):
        return "nothing" if node.is_null else repr(node.text if len(node.text) <= 60 else f"{node.text[:57]}...")
    return "a list" if isinstance(node, Sequence) else "a mapping"
