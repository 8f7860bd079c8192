"""The plugin for pytest: the fixture ``start_plugin``, and the log of its plugins in the report of a failed test."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from typing import Protocol

import pytest

from falco_plugin.testing.plugins import Config, Extractor, TestedPlugin
from falco_plugin.testing.running import RunningPlugin


class StartPlugin(Protocol):
    """The type of the fixture ``start_plugin``."""

    def __call__(
        self,
        plugin: TestedPlugin,
        params: str = "",
        *,
        config: Config = None,
        fields: Sequence[str] | None = None,
        extractors: Sequence[Extractor] = (),
        set_config: Config = None,
        scap: str | os.PathLike[str] | None = None,
    ) -> RunningPlugin:
        """Starts a plugin, and returns it."""
        ...


_started = pytest.StashKey[list[RunningPlugin]]()


@pytest.fixture
def start_plugin(request: pytest.FixtureRequest) -> Iterator[StartPlugin]:
    """Starts plugins that run while the test runs.

    ``start_plugin(plugin, params="", *, config=None, fields=None, extractors=(), set_config=None, scap=None)``
    returns a :class:`falco_plugin.testing.RunningPlugin`. Plugins that still run at the end of the test are killed.
    """
    running: list[RunningPlugin] = request.node.stash.setdefault(_started, [])

    def start(
        plugin: TestedPlugin,
        params: str = "",
        *,
        config: Config = None,
        fields: Sequence[str] | None = None,
        extractors: Sequence[Extractor] = (),
        set_config: Config = None,
        scap: str | os.PathLike[str] | None = None,
    ) -> RunningPlugin:
        running.append(
            RunningPlugin(
                plugin,
                params,
                config=config,
                fields=fields,
                extractors=extractors,
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
