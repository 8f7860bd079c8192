"""`set_config`: a new configuration for a plugin that runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.embedded import Library
from support.events import FAILURE, SUCCESS, encode_event
from support.hosts import c_host_lines
from support.libraries import Build, simple_plugin

Load = Callable[..., Library]

PLUGIN = """
    from dataclasses import dataclass

    from falco_plugin import Plugin, field


    @dataclass
    class Config:
        limit: int
        name: str = "none"


    class Configured(Plugin):
        name = "configured"
        config: Config

        def init(self):
            self.seen = []

        def set_config(self, config: Config) -> None:
            assert config is self.config
            self.seen.append(config.limit)
            if config.limit < 0:
                raise ValueError("the limit is negative")

        @field("configured.now", desc="The current configuration, and those that came")
        def now(self, event) -> str:
            return f"{self.config.limit} {self.config.name} {self.seen}"
"""
EVENT = encode_event(b"{}")


def test_set_config_replaces_the_configuration(load: Load) -> None:
    library = load(PLUGIN, '{"limit": 1}')
    assert library.extract(EVENT, "configured.now", 1).values == ["1 none []"]
    assert library.set_config('{"limit": 2, "name": "two"}') == (SUCCESS, "")
    assert library.extract(EVENT, "configured.now", 2).values == ["2 two [2]"]


@pytest.mark.parametrize(
    ("config", "error", "seen"),
    [
        ('{"limit": "many"}', "init_config does not fit: limit: expected int, got str", "[]"),
        ('{"name": "x"}', "init_config does not fit: limit: required", "[]"),
        ("no JSON", "init_config must be a map, but it is not valid JSON", "[]"),
        ('{"limit": -1}', "ValueError: the limit is negative (plugin.py:", "[-1]"),
    ],
)
def test_failed_set_config_keeps_the_configuration(load: Load, config: str, error: str, seen: str) -> None:
    library = load(PLUGIN, '{"limit": 1}')
    code, message = library.set_config(config)
    assert code == FAILURE
    assert message.startswith(error.replace("plugin.py", "loaded0.py"))
    assert any(f"set_config failed: {message}" in text for _, text in library.logs)
    assert library.extract(EVENT, "configured.now").values == [f"1 none {seen}"]
    # The plugin continues, and takes the next one.
    assert library.set_config('{"limit": 3}') == (SUCCESS, "")


def test_configuration_without_class_is_a_string(load: Load) -> None:
    body = """
        def set_config(self, config):
            assert self.config == config == "new", config
    """
    library = load(simple_plugin("text", body), "old")
    assert library.set_config("new") == (SUCCESS, "")
    assert library.set_config("other")[1].startswith("AssertionError: other")


@pytest.mark.parametrize("body", ["", "def set_config(self, config):\n    pass"])
def test_only_plugins_that_define_set_config_export_it(build: Build, body: str) -> None:
    (line,) = c_host_lines("symbols", build(simple_plugin("plain", body)))
    assert ("plugin_set_config" in line["symbols"]) == bool(body)
    assert "plugin_get_metrics" in line["symbols"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "def set_config(self): ...",
            "Simple.set_config(self) lacks config: define it as def set_config(self, ",
        ),
        ("async def set_config(self, config): ...", "Simple.set_config is async, but nothing awaits it"),
        ("set_config = 1", "the attribute 'set_config' (int) hides the plugin method 'set_config'"),
    ],
)
def test_build_refuses_set_config_that_cannot_be_called(build: Build, body: str, message: str) -> None:
    with pytest.raises(AssertionError) as raised:
        build(simple_plugin("wrong", body))
    assert message in str(raised.value)
