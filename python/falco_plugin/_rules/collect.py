"""Collects rules, macros and lists of several files in load order, with all changes of them, as Falco does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from falco_plugin._rules import exceptions
from falco_plugin._rules.entries import BadEntryError, Reader
from falco_plugin._rules.exceptions import Exclusion
from falco_plugin._rules.files import Entry, RulesFile
from falco_plugin._rules.names import did_you_mean, listed
from falco_plugin._rules.problems import Problem
from falco_plugin._rules.text import Text
from falco_plugin._rules.yaml_nodes import Scalar

SYSCALL = "syscall"
"""The source of rules that name none."""
PRIORITIES = ("EMERGENCY", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFORMATIONAL", "INFO", "DEBUG")
_REQUIRED = ("condition", "output", "desc", "priority")
_APPENDABLE = ("condition", "output", "desc", "tags", "exceptions")
_REPLACEABLE = (
    *_APPENDABLE,
    "priority",
    "capture",
    "capture_duration",
    "enabled",
    "warn_evttypes",
    "skip-if-unknown-filter",
)
_KEYS = ("rule", "source", "append", "override", *_REPLACEABLE)
_MACRO_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*")
_LIST_NAME = re.compile(r"[^()\"'\s=,]+")


@dataclass
class Rule:
    """A rule with everything that changes it."""

    name: str
    path: str
    line: int
    source: str
    source_line: int | None
    """The line of the source; ``None`` if the rule names none."""
    condition: Text
    output: Text
    is_enabled: bool
    skips_unknown: bool
    """Whether Falco skips the rule if it names unknown fields."""
    exceptions: list[Exclusion] = field(default_factory=list)


@dataclass
class Macro:
    """A macro with everything that was appended to it."""

    name: str
    path: str
    line: int
    condition: Text
    index: int
    """The position of its first definition among all definitions."""
    visibility: int
    """The position of its last change. It can use macros and lists that are defined before."""


@dataclass
class List:
    """A list with everything that was appended to it."""

    name: str
    path: str
    line: int
    items: list[str]
    index: int
    visibility: int


@dataclass
class RuleSet:
    """The rules of several files, each by its name, in load order."""

    rules: dict[str, Rule] = field(default_factory=dict)
    macros: dict[str, Macro] = field(default_factory=dict)
    lists: dict[str, List] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def collect(files: Iterable[RulesFile]) -> RuleSet:
    """Returns the rules, macros and lists of files, and the problems of their entries.

    The problems of the files themselves are in :attr:`RulesFile.problems`.
    """
    collector = _Collector()
    for file in files:
        for entry in file.entries:
            collector.add(entry)
    return collector.found


class _Collector:
    """Adds entries one by one. An entry with an error changes nothing."""

    def __init__(self) -> None:
        self.found = RuleSet()
        self._index = 0

    def add(self, entry: Entry) -> None:
        self._index += 1
        reader = Reader(entry, self.found.problems)
        try:
            match entry.kind:
                case "list":
                    self._add_list(reader)
                case "macro":
                    self._add_macro(reader)
                case "rule":
                    self._add_rule(reader)
                case "unknown":
                    self._warn_of_unknown(reader)
                case kind:
                    reader.warn_of_unknown_keys((kind,), title=f"the entry {kind}")
        except BadEntryError:
            pass

    def _warn_of_unknown(self, reader: Reader) -> None:
        kinds = ("rule", "macro", "list", "required_engine_version", "required_plugin_versions")
        names = [key.text for key in reader.entry.body.names()]
        hint = next(
            filter(None, (did_you_mean(name, kinds) for name in names)), f"begin it with one of {listed(kinds)}"
        )
        message = f"an entry with the keys {listed(names) or 'none'} is nothing that Falco knows, and it ignores it"
        reader.report(reader.entry.line, f"{message}: {hint}", "warning")

    # Lists and macros

    def _add_list(self, reader: Reader) -> None:
        entry = reader.entry
        reader.check_name()
        if not _LIST_NAME.fullmatch(entry.name):
            reader.report(entry.line, f"{reader.title} cannot be used: leave out blanks, quotes and ()=,", "warning")
        items = [item.text for item in reader.texts("items")]
        appends = self._appends(reader, "items")
        reader.warn_of_unknown_keys(("list", "items", "append", "override"))
        known = self.found.lists.get(entry.name)
        if appends:
            if known is None:
                raise self._missing(reader, self.found.lists)
            known.items += items
            known.visibility = self._index
            return
        self._warn_of_second(reader, known)
        index = known.index if known else self._index
        self.found.lists[entry.name] = List(entry.name, entry.path, entry.line, items, index, self._index)

    def _add_macro(self, reader: Reader) -> None:
        entry = reader.entry
        reader.check_name()
        if not _MACRO_NAME.fullmatch(entry.name):
            message = f"{reader.title} cannot be used: use letters, digits and '_', beginning with a letter"
            reader.report(entry.line, message, "warning")
        condition = Text.of(entry.path, reader.text("condition"))
        appends = self._appends(reader, "condition")
        reader.warn_of_unknown_keys(("macro", "condition", "append", "override"))
        known = self.found.macros.get(entry.name)
        if appends:
            if known is None:
                raise self._missing(reader, self.found.macros)
            known.condition = known.condition.appended(condition)
            known.visibility = self._index
            return
        self._warn_of_second(reader, known)
        index = known.index if known else self._index
        self.found.macros[entry.name] = Macro(entry.name, entry.path, entry.line, condition, index, self._index)

    def _appends(self, reader: Reader, key: str) -> bool:
        """Returns whether a macro or list is appended to another."""
        append = self._append_flag(reader)
        overrides = reader.overrides((key,), (key,))
        self._check_both(reader, append, overrides)
        return append or overrides.get(key) == "append"

    def _append_flag(self, reader: Reader) -> bool:
        append = reader.flag("append", default=False)
        if append:
            keys = {"list": "items", "macro": "condition"}.get(reader.entry.kind, "condition")
            message = f"append of {reader.title} is deprecated: write 'override: {{{keys}: append}}'"
            reader.report(reader.entry.line, message, "warning")
        return append

    @staticmethod
    def _check_both(reader: Reader, append: bool, overrides: Mapping[str, str]) -> None:
        if append and overrides:
            raise reader.fail(reader.entry.line, f"{reader.title} has append and override: leave out append")

    @staticmethod
    def _missing(reader: Reader, names: Mapping[str, object]) -> BadEntryError:
        entry = reader.entry
        hint = did_you_mean(entry.name, names) or "define it before, in this file or in one that is loaded before"
        return reader.fail(entry.line, f"{reader.title} is changed, but is not defined before: {hint}")

    @staticmethod
    def _warn_of_second(reader: Reader, known: Rule | Macro | List | None) -> None:
        # A later file may replace definitions on purpose.
        if known is not None and known.path == reader.entry.path:
            message = f"{reader.title} is defined twice, and replaces that of line {known.line}: give it another name"
            reader.report(reader.entry.line, message, "warning")

    # Rules

    def _add_rule(self, reader: Reader) -> None:
        entry = reader.entry
        reader.check_name()
        source = entry.body.get("source")
        if source is not None and not isinstance(source, Scalar):
            reader.text("source")
        append = self._append_flag(reader)
        overrides = reader.overrides(_APPENDABLE, _REPLACEABLE)
        self._check_both(reader, append, overrides)
        name = source.text if isinstance(source, Scalar) and not source.is_null else ""
        known = self.found.rules.get(entry.name)
        if overrides:
            self._override(reader, known, name, overrides)
        elif append:
            self._append(reader, known, name)
        elif any(map(reader.has, _REQUIRED)):
            self._define(reader, known)
        else:
            self._enable(reader, known)
        reader.warn_of_unknown_keys(_KEYS)

    def _define(self, reader: Reader, known: Rule | None) -> None:
        entry = reader.entry
        missing = [key for key in _REQUIRED if not reader.has(key)]
        if missing:
            hint = ", or add 'override' if it changes a rule that exists" if known else ""
            message = f"{reader.title} has no {' and no '.join(missing)}: add {'it' if len(missing) == 1 else 'them'}"
            raise reader.fail(entry.line, f"{message}{hint}")
        condition, output = reader.text("condition"), reader.text("output")
        if not output.text.strip():
            raise reader.fail(output.line, f"output of {reader.title} is blank: write it")
        reader.text("desc")
        self._check_priority(reader)
        source = reader.optional_text("source")
        enabled = reader.flag("enabled", default=True)
        skips = self._check_options(reader)
        excluded = [exceptions.define(reader, found) for found in exceptions.read(reader)]
        name = source.text if source else SYSCALL
        self._check_source(reader, known, name)
        self._warn_of_second(reader, known)
        self.found.rules[entry.name] = Rule(
            entry.name,
            entry.path,
            entry.line,
            name,
            source.line if source else None,
            Text.of(entry.path, condition),
            Text.of(entry.path, output),
            enabled,
            skips,
            excluded,
        )

    @staticmethod
    def _check_priority(reader: Reader) -> None:
        priority = reader.text("priority")
        if priority.text.upper() not in PRIORITIES:
            hint = did_you_mean(priority.text.upper(), PRIORITIES) or f"use one of {listed(PRIORITIES)}"
            raise reader.fail(priority.line, f"priority of {reader.title} is {priority.text!r}: {hint}")

    @staticmethod
    def _check_options(reader: Reader) -> bool:
        """Checks the keys of a rule that change little, and returns whether it is skipped if it has unknown fields."""
        reader.flag("capture", default=False)
        reader.flag("warn_evttypes", default=True)
        duration = reader.optional_text("capture_duration")
        if duration is not None and not (duration.text.isascii() and duration.text.isdigit()):
            message = f"capture_duration of {reader.title} is {duration.text!r}: write a number of milliseconds"
            raise reader.fail(duration.line, message)
        if reader.has("tags"):
            reader.texts("tags")
        return reader.flag("skip-if-unknown-filter", default=False)

    @staticmethod
    def _check_source(reader: Reader, known: Rule | None, source: str) -> None:
        if known is not None and source and source != known.source:
            message = (
                f"{reader.title} is for the source {source}, but was defined for {known.source} at "
                f"{Problem(known.path, known.line, 'error', '').where}: give it another name, or the same source"
            )
            raise reader.fail(reader.entry.line, message)

    def _override(self, reader: Reader, known: Rule | None, source: str, overrides: Mapping[str, str]) -> None:
        for key in _REPLACEABLE:
            if reader.has(key) and key not in overrides:
                message = f"{reader.title} has {key}, but not under override: add '{key}: replace' there"
                raise reader.fail(reader.entry.line, message)
        rule = self._changed(reader, known, source)
        path = reader.entry.path
        for key, operation in overrides.items():
            if key in {"condition", "output"}:
                text = Text.of(path, reader.text(key))
                setattr(rule, key, getattr(rule, key).appended(text) if operation == "append" else text)
            elif key == "exceptions":
                found = list(exceptions.read(reader))
                if operation == "append":
                    self._append_exceptions(reader, rule, found)
                else:
                    rule.exceptions = [exceptions.define(reader, one) for one in found]
            elif key == "priority":
                self._check_priority(reader)
            elif key == "desc":
                reader.text(key)
        rule.is_enabled = reader.flag("enabled", default=rule.is_enabled)
        rule.skips_unknown = (
            self._check_options(reader) if "skip-if-unknown-filter" in overrides else rule.skips_unknown
        )
        self._check_options(reader)

    def _append(self, reader: Reader, known: Rule | None, source: str) -> None:
        rule = self._changed(reader, known, source)
        if not (reader.has("condition") or reader.has("exceptions")):
            raise reader.fail(reader.entry.line, f"{reader.title} appends nothing: add a condition or exceptions")
        if reader.has("condition"):
            rule.condition = rule.condition.appended(Text.of(reader.entry.path, reader.text("condition")))
        self._append_exceptions(reader, rule, list(exceptions.read(reader)))

    def _changed(self, reader: Reader, known: Rule | None, source: str) -> Rule:
        if known is None:
            raise self._missing(reader, self.found.rules)
        self._check_source(reader, known, source)
        return known

    @staticmethod
    def _append_exceptions(reader: Reader, rule: Rule, found: list[exceptions.Read]) -> None:
        for one in found:
            title = f"the exception {one.name!r} of {reader.title}"
            known = next((other for other in rule.exceptions if other.name == one.name), None)
            if known is not None:
                if one.fields is not None or one.comps is not None:
                    message = f"{title} exists, so only values can be added: leave out fields and comps"
                    raise reader.fail(one.line, message)
                known.values = [*known.values, *one.values]
                continue
            if one.fields is None:
                names = [other.name for other in rule.exceptions]
                hint = did_you_mean(one.name, names) or "add fields and values"
                raise reader.fail(one.line, f"{title} does not exist, and has no fields: {hint}")
            if not one.values:
                raise reader.fail(one.line, f"{title} has no values: add 'values: …'")
            rule.exceptions.append(exceptions.define(reader, one))

    def _enable(self, reader: Reader, known: Rule | None) -> None:
        entry = reader.entry
        if not reader.has("enabled"):
            raise reader.fail(entry.line, f"{reader.title} has no {', '.join(_REQUIRED[:-1])} and priority: add them")
        enabled = reader.flag("enabled", default=True)
        message = f"enabled of {reader.title} alone is deprecated: add 'override: {{enabled: replace}}'"
        reader.report(entry.line, message, "warning")
        if known is None:
            raise self._missing(reader, self.found.rules)
        known.is_enabled = enabled
