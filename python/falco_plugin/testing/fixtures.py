"""The plugin for pytest: the fixtures ``start_plugin`` and ``falco_alerts``, and the log of plugins in the report of a
failed test.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

import pytest

from falco_plugin.testing.plugins import Config, FurtherPlugin, TestedPlugin
from falco_plugin.testing.running import RunningPlugin

if TYPE_CHECKING:
    from falco_plugin._falco.configuration import RuleMatching
    from falco_plugin._falco.written_events import WrittenEvent
    from falco_plugin.testing.alerting import Alerts, Rules


class StartPlugin(Protocol):
    """The type of the fixture ``start_plugin``."""

    def __call__(
        self,
        plugin: TestedPlugin,
        params: str = "",
        *,
        config: Config = None,
        fields: Sequence[str] | None = None,
        plugins: Sequence[FurtherPlugin] = (),
        set_config: Config = None,
        scap: str | os.PathLike[str] | None = None,
    ) -> RunningPlugin:
        """Starts a plugin, and returns it."""
        ...


class FalcoAlerts(Protocol):
    """The type of the fixture ``falco_alerts``."""

    def __call__(
        self,
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
        timeout: float = 30,
    ) -> Alerts:
        """Runs Falco, and returns its alerts."""
        ...


@pytest.fixture
def falco_alerts() -> FalcoAlerts:
    """Runs a real Falco on a plugin and rules. Skips the test if there is no Falco.

    ``falco_alerts(plugin, rules, *, events=None, params="", config=None, plugins=(), source=None,
    rule_matching="first", limit=None, timeout=30)`` is :func:`falco_plugin.testing.alerts`. With ``FALCO_REQUIRED=1``
    in the environment, a missing Falco is an error instead, so that CI does not skip the tests of rules silently.
    """
    # Only here, because most tests run no Falco.
    from falco_plugin._falco import find
    from falco_plugin._falco.errors import NoFalcoError
    from falco_plugin.testing.alerting import alerts

    try:
        find.find()
    except NoFalcoError as error:
        if os.environ.get("FALCO_REQUIRED") == "1":
            raise
        pytest.skip(f"{error.message} (FALCO_REQUIRED=1 makes this an error)")
    return alerts


_started = pytest.StashKey[list[RunningPlugin]]()


@pytest.fixture
def start_plugin(request: pytest.FixtureRequest) -> Iterator[StartPlugin]:
    """Starts plugins that run while the test runs.

    ``start_plugin(plugin, params="", *, config=None, fields=None, plugins=(), set_config=None, scap=None)``
    returns a :class:`falco_plugin.testing.RunningPlugin`. Plugins that still run at the end of the test are killed.
    """
    running: list[RunningPlugin] = request.node.stash.setdefault(_started, [])

    def start(
        plugin: TestedPlugin,
        params: str = "",
        *,
        config: Config = None,
        fields: Sequence[str] | None = None,
        plugins: Sequence[FurtherPlugin] = (),
        set_config: Config = None,
        scap: str | os.PathLike[str] | None = None,
    ) -> RunningPlugin:
        running.append(
            RunningPlugin(
                plugin,
                params,
                config=config,
                fields=fields,
                plugins=plugins,
                set_config=set_config,
                scap=scap,
            )
        )
        return running[-1]

    yield start
    for plugin in running:
        plugin.kill()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds the log of its plugins to the report of a failed test."""
    if call.excinfo is not None:
        for plugin in item.stash.get(_started, []):
            log = "\n".join(f"[{line.severity}] {line.text}" for line in plugin.log)
            if log:
                item.add_report_section(call.when, "log of the plugin", log)
    return (yield)
