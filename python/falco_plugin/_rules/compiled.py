"""Parses the conditions of rules and macros, after lists are replaced and exceptions are added, as Falco does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from falco_plugin._rules import lists
from falco_plugin._rules.collect import Macro, Rule, RuleSet
from falco_plugin._rules.conditions import parse
from falco_plugin._rules.exceptions import excluded
from falco_plugin._rules.names import did_you_mean
from falco_plugin._rules.problems import Report
from falco_plugin._rules.text import Text
from falco_plugin._rules.tokens import ConditionError
from falco_plugin._rules.tree import Expression, fields_of, macros_of


class Condition:
    """A condition without names of lists, parsed."""

    tree: Expression | None = None
    """The condition; ``None`` if it has an error."""
    error: ConditionError | None = None

    def __init__(self, text: Text, names: Mapping[str, str]) -> None:
        self._text = text
        self._resolved = lists.resolve(str(text), names)
        self.lists = self._resolved.used
        try:
            self.tree = parse(self._resolved.text)
        except ConditionError as error:
            self.error = error

    def where(self, offset: int) -> tuple[str, int]:
        """Returns the path and the line of an offset in the tree."""
        return self._text.where(self._resolved.offsets[min(offset, len(self._resolved.offsets) - 1)])


class Compiled:
    """The conditions of a set of rules.

    Args:
        found: the rules.
        report: gets the problems of syntax, and of names of macros.
    """

    def __init__(self, found: RuleSet, report: Report) -> None:
        self._found = found
        self._report = report
        self.used_lists: set[str] = set()
        self.used_macros: set[str] = set()
        names = self._joined_lists()
        self.macros = {name: self._compiled(macro.condition, names) for name, macro in found.macros.items()}
        self.rules = {
            name: self._compiled(excluded(rule.condition, rule.exceptions, report), names)
            for name, rule in found.rules.items()
        }
        for macro in found.macros.values():
            self._check_macros_of_macro(macro)
        for rule in found.rules.values():
            self._check_macros_of_rule(rule)

    def _joined_lists(self) -> dict[str, str]:
        """Returns the items of each list, joined. A list in a list is replaced by its items, one level deep."""
        joined: dict[str, str] = {}
        for found in self._found.lists.values():
            items: list[str] = []
            for item in found.items:
                inner = self._found.lists.get(item)
                if inner is not None and inner.index < found.visibility:
                    self.used_lists.add(item)
                    items += inner.items
                else:
                    items.append(item)
            joined[found.name] = lists.joined(items)
        return joined

    def _compiled(self, text: Text, names: Mapping[str, str]) -> Condition:
        condition = Condition(text, names)
        self.used_lists |= condition.lists
        if condition.error is not None:
            self._report.add(*condition.where(condition.error.offset), str(condition.error))
        return condition

    def _check_macros_of_macro(self, macro: Macro) -> None:
        condition = self.macros[macro.name]
        for reference in macros_of(condition.tree) if condition.tree is not None else ():
            known = self._found.macros.get(reference.name)
            where = condition.where(reference.offset)
            self.used_macros.add(reference.name)
            if known is None:
                self._report.add(*where, self._undefined(reference.name))
            elif known.index >= macro.visibility and known is not macro:
                message = f"the macro {known.name} is defined after the macro {macro.name} that uses it, at line "
                self._report.add(*where, f"{message}{known.line}: define it before")
            elif macro.name in {reference.name, *self._reachable(reference.name)}:
                self._report.add(*where, f"the macro {macro.name} uses itself: remove {reference.name}")

    def _check_macros_of_rule(self, rule: Rule) -> None:
        condition = self.rules[rule.name]
        for reference in macros_of(condition.tree) if condition.tree is not None else ():
            self.used_macros.add(reference.name)
            if reference.name not in self._found.macros:
                self._report.add(*condition.where(reference.offset), self._undefined(reference.name))

    def _undefined(self, name: str) -> str:
        macros = self._found.macros
        hint = did_you_mean(name, macros) or "define it, or compare a field, such as a.b = 1"
        return f"there is no macro {name}: {hint}"

    def _reachable(self, name: str) -> Iterator[str]:
        """Yields the macros that a macro uses, directly or not, each once."""
        seen = {name}
        waiting = [name]
        while waiting:
            condition = self.macros.get(waiting.pop())
            for reference in macros_of(condition.tree) if condition is not None and condition.tree is not None else ():
                if reference.name not in seen:
                    seen.add(reference.name)
                    waiting.append(reference.name)
                    yield reference.name

    def conditions_of(self, rule: Rule) -> Iterator[Condition]:
        """Yields the condition of a rule and those of all its macros."""
        own = self.rules[rule.name]
        yield own
        direct = [reference.name for reference in macros_of(own.tree)] if own.tree is not None else []
        names = dict.fromkeys(name for start in direct for name in (start, *self._reachable(start)))
        yield from (self.macros[name] for name in names if name in self.macros)

    def fields_of(self, rule: Rule) -> Iterator[str]:
        """Yields each field of the conditions of a rule, as the rule writes it."""
        for condition in self.conditions_of(rule):
            if condition.tree is not None:
                yield from map(str, fields_of(condition.tree))
