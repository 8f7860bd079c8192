"""Async events, `dump_state` and captures that `falco-plugin build` refuses, and what it writes for the others."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest
from support.libraries import write_sources

from falco_plugin._build import target
from falco_plugin._build.errors import TargetError

PLUGIN = """
    from falco_plugin import AsyncEvent, Plugin, async_events, field


    class Sample(Plugin):
        name = "sample"

"""


def load(tmp_path: Path, body: str) -> target.Target:
    source = textwrap.dedent(PLUGIN) + textwrap.indent(textwrap.dedent(body), "    ")
    return target.load(str(write_sources(tmp_path, {"sample.py": source}) / "sample.py"))


SENDS = """
@async_events("changed")
def changes(self):
    yield b""
"""


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("def capture_open(self, capture): ...", "Sample only listens to captures, and Falco ends when it loads such"),
        ("pass", "Sample has no capability: define open(self, params) to make it an event source, "),
        ("def dump_state(self): yield", 'Sample.dump_state has no names for its events: put @async_events("…")'),
        (
            '@async_events("a")\nasync def dump_state(self): yield AsyncEvent("a")',
            "Sample.dump_state is an async generator, but Falco waits for its events: define it without async",
        ),
        (
            '@async_events("a")\nasync def changes(self): pass',
            "Sample.changes is async without a yield, so it makes no events: yield them in it",
        ),
        (
            '@async_events("a")\ndef changes(self, context, sender, more): yield',
            "Sample.changes(self, context, sender, more) cannot be called: define it as def changes(self), "
            "def changes(self, context) or def changes(self, context, sender)",
        ),
        (
            '@async_events("a")\ndef changes(): yield',
            "Sample.changes() cannot be called: define it as def changes(self)",
        ),
        (
            '@async_events("a")\ndef open(self, params): yield b""',
            "Sample.open has @async_events, but Falco calls it for something else: give the method another name",
        ),
        (
            SENDS + '\n@async_events("b", sources=["syscall"])\ndef others(self): yield b""',
            "Sample.changes has @async_events without sources, but others has some, and Falco reads them for the whole",
        ),
        (SENDS + "\ndef capture_open(self): ...", "Sample.capture_open(self) lacks capture: define it as"),
        (SENDS + "\nasync def capture_close(self, capture): ...", "capture_close is async, but nothing awaits it"),
        (SENDS + "\ncapture_open = 1", "Sample: the attribute 'capture_open' (int) hides the plugin method"),
    ],
)
def test_build_refuses(tmp_path, body, message):
    with pytest.raises(TargetError) as caught:
        load(tmp_path, body)
    assert message in str(caught.value)


def exported(loaded: target.Target, *symbols: str) -> list[str]:
    return [symbol for symbol in symbols if f"plugin_{symbol}" not in loaded.hidden_symbols()]


ASYNC = ("get_async_events", "get_async_event_sources", "set_async_event_handler", "dump_state")
LISTENING = ("capture_open", "capture_close")


@pytest.mark.parametrize(
    ("body", "symbols", "version"),
    [
        ("def open(self, params): ...", [], "3.5.0"),
        (SENDS, [*ASYNC[:3]], "3.5.0"),
        ('@async_events("a")\ndef dump_state(self): yield AsyncEvent("a")', [*ASYNC], "3.5.0"),
        (SENDS + "\ndef capture_close(self, capture): ...", [*ASYNC[:3], *LISTENING], "3.7.0"),
        ("def open(self, params): ...\ndef capture_open(self, capture): ...", [*LISTENING], "3.7.0"),
        (
            SENDS + '\n@field("sample.one", desc="One")\ndef one(self, event) -> int: return 1',
            [*ASYNC[:3]],
            "3.11.0",
        ),
    ],
    ids=["source", "async", "dump_state", "async, listening", "source, listening", "async, fields"],
)
def test_library_exports_what_the_plugin_uses(tmp_path, body, symbols, version):
    loaded = load(tmp_path, body)
    assert exported(loaded, *ASYNC, *LISTENING) == symbols
    assert loaded.manifest()["required_api_version"] == version


@pytest.mark.parametrize(
    ("body", "names", "sources"),
    [
        (SENDS, ["changed"], []),
        (SENDS + "\ndef open(self, params): ...", ["changed"], ["sample"]),
        (
            '@async_events("a", "b", sources=["syscall"])\ndef one(self): yield\n'
            '@async_events("b", "c", sources=["test", "syscall"])\ndef two(self): yield\n',
            ["a", "b", "c"],
            ["syscall", "test"],
        ),
        (SENDS + '\n@async_events("state")\ndef dump_state(self): yield', ["changed", "state"], []),
    ],
)
def test_manifest_has_names_and_sources(tmp_path, body, names, sources):
    manifest = load(tmp_path, body).manifest()
    assert json.loads(manifest["async_events"]) == names
    assert json.loads(manifest["async_event_sources"]) == sources


def test_override_without_decorator_is_not_declared(tmp_path):
    source = textwrap.dedent(PLUGIN) + textwrap.indent(SENDS, "    ")
    source += textwrap.dedent(
        """
        class Derived(Sample):
            name = "derived"

            def changes(self): return []

            @async_events("own")
            def others(self): yield b""
        """
    )
    path = write_sources(tmp_path, {"sample.py": source}) / "sample.py"
    manifest = target.load(f"{path}:Derived").manifest()
    assert json.loads(manifest["async_events"]) == ["own"]
