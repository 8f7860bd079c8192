"""The rules as Falco has loaded them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

from falco_plugin._build.interruption import Interruption
from falco_plugin._falco.errors import FalcoError
from falco_plugin._falco.log import Log
from falco_plugin._falco.process import Setup, describe_status, start

_TIMEOUT = 60.0
"""Seconds that Falco has to load the plugins and rules."""


@dataclass(frozen=True)
class Rule:
    """A rule that Falco has loaded."""

    name: str
    source: str
    is_enabled: bool
    condition: str
    """The condition as it is written, with the names of macros and lists."""
    condition_fields: frozenset[str]
    """The fields of the condition, macros included, written as in rules."""
    fields: frozenset[str]
    """These, and those of the output and of exceptions."""


@dataclass(frozen=True)
class RuleSet:
    """The rules that a Falco has loaded."""

    rules: dict[str, Rule]

    def never_fired(self, fired: Iterable[str]) -> list[str]:
        """Returns the enabled rules that are not among those that fired, sorted."""
        enabled = {rule.name for rule in self.rules.values() if rule.is_enabled}
        return sorted(enabled.difference(fired))

    def with_field(self, field: str) -> list[str]:
        """Returns the names of the rules that name a field, sorted."""
        return sorted(rule.name for rule in self.rules.values() if field in rule.fields)


def load(setup: Setup, interruption: Interruption | None = None) -> RuleSet:
    """Lets Falco load plugins and rules, without opening a source, and describe the rules.

    Raises:
        FalcoError: Falco cannot be run, or does not accept plugins or rules. The details are its log.
    """
    process = start(setup, setup.arguments("-L"), interruption)
    try:
        output, errors = process.communicate(timeout=_TIMEOUT)
    except subprocess.TimeoutExpired:
        raise FalcoError(f"Falco did not load the rules within {_TIMEOUT:g} s") from None
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    if process.returncode != 0:
        log = Log()
        for line in errors.decode(errors="replace").splitlines():
            log.add(line)
        raise FalcoError(describe_status(process.returncode, setup.falco), "\n".join(log.lines))
    try:
        # A plugin may print before.
        described = json.loads(output.decode(errors="replace").strip().rpartition("\n")[2])
        return RuleSet({rule["info"]["name"]: _rule(rule) for rule in described["rules"]})
    except (ValueError, KeyError, TypeError):
        raise FalcoError(f"{setup.falco} printed no description of the rules: use Falco 0.36 or newer") from None


def _rule(entry: dict[str, dict[str, object]]) -> Rule:
    info, details = entry["info"], entry["details"]

    def names(member: str) -> frozenset[str]:
        found = details.get(member)
        return frozenset(map(str, found)) if isinstance(found, list) else frozenset()

    condition_fields = names("condition_fields")
    return Rule(
        name=str(info["name"]),
        source=str(info["source"]),
        is_enabled=bool(info["enabled"]),
        condition=" ".join(str(info["condition"]).split()),
        condition_fields=condition_fields,
        fields=condition_fields | names("output_fields") | names("exception_fields"),
    )
