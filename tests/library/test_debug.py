"""``FALCO_PLUGIN_DEBUG=1`` logs each call of the host, without support by the host."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.hosts import c_host_lines, environment, native_lines, run_cycle
from support.libraries import build_plugin

SOURCE = """
    from falco_plugin import Plugin, field


    class Talk(Plugin):
        '''Talks'''

        name = event_source = "talk"
        config: str

        def init(self):
            if self.config:
                raise ValueError("no")

        @field("talk.size", desc="Number of bytes of the event")
        def size(self, event) -> int:
            return len(event.data)

        def open(self, params):
            if params:
                raise ValueError("no")
            return iter([b"one", b"three"])

        def event_to_string(self, event):
            return event.text.upper()

        def list_open_params(self):
            return ["here"]
"""
LINE = re.compile(r"(\w+) \(thread \d+\): (.+?)(?:, \d+\.\d{3} ms)?")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_plugin(tmp_path_factory.mktemp("talk"), SOURCE)


def find_calls(texts: list[str]) -> list[tuple[str, str]]:
    """Returns the name and the result of each logged call."""
    return [found.groups() for text in texts if (found := LINE.fullmatch(text))]


def run_with_debug(library: Path, *arguments: str) -> list[tuple[str, str]]:
    lines = native_lines(library, *arguments, env=environment(FALCO_PLUGIN_DEBUG="1"))
    return find_calls([line["text"] for line in lines if line["kind"] == "log"])


def test_debug_logs_begin_and_result_of_calls(library: Path) -> None:
    logged = run_with_debug(library, "--fields", "talk.size")
    assert logged[::2] == [(name, "begins") for name, _ in logged[1::2]]
    assert logged[1::2] == [
        ("init", "SUCCESS"),
        ("open", "SUCCESS"),
        ("next_batch", "SUCCESS, 2 events"),
        ("extract_fields", "SUCCESS, event 1, talk.size 1"),
        ("event_to_string", "SUCCESS, event 1"),
        ("extract_fields", "SUCCESS, event 2, talk.size 1"),
        ("event_to_string", "SUCCESS, event 2"),
        ("next_batch", "EOF, 0 events"),
        ("close", "done"),
        ("destroy", "done"),
    ]


@pytest.mark.parametrize(("config", "params", "call"), [("x", "", "init"), ("", "x", "open")])
def test_debug_logs_failed_call(library: Path, config: str, params: str, call: str) -> None:
    host = run_cycle(library, config, params, environment(FALCO_PLUGIN_DEBUG="1"))
    logged = find_calls([line["text"] for line in host.values("log")])
    assert (call, "FAILURE") in logged
    assert logged[-1] == ("destroy", "done")


@pytest.mark.parametrize("value", [None, "", "0", "yes"])
def test_debug_logs_nothing_by_default(library: Path, value: str | None) -> None:
    lines = native_lines(library, env=environment(FALCO_PLUGIN_DEBUG=value))
    assert [line for line in lines if line["kind"] == "log"] == []


def test_debug_accepts_null_handles(library: Path) -> None:
    assert c_host_lines("nulls", library, env=environment(FALCO_PLUGIN_DEBUG="1")) == c_host_lines("nulls", library)
