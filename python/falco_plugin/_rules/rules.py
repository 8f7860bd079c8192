"""Checks rules files on the plugins that are given, as Falco does when it loads them one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from falco_plugin._rules import outputs
from falco_plugin._rules.checks import FieldChecker, Found
from falco_plugin._rules.collect import SYSCALL, Rule, RuleSet, collect
from falco_plugin._rules.compiled import Compiled, Condition
from falco_plugin._rules.conditions import LIST, parse_operand
from falco_plugin._rules.fields import FALCO_FIELDS, Plugin, Sources
from falco_plugin._rules.files import NEWEST_ENGINE, Requirement, RulesFile
from falco_plugin._rules.names import did_you_mean, listed
from falco_plugin._rules.problems import Problem, Report, Severity
from falco_plugin._rules.tokens import ConditionError
from falco_plugin._rules.tree import And, Check, Expression, Not, Or, Value, Values
from falco_plugin._rules.versions import is_accepted, numbers

_MOST_ITEMS = 1000
"""A longer list in a condition is not searched for misspelt names of lists."""


def check(files: Sequence[RulesFile], sources: Sources) -> list[Problem]:
    """Returns the problems of rules files, in the order of files and lines.

    Falco checks everything again after each file. So a file cannot use what a later file defines.
    """
    found: dict[Problem, None] = {}
    given = {plugin.name for plugin in sources.plugins}
    sources.lacks_plugins = any(required.name not in given for file in files for required in file.requirements)
    for count in range(1, len(files) + 1):
        checker = _Checker(collect(files[:count]), sources)
        found |= dict.fromkeys((*files[count - 1].problems, *checker.problems()))
        if count == len(files):
            found |= dict.fromkeys(checker.unused())
    found |= dict.fromkeys(problem for file in files for problem in _requirements(file, sources))
    order = {file.path: number for number, file in enumerate(files)}
    return sorted(found, key=lambda problem: (order.get(problem.path, -1), problem.line))


class _Checker:
    """Checks the rules of the files that were loaded until now."""

    def __init__(self, found: RuleSet, sources: Sources) -> None:
        self._found = found
        self._sources = sources
        self._report = Report()
        self._compiled = Compiled(found, self._report)
        self._decided_by_falco: set[str] = set()

    def problems(self) -> list[Problem]:
        for rule in self._found.rules.values():
            self._check_rule(rule)
        for condition in (*self._compiled.macros.values(), *self._compiled.rules.values()):
            if condition.tree is not None:
                self._check_lists(condition, condition.tree)
        return [*self._found.problems, *self._report.problems]

    def unused(self) -> Iterator[Problem]:
        """Yields the macros and lists that nothing uses. Falco warns of them, too."""
        for kind, definitions, used in (
            ("macro", self._found.macros.values(), self._compiled.used_macros),
            ("list", self._found.lists.values(), self._compiled.used_lists),
        ):
            for definition in definitions:
                if definition.name not in used:
                    message = f"the {kind} {definition.name!r} is not used: use it, or remove it"
                    yield Problem(definition.path, definition.line, "note", message)

    # Rules

    def _check_rule(self, rule: Rule) -> None:
        if not rule.is_enabled:
            self._report.add(rule.path, rule.line, f"the rule {rule.name!r} is not enabled, so it never fires", "note")
        if not self._check_source(rule):
            return
        severity: Severity = "warning" if rule.skips_unknown else "error"
        has_source = rule.source_line is not None
        checker = FieldChecker(self._sources, rule.source, has_source=has_source, unknown_severity=severity)
        for condition in self._compiled.conditions_of(rule):
            if condition.tree is not None:
                for found in checker.check(condition.tree):
                    self._add(condition.where(found[0]), found)
        self._check_output(rule, checker)
        self._check_exceptions(rule, checker)
        if checker.only_falco_knows:
            self._leave_to_falco(rule, checker.only_falco_knows)

    def _check_source(self, rule: Rule) -> bool:
        """Returns whether fields of the rule's source are known."""
        line = rule.source_line or rule.line
        own = self._sources.names
        if rule.source == SYSCALL:
            if rule.source_line is None and own and self._fits_each_source(rule):
                message = (
                    f"the rule {rule.name!r} has no source, so it is for system calls, not for events of "
                    f"{listed(own)}: add 'source: {own[0]}'"
                )
                self._report.add(rule.path, line, message, "warning")
            return True
        if rule.source in own or any(rule.source in plugin.extracts_from for plugin in self._sources.plugins):
            return True
        if rule.source not in self._decided_by_falco:
            self._decided_by_falco.add(rule.source)
            hint = did_you_mean(rule.source, own) or "give the plugin that has it by --with"
            message = f"no given plugin has the source {rule.source}, and Falco skips its rules without one: {hint}"
            self._report.add(rule.path, line, message, "warning")
        return False

    def _fits_each_source(self, rule: Rule) -> bool:
        """Returns whether a rule has only fields that events of each source have."""
        return all(name.partition("[")[0] in FALCO_FIELDS for name in self._compiled.fields_of(rule))

    def _leave_to_falco(self, rule: Rule, name: str) -> None:
        if rule.source in self._decided_by_falco:
            return
        self._decided_by_falco.add(rule.source)
        events = "system calls" if rule.source == SYSCALL else f"events of {rule.source}"
        remedy = "" if rule.source == SYSCALL else ": give the plugin that makes them by --with"
        message = f"only Falco can decide whether {events} have the fields of their rules, such as {name}{remedy}"
        self._report.add(rule.path, rule.line, message, "note")

    def _check_output(self, rule: Rule, checker: FieldChecker) -> None:
        text = str(rule.output)
        problems: list[Found] = []
        try:
            for written, read in outputs.parse(text, checker.state):
                if written.end > read.end:
                    whole, part = text[written.offset : written.end], text[read.offset : read.end]
                    hint = did_you_mean(str(written.operand), checker.names) or "write a blank after the field"
                    message = f"the output has {whole}, of which Falco reads only {part} as a field: {hint}"
                    problems.append((written.offset, message, "warning"))
                found: list[Found] = []
                checker.type_of(read.operand, found)
                problems.extend((read.offset, message, severity) for _, message, severity in found)
        except ConditionError as error:
            problems.append((error.offset, str(error), "error"))
        for problem in problems:
            self._add(rule.output.where(problem[0]), problem)

    def _check_exceptions(self, rule: Rule, checker: FieldChecker) -> None:
        """Checks the fields of exceptions, which must exist even if the exception has no values."""
        for exclusion in rule.exceptions:
            for name in exclusion.fields:
                problems: list[Found] = []
                try:
                    operand, end = parse_operand(name.text)
                    if end != len(name.text):
                        raise ConditionError(end, "expected nothing after the field")
                    checker.type_of(operand, problems)
                except ConditionError:
                    message = f"{name.text!r} is not a field: write a field, such as {rule.source}.name"
                    problems.append((0, message, "error"))
                for found in problems:
                    self._add((exclusion.path, name.line), found)

    def _add(self, where: tuple[str, int], found: Found) -> None:
        _, message, severity = found
        self._report.add(*where, message, severity)

    # Lists

    def _check_lists(self, condition: Condition, tree: Expression) -> None:
        """Warns of names of lists that do not exist. Falco compares with the name as text."""
        match tree:
            case And(children) | Or(children):
                for child in children:
                    self._check_lists(condition, child)
            case Not(child):
                self._check_lists(condition, child)
            case Check(operator=operator, right=Value() as value) if operator in LIST:
                self._warn_of_list(condition, value, did_you_mean(value.text, self._found.lists) or "define it")
            case Check(right=Values(items)) if len(items) <= _MOST_ITEMS:
                for value in items:
                    if not value.is_quoted and "_" in value.text:
                        self._warn_of_list(condition, value, did_you_mean(value.text, self._found.lists))
            case _:
                pass

    def _warn_of_list(self, condition: Condition, value: Value, hint: str) -> None:
        if hint and value.text not in self._found.lists:
            message = f"there is no list {value.text}, so Falco compares with this text: {hint}"
            self._report.add(*condition.where(value.offset), message, "warning")


# Requirements


def _requirements(file: RulesFile, sources: Sources) -> Iterator[Problem]:
    for version, line in file.engine_versions:
        if numbers(version) > NEWEST_ENGINE:
            message = f"the rules require the rule engine {version}: only Falco can decide whether it has this engine"
            yield Problem(file.path, line, "note", message)
    given = {plugin.name: plugin for plugin in sources.plugins}
    for required in file.requirements:
        choices = (required, *required.alternatives)
        if any(_is_fulfilled(choice, given.get(choice.name)) for choice in choices):
            continue
        tried = next((choice for choice in choices if choice.name in given), None)
        if tried is not None:
            message = (
                f"the rules require {tried.name} {tried.version}, and Falco does not accept {tried.name} "
                f"{given[tried.name].version} for it: change the version in required_plugin_versions"
            )
            yield Problem(file.path, tried.line, "error", message)
            continue
        meant = did_you_mean(required.name, given, cutoff=0.85)
        remedy = meant or "only Falco can decide whether it is there, or give it by --with"
        message = (
            f"the rules require the plugin {listed([choice.name for choice in choices])}, which is not given: {remedy}"
        )
        yield Problem(file.path, required.line, "error" if meant else "note", message)


def _is_fulfilled(required: Requirement, plugin: Plugin | None) -> bool:
    return plugin is not None and is_accepted(plugin.version, required.version)
