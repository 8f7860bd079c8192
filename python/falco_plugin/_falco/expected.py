"""Compares alerts with expected ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from falco_plugin._falco import yaml_values
from falco_plugin._falco.alert import Alert, field_text
from falco_plugin._falco.errors import FalcoError

_KEYS = {"rule", "count", "fields", "output", "priority"}


@dataclass(frozen=True)
class Expected:
    """Alerts that are expected."""

    rule: str
    count: int | None = 1
    """How many; ``None`` for at least one."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """The values of some fields of the output."""
    output: str | None = None
    priority: str | None = None

    def matches(self, alert: Alert) -> bool:
        """Returns whether an alert is one of these."""
        return (
            alert.rule == self.rule
            and self.output in (None, alert.output)
            and (self.priority is None or self.priority.lower() == alert.priority.lower())
            and all(name in alert.fields and _equal(alert.fields[name], value) for name, value in self.fields.items())
        )

    def __str__(self) -> str:
        parts = [f"{name}={field_text(value)}" for name, value in self.fields.items()]
        parts += [f"priority={self.priority}"] if self.priority is not None else []
        parts += [f"output={self.output!r}"] if self.output is not None else []
        return f"{self.rule} ({' '.join(parts)})" if parts else self.rule


def parse(value: object, where: str, *, count: int | None = 1) -> list[Expected]:
    """Reads expected alerts: a list of rules, or a mapping of rules to counts.

    Args:
        value: the part of a YAML file.
        where: its file and key, for messages.
        count: the count of an entry without one.

    Raises:
        FalcoError: the value is something else.
    """
    if isinstance(value, Mapping):
        return [Expected(str(rule), _count(number, f"{where}: {rule}")) for rule, number in value.items()]
    if not isinstance(value, list):
        raise FalcoError(f"{where} must be a list of rules, or a mapping of rules to counts, not {_kind(value)}")
    return [_entry(entry, f"{where}: entry {number}", count) for number, entry in enumerate(value, 1)]


def read(path: Path) -> list[Expected]:
    """Reads a file of expected alerts. An empty file expects none.

    Raises:
        FalcoError: the file cannot be read, or has something else.
    """
    value = yaml_values.read(path)
    return parse([] if value is None else value, str(path))


def differences(expected: Sequence[Expected], alerts: Sequence[Alert]) -> list[str]:
    """Returns the lines of a diff of expected and actual alerts, in any order; empty if they are equal.

    Each alert belongs to the first entry that it matches; entries with more conditions are tried first.
    """
    missing: list[str] = []
    remaining = list(alerts)
    for entry in sorted(expected, key=_conditions, reverse=True):
        wanted = len(remaining) if entry.count is None else entry.count
        taken: list[int] = []
        for number, alert in enumerate(remaining):
            if len(taken) == wanted:
                break
            if entry.matches(alert):
                taken.append(number)
        lacking = (0 if taken else 1) if entry.count is None else entry.count - len(taken)
        if lacking:
            missing.append(f"- {_times(lacking)}{entry}")
        used = set(taken)
        remaining = [alert for number, alert in enumerate(remaining) if number not in used]
    named = {entry.rule for entry in expected if _conditions(entry)}
    return missing + list(_unexpected(remaining, named))


def _unexpected(alerts: Sequence[Alert], named: set[str]) -> Iterator[str]:
    """Yields a line for each kind of alert that was not expected. Shows fields where the expected ones have some."""
    counts: dict[str, int] = {}
    for alert in alerts:
        fields = " ".join(f"{name}={field_text(value)}" for name, value in alert.fields.items())
        text = f"{alert.rule} ({fields})" if alert.rule in named and fields else alert.rule
        counts[text] = counts.get(text, 0) + 1
    for text, count in counts.items():
        yield f"+ {_times(count)}{text}"


def _times(count: int) -> str:
    return f"{count} times " if count > 1 else ""


def _conditions(entry: Expected) -> int:
    return len(entry.fields) + (entry.output is not None) + (entry.priority is not None)


def _entry(entry: object, where: str, count: int | None) -> Expected:
    if isinstance(entry, str):
        return Expected(entry, count)
    if not isinstance(entry, Mapping) or not isinstance(entry.get("rule"), str):
        raise FalcoError(f"{where} must be the name of a rule, or a mapping with rule, got {entry!r}")
    if unknown := set(entry) - _KEYS:
        raise FalcoError(f"{where} has the unknown key {min(map(str, unknown))}: use {', '.join(sorted(_KEYS))}")
    fields = entry.get("fields") or {}
    if not isinstance(fields, Mapping):
        raise FalcoError(f"{where}: fields must be a mapping of fields to values, not {_kind(fields)}")
    return Expected(
        rule=entry["rule"],
        count=_count(entry["count"], where) if "count" in entry else count,
        fields={str(name): value for name, value in fields.items()},
        output=None if entry.get("output") is None else str(entry["output"]),
        priority=None if entry.get("priority") is None else str(entry["priority"]),
    )


def _count(value: object, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise FalcoError(f"{where}: the count must be a number of alerts, got {value!r}")
    return value


def _equal(actual: object, expected: object) -> bool:
    # Falco's JSON has some numbers and booleans as strings.
    is_present = actual is not None and expected is not None
    return actual == expected or (is_present and field_text(actual) == field_text(expected))


def _kind(value: object) -> str:
    return "nothing" if value is None else type(value).__name__
