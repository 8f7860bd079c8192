"""Reads the keys of one entry of a rules file, and reports those that are wrong, missing or unknown."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from falco_plugin._rules.files import Entry, describe
from falco_plugin._rules.names import did_you_mean, listed
from falco_plugin._rules.problems import Problem, Severity
from falco_plugin._rules.yaml_nodes import Mapping, Node, Scalar, Sequence

_BOOLEANS = {"y": True, "yes": True, "true": True, "on": True, "n": False, "no": False, "false": False, "off": False}


class BadEntryError(Exception):
    """An entry has an error, which is reported. Falco does not load it."""


class Reader:
    """Reads the keys of an entry.

    Args:
        entry: the entry.
        problems: gets the problems.
    """

    def __init__(self, entry: Entry, problems: list[Problem]) -> None:
        self.entry = entry
        self._problems = problems
        self.title = f"the {entry.kind} {entry.name!r}"

    def report(self, line: int, message: str, severity: Severity = "error") -> None:
        """Reports a problem."""
        self._problems.append(Problem(self.entry.path, line, severity, message))

    def fail(self, line: int, message: str) -> BadEntryError:
        """Reports an error, and returns the exception to raise."""
        self.report(line, message)
        return BadEntryError()

    def has(self, key: str) -> bool:
        """Returns whether the entry has a key, even if it has no value."""
        return self.entry.body.get(key) is not None

    def check_name(self) -> None:
        """Checks that the entry has a name.

        Raises:
            BadEntryError: it has none.
        """
        if not self.entry.name:
            kind = self.entry.kind
            raise self.fail(self.entry.line, f"a {kind} has no name: write it after '{kind}: '")

    def text(self, key: str, body: Mapping | None = None, title: str = "") -> Scalar:
        """Returns the text of a key, which must be there."""
        body, title = body or self.entry.body, title or self.title
        value = body.get(key)
        if value is None:
            raise self.fail(body.line, f"{title} has no {key}: add '{key}: …'")
        if not isinstance(value, Scalar):
            raise self.fail(value.line, f"{key} of {title} is {describe(value)}: write one text")
        if value.is_null or not value.text:
            raise self.fail(value.line, f"{key} of {title} is empty: write it, or leave the key out")
        return value

    def optional_text(self, key: str) -> Scalar | None:
        """Returns the text of a key; ``None`` if the entry does not have the key."""
        return self.text(key) if self.has(key) else None

    def flag(self, key: str, default: bool) -> bool:
        """Returns the value of a key that is true or false."""
        value = self.optional_text(key)
        if value is None:
            return default
        is_cased = value.text in {value.text.lower(), value.text.upper(), value.text.capitalize()}
        found = _BOOLEANS.get(value.text.lower()) if is_cased else None
        if found is None:
            raise self.fail(value.line, f"{key} of {self.title} is {value.text!r}: write true or false")
        return found

    def texts(self, key: str) -> list[Scalar]:
        """Returns the items of a key that is a list."""
        value = self.entry.body.get(key)
        if value is None:
            raise self.fail(self.entry.line, f"{self.title} has no {key}: add '{key}: […]'")
        if not isinstance(value, Sequence):
            raise self.fail(value.line, f"{key} of {self.title} is {describe(value)}: write a list, such as [a, b]")
        return [self._item(key, item) for item in value.items]

    def _item(self, key: str, item: Node) -> Scalar:
        if not isinstance(item, Scalar):
            raise self.fail(item.line, f"{key} of {self.title} has {describe(item)}: write texts only")
        return item

    def warn_of_unknown_keys(self, known: Collection[str], body: Mapping | None = None, title: str = "") -> None:
        """Reports keys that Falco ignores."""
        for key in (body or self.entry.body).names():
            if key.text not in known:
                hint = did_you_mean(key.text, known) or f"use one of {listed(sorted(known))}"
                message = f"{title or self.title} has the unknown key {key.text!r}, which Falco ignores: {hint}"
                self.report(key.line, message, "warning")

    def overrides(self, appendable: Collection[str], replaceable: Collection[str]) -> dict[str, str]:
        """Returns what to do with each key of ``override``: ``append`` or ``replace``."""
        value = self.entry.body.get("override")
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            if isinstance(value, Scalar) and value.is_null:
                return {}
            message = f"override of {self.title} is {describe(value)}: write a mapping, such as {{condition: append}}"
            raise self.fail(value.line, message)
        return dict(self._overrides(value, appendable, replaceable))

    def _overrides(
        self, value: Mapping, appendable: Collection[str], replaceable: Collection[str]
    ) -> Iterator[tuple[str, str]]:
        for key, operation in value.pairs:
            if not isinstance(key, Scalar) or not isinstance(operation, Scalar):
                raise self.fail(
                    value.line, f"override of {self.title} has a list: write 'key: append' or 'key: replace'"
                )
            allowed = {"append": appendable, "replace": replaceable}.get(operation.text)
            if allowed is None:
                message = f"override of {self.title} has {key.text}: {operation.text}: write append or replace"
                raise self.fail(operation.line, message)
            if key.text not in allowed:
                where = "replaced" if operation.text == "replace" else "appended to"
                hint = "use replace" if key.text in replaceable else f"use one of {listed(sorted(allowed))}"
                raise self.fail(key.line, f"{key.text} of {self.title} cannot be {where}: {hint}")
            if not self.has(key.text):
                message = f"{self.title} overrides {key.text}, but has no {key.text}: add '{key.text}: …'"
                raise self.fail(key.line, message)
            yield key.text, operation.text
