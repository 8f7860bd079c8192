"""Runs tests of rules in Falco, and explains failures."""

from __future__ import annotations

import difflib
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from falco_plugin._build import host
from falco_plugin._build.interruption import Interruption
from falco_plugin._declare.words import counted
from falco_plugin._falco import rules, scenario, written_events
from falco_plugin._falco.alert import Alert, field_text
from falco_plugin._falco.configuration import PluginConfig
from falco_plugin._falco.errors import FalcoError
from falco_plugin._falco.find import Falco
from falco_plugin._falco.process import FalcoProcess, describe_end
from falco_plugin._falco.rule_tests import RuleTest, TestFile
from falco_plugin._falco.rules import Rule, RuleSet
from falco_plugin._falco.scenario import Scenario

_SHOWN_EVENTS = 5
"""The most events whose fields are shown for a rule that did not fire."""
_SHOWN_ALERTS = 10
_MAX_PAYLOAD = 120
"""Characters of a payload that are shown."""


@dataclass(frozen=True)
class Result:
    """The result of a test."""

    file: Path
    test: RuleTest
    seconds: float
    problems: Sequence[str]
    """Why it failed, as lines; empty if it passed."""

    @property
    def passed(self) -> bool:
        """Whether the test passed."""
        return not self.problems


class FileRunner:
    """Runs the tests of one file. The plugins are built once."""

    def __init__(self, falco: Falco, target: str, file: TestFile, folder: Path, timeout: float) -> None:
        """Builds the plugins.

        Raises:
            TargetError: a plugin cannot be built.
            FalcoError: the plugins do not fit the tests.
        """
        self._file = file
        self._folder = folder
        self._timeout = timeout
        self._scenario = scenario.prepare_with_events(
            falco, folder, [target, *(other for other, _ in file.others)], file.source
        )
        self._rule_sets: dict[str, RuleSet] = {}

    def run(self, test: RuleTest, interruption: Interruption | None = None) -> Result:
        """Runs a test in a new Falco.

        Raises:
            FalcoError: Falco cannot be started, or does not accept the rules.
        """
        started = time.monotonic()
        configs: list[PluginConfig] = [test.config, *(config for _, config in self._file.others)]
        params = self._scenario.write_events(test.events)
        setup = self._scenario.setup(
            self._file.rules,
            configs=configs,
            params=params,
            rule_matching=self._file.rule_matching,
            folder=Path(tempfile.mkdtemp(dir=self._folder)),
        )
        key = repr(configs)
        if key not in self._rule_sets:
            self._rule_sets[key] = rules.load(setup, interruption)
        rule_set = self._rule_sets[key]
        problems = list(_unknown_rules(test, rule_set))
        if not problems:
            late: list[bool] = []
            with FalcoProcess(setup, interruption=interruption) as process:
                process.stop_after(self._timeout, lambda: late.append(True))
                alerts = list(process.alerts())
                failure = describe_end(process.wait(), process)
            if late:
                failure = f"Falco did not end within {self._timeout:g} s"
            if failure is not None:
                problems = [failure, *(f"  {line}" for line in process.log.lines)]
            else:
                explain = _Explanation(self._scenario, rule_set, test, configs, params)
                problems = list(_differences(test, alerts, explain))
        return Result(self._file.path, test, time.monotonic() - started, problems)


def _unknown_rules(test: RuleTest, rule_set: RuleSet) -> Iterator[str]:
    names = [entry.rule for entry in test.fires] + list(test.does_not_fire or ())
    for name in dict.fromkeys(names):
        if name not in rule_set.rules:
            similar = difflib.get_close_matches(name, rule_set.rules, 1)
            yield f"there is no rule {name!r}" + (f": did you mean {similar[0]!r}?" if similar else "")


def _differences(test: RuleTest, alerts: Sequence[Alert], explain: _Explanation) -> Iterator[str]:
    """Yields the lines of all differences."""
    is_missing = False
    for entry in test.fires:
        fired = [alert for alert in alerts if alert.rule == entry.rule]
        matching = [alert for alert in fired if entry.matches(alert)]
        if entry.count in (None, len(matching)) and (matching or entry.count == 0):
            continue
        is_missing = True
        wanted = "" if entry.count is None else f" {counted(entry.count, 'time')}"
        found = f"{len(matching)} did" if matching else "it did not"
        yield f"must fire{wanted}: {entry}: {found}"
        if fired and not matching:
            yield from (f"  it fired with {_fields(alert)}" for alert in fired[:_SHOWN_ALERTS])
        elif not fired:
            yield from explain.lines(entry.rule)
    for rule in _forbidden(test, alerts):
        for alert in [alert for alert in alerts if alert.rule == rule][:_SHOWN_ALERTS]:
            yield f"must not fire: {rule}: it did: {alert.output}"
    if is_missing:
        named = {entry.rule for entry in test.fires}
        others = dict.fromkeys(alert.rule for alert in alerts if alert.rule not in named)
        if others:
            yield f"instead fired: {', '.join(others)}"
        elif not alerts:
            yield "no rule fired"


def _forbidden(test: RuleTest, alerts: Sequence[Alert]) -> list[str]:
    """Returns the rules that must not fire, in the order of the test or of the alerts."""
    if test.does_not_fire is not None:
        return list(dict.fromkeys(test.does_not_fire))
    named = {entry.rule for entry in test.fires}
    return list(dict.fromkeys(alert.rule for alert in alerts if alert.rule not in named))


def _fields(alert: Alert) -> str:
    return "  ".join(f"{name}={field_text(value)}" for name, value in alert.fields.items()) or "no fields"


@dataclass(frozen=True)
class _Explanation:
    """Explains why a rule did not fire: its condition, and the values of its fields in each event."""

    scenario: Scenario
    rule_set: RuleSet
    test: RuleTest
    configs: Sequence[PluginConfig]
    params: str

    def lines(self, name: str) -> Iterator[str]:
        """Yields the lines of the explanation of a rule."""
        rule = self.rule_set.rules[name]
        source = self.scenario.source
        yield f"  its condition: {rule.condition}"
        if not rule.is_enabled:
            yield "  the rule is not enabled: remove 'enabled: false', or do not test it"
        elif source is not None and rule.source != source.event_source:
            yield f"  its source is {rule.source}, but the events are of {source.event_source}"
        elif not self.test.events:
            yield "  the test has no events"
        else:
            yield from self._values(rule)

    def _values(self, rule: Rule) -> Iterator[str]:
        fields = sorted(rule.condition_fields)
        known = [field for field in fields if self._has(field)]
        others = [field for field in fields if field not in known]
        if known:
            try:
                events = self._extract(known)
            except FalcoError as error:
                yield f"  the values of its fields cannot be read: {error.message}"
                return
            for number, (event, written) in enumerate(zip(events, self.test.events, strict=False), 1):
                if number > _SHOWN_EVENTS:
                    yield f"  … and {len(self.test.events) - _SHOWN_EVENTS} more events"
                    break
                yield f"  event {number}: {_payload(written)}"
                yield from (f"    {name} = {field_text(event.get(name))}" for name in known)
            if absent := [name for name in known if not any(event.get(name) is not None for event in events)]:
                yield f"  absent in every event: {', '.join(absent)}"
        if others:
            yield f"  only Falco knows the values of {', '.join(others)}"

    def _has(self, field: str) -> bool:
        return any(field.partition("[")[0] in plugin.fields for plugin in self.scenario.plugins)

    def _extract(self, fields: Sequence[str]) -> list[dict[str, object]]:
        """Extracts fields from the events in the native host."""
        source = self.scenario.source
        assert source is not None
        texts = [config if isinstance(config, str) else json.dumps(dict(config)) for config in self.configs]
        configs = dict(zip([plugin.library for plugin in self.scenario.plugins], texts, strict=False))
        options = ["--params", self.params, "--config", configs.get(source.library, "")]
        for plugin in self.scenario.plugins:
            if plugin is not source:
                options += [f"--with={plugin.library}", f"--with-config={configs.get(plugin.library, '')}"]
        options += [f"--fields={_quoted(field)}" for field in fields]
        status, output, errors = host.output(["run", source.library, "--json", *options])
        if status != 0:
            raise FalcoError(errors.strip().rpartition("\n")[2] or f"the host ended with status {status}")
        entries = [json.loads(line) for line in output.splitlines()]
        columns: list[dict[str, str]] = next((entry["fields"] for entry in entries if entry["kind"] == "fields"), [])
        names = {column["asked"]: field for column, field in zip(columns, fields, strict=False)}
        return [
            {names[asked]: value for asked, value in entry.get("fields", {}).items()}
            for entry in entries
            if entry["kind"] == "event"
        ]


def _quoted(field: str) -> str:
    """Returns a field as an option of the host takes it: an argument with commas or quotes has to be quoted."""
    name, bracket, argument = field.partition("[")
    argument = argument.removesuffix("]")
    if not bracket or not any(character in argument for character in ',"] '):
        return field
    return f"{name}[{json.dumps(argument, ensure_ascii=False)}]"


def _payload(event: written_events.WrittenEvent) -> str:
    data = written_events.payload_of(event[0] if isinstance(event, tuple) else event)
    text = data.decode(errors="replace")
    return text if len(text) <= _MAX_PAYLOAD else f"{text[:_MAX_PAYLOAD]}…"
