"""Runs a real Falco on a plugin and rules, and returns its alerts."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from falco_plugin._build import temporary
from falco_plugin._build.errors import TargetError
from falco_plugin._declare.words import counted
from falco_plugin._falco.alert import Alert
from falco_plugin.errors import PluginError
from falco_plugin.testing.plugins import Config, FurtherPlugin, TestedPlugin, config_text, pairs_of, target_of
from falco_plugin.testing.results import RunError

if TYPE_CHECKING:
    from falco_plugin._falco.configuration import RuleMatching
    from falco_plugin._falco.process import Setup
    from falco_plugin._falco.written_events import WrittenEvent

Rules: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""The path of a rule file, several paths, or the text of rules, which has more than one line."""


class Alerts(list[Alert]):
    """The alerts of a run, in the order in which Falco made them."""

    log: Sequence[str] = ()
    """The lines of Falco's log, the plugin's lines among them, without those of each start."""

    def by_rule(self, rule: str) -> list[Alert]:
        """Returns the alerts of a rule."""
        return [alert for alert in self if alert.rule == rule]

    @property
    def rules(self) -> list[str]:
        """The names of the rules that fired, one for each alert, in order."""
        return [alert.rule for alert in self]

    def __repr__(self) -> str:
        return f"<{counted(len(self), 'alert')}: {'; '.join(map(str, self)) or 'no rule fired'}>"


def alerts(
    plugin: TestedPlugin,
    rules: Rules,
    *,
    events: Iterable[WrittenEvent] | None = None,
    params: str = "",
    config: Config = None,
    plugins: Sequence[FurtherPlugin] = (),
    source: str | None = None,
    rule_matching: RuleMatching = "first",
    limit: int | None = None,
    falco: str | None = None,
    timeout: float = 30,
) -> Alerts:
    """Runs a real Falco on a plugin and rules until the source ends, and returns the alerts.

    Falco is the executable or container image that the variable ``FALCO`` names, ``falco`` on ``PATH``, or the official
    image if there is docker or podman. In pytest, use the fixture :func:`falco_plugin.testing.fixtures.falco_alerts`,
    which skips the test if there is none.

    Args:
        plugin: ``path.py[:Name]``, a folder, a library, a plugin class, or a factory function.
        rules: the path of a rule file, a list of paths, or the text of rules.
        events: the events. They replace those of the plugin's source; its fields and ``init`` stay. Each is a
            payload, or a pair of a payload and its time. A payload is ``bytes``, a ``str``, an ``Event``, or a
            mapping or list, which becomes JSON. If the plugin only extracts fields, the SDK adds a source.
        params: the open params of the plugin's own source, without ``events``.
        config: the ``init_config``, as a string or as a mapping, which is passed as JSON.
        plugins: further plugins. Each is a plugin, or a pair of a plugin and its ``init_config``.
        source: the event source of ``events``, for a plugin that extracts from every source.
        rule_matching: whether only the first rule that matches an event fires, as in Falco by default, or ``"all"``.
        limit: stop after this many alerts.
        falco: the Falco to run, instead of the one that is found.
        timeout: seconds that the run may take.

    Raises:
        RunError: Falco failed, does not accept the rules, or did not end in time. The message contains its log.
        PluginError: a plugin cannot be built, or there is no Falco.
        TypeError: an event or a parameter has a wrong type.

    Example:
        ```python
        def test_deleted_report_is_an_alert():
            (alert,) = alerts(Audit, "audit_rules.yaml", events=[{"action": "delete", "object": "report/7"}])
            assert alert.rule == "Report deleted"
            assert alert.fields["audit.object"] == "report/7"
        ```
    """
    # Only here, because most tests run no Falco.
    from falco_plugin._falco import find, scenario
    from falco_plugin._falco.errors import FalcoError

    if events is not None and params:
        raise TypeError("events replace the plugin's source: leave out params")
    pairs = pairs_of(plugins)
    targets = [target_of(plugin), *(target_of(other) for other, _ in pairs)]
    found = find.find(falco)
    with temporary.folder() as folder:
        try:
            if events is None:
                built = scenario.prepare(found, folder, targets)
            else:
                built = scenario.prepare_with_events(found, folder, targets, source)
                params = built.write_events(events)
        except TargetError as error:
            raise PluginError(str(error)) from error.__cause__
        built.variables["FALCO_PLUGIN_ALLOW_WRITABLE"] = "1"
        configs = [config_text(config), *(config_text(other) for _, other in pairs)]
        try:
            setup = built.setup(_files(rules, folder), configs=configs, params=params, rule_matching=rule_matching)
            return _run(setup, limit, timeout)
        except FalcoError as error:
            raise RunError(str(error)) from None


def _run(setup: Setup, limit: int | None, timeout: float) -> Alerts:
    from falco_plugin._falco.process import FalcoProcess, describe_end

    received = Alerts()
    is_late = threading.Event()
    with FalcoProcess(setup) as process:
        process.stop_after(timeout, is_late.set)
        for alert in process.alerts():
            if limit is not None and len(received) >= limit:
                continue
            received.append(alert)
            if len(received) == limit:
                process.stop()
        status = process.wait()
    received.log = process.log.lines
    failure = describe_end(status, process)
    if is_late.is_set():
        failure = f"Falco did not end within {timeout:g} s: set a limit, or a longer timeout"
    if failure is not None:
        log = "\n".join(process.log.lines)
        raise RunError(f"{failure}\n\nFalco's log:\n{log}\n\n{received!r}")
    return received


def _files(rules: Rules, folder: Path) -> list[Path]:
    """Returns the files of rules. Writes one for the text of rules."""
    if isinstance(rules, str) and "\n" in rules:
        path = folder / "rules.yaml"
        path.write_text(rules, encoding="utf-8")
        return [path]
    paths = [Path(path) for path in ([rules] if isinstance(rules, str | os.PathLike) else rules)]
    for path in paths:
        if not path.is_file():
            raise PluginError(f"rules: there is no file {path}: pass the path of a rule file, or the text of rules")
    return paths
