"""The totals of a run: alerts by rule, rules that never fired, and fields that were never present."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from falco_plugin._declare.words import counted
from falco_plugin._falco.log import FieldCounts
from falco_plugin._falco.rules import RuleSet


@dataclass(frozen=True)
class Totals:
    """The totals of a run of Falco."""

    result: str
    """How the run ended: ``end`` of the source, ``interrupted``, ``limit``, ``seconds`` or ``failure``."""
    seconds: float
    """The duration of the run."""
    rules: RuleSet
    alerts: Counter[str]
    """The number of alerts of each rule."""
    counts: FieldCounts
    plugins: Iterable[str] = field(default_factory=tuple)
    """The names of the plugins that have fields."""

    def never_present(self) -> dict[str, int]:
        """Returns the fields of rules that were requested and never had a value, with the number of events."""
        absent = self.counts.never_present()
        return {name: absent[name] for name in sorted(absent)}

    def not_counted(self) -> list[str]:
        """Returns the names of the plugins whose fields are not counted."""
        return sorted(set(self.plugins) - self.counts.plugins)

    def to_json(self) -> dict[str, Any]:
        """Returns the totals as an object for JSON."""
        return {
            "kind": "end",
            "result": self.result,
            "seconds": round(self.seconds, 3),
            "alerts": self.alerts.total(),
            "rules": dict(self.alerts.most_common()),
            "never_fired": self.rules.never_fired(self.alerts),
            "never_present": self.never_present(),
            "not_counted": self.not_counted() if self.result != "failure" else [],
        }

    def lines(self) -> Iterator[str]:
        """Yields the totals as lines of text."""
        yield f"{counted(self.alerts.total(), 'alert')} in {self.seconds:.1f} s, {_ENDINGS[self.result]}"
        if self.alerts:
            yield "\nAlerts by rule:"
            width = max(len(f"{number:,}") for number in self.alerts.values())
            for rule, number in self.alerts.most_common():
                yield f"  {number:>{width},}  {rule}"
        if never_fired := self.rules.never_fired(self.alerts):
            yield "\nRules that never fired:"
            yield from (f"  {rule}" for rule in never_fired)
        if self.result == "failure":
            return
        if never_present := self.never_present():
            yield "\nFields that never had a value, though rules asked for them:"
            for name, events in never_present.items():
                yield f"  {name}  in {counted(events, 'event')}{self._named_by(name)}"
        for plugin in self.not_counted():
            yield f"\nThe fields of {plugin} are not counted: its library was not built by this version of the SDK."

    def _named_by(self, name: str) -> str:
        rules = self.rules.with_field(name)
        if not rules:
            return ""
        more = f" and {len(rules) - _NAMED} more" if len(rules) > _NAMED else ""
        return f", for {', '.join(rules[:_NAMED])}{more}"


_NAMED = 3
"""The most rules that are named with a field."""
_ENDINGS = {
    "end": "until the source ended",
    "interrupted": "until it was interrupted",
    "limit": "until the limit",
    "seconds": "until the time was up",
    "failure": "until Falco failed",
}
