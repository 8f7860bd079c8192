"""Strings at the C boundary: strings of events, progress, suggested parameters, configuration."""

from __future__ import annotations

import ctypes
import json
import subprocess

import pytest
from support.events import FAILURE, PAYLOAD_AT, SUCCESS, encode_event
from support.hosts import (
    c_host_path,
    cycle_payloads,
    environment,
    go_loader_lines,
    run_cycle,
)
from support.libraries import Build, simple_plugin


def test_null_params_and_config_are_empty_strings(load) -> None:
    library = load(simple_plugin("echo", events="[b'<' + params.encode() + b'|' + self.config.encode() + b'>']"))
    code = ctypes.c_int(0x5A5A)
    handle = library.api.plugin_open(library.state, None, ctypes.byref(code))
    assert code.value == SUCCESS
    library.api.plugin_close(library.state, handle)


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"plain", "plain"),
        ("Grüße 日本語 🦅".encode(), "Grüße 日本語 🦅"),
        (b"a\xffb\xc3", "a\ufffdb\ufffd"),
        (b"", ""),
        (b"nul\0inside", "nul\ufffdinside"),
        (b"x" * 1024, "x" * 1024),
        (b"x" * 1025, "x" * 1024),
        # The string is not cut within a character.
        (b"x" * 1023 + "é".encode(), "x" * 1023),
        (b"x" * 1022 + "é".encode() + b"more", "x" * 1022 + "é"),
        ("日".encode() * 400, "日" * 341),
    ],
    ids=["ascii", "utf-8", "invalid", "empty", "nul", "1024", "1025", "cut character", "whole character", "wide"],
)
def test_default_event_string_is_payload_cut_at_1_kib(load, payload: bytes, text: str) -> None:
    library = load(simple_plugin("plain"))
    assert library.event_to_string(encode_event(payload)) == text


def test_event_to_string_receives_whole_event(load) -> None:
    library = load(
        simple_plugin(
            "custom",
            """
        def event_to_string(self, event):
            return f"{event.number} {event.timestamp} {event.source} {event.data!r} {event.text}"
    """,
        )
    )
    event = encode_event(b"\xffx", 77)
    assert library.event_to_string(event, 2**64 - 1, "quelle") == f"{2**64 - 1} 77 quelle b'\\xffx' \ufffdx"
    # The plugin id that the host writes into the event has no effect.
    assert library.event_to_string(encode_event(b"y", 1, plugin_id=999), 1) == "1 1 test b'y' y"


@pytest.mark.parametrize("cut", [0, 10, PAYLOAD_AT - 1])
def test_malformed_event_has_no_string(load, cut: int) -> None:
    library = load(simple_plugin("short", "def event_to_string(self, event):\n    return 'never'\n"))
    event = bytearray(encode_event(b"payload"))
    # The length field ends the event before its payload.
    event[16:20] = cut.to_bytes(4, "little")
    assert library.event_to_string(bytes(event)) is None
    assert library.last_error()


def test_surrogate_in_string_is_replaced(load) -> None:
    library = load(
        simple_plugin(
            "surrogate",
            r"""
        def event_to_string(self, event):
            return "a\udcffb\0c"
    """,
        )
    )
    assert library.event_to_string(encode_event(b"")) == "a\ufffdb\ufffdc"


@pytest.mark.parametrize(
    ("value", "hundredths", "text"),
    [
        ("(0.5, 'half')", 5000, "half"),
        ("(0.00005, 'ä')", 1, "ä"),
        ("(1.0, '')", 10_000, ""),
        ("(2, 'beyond')", 10_000, "beyond"),
        ("(-1, 'below')", 0, "below"),
        ("(float('nan'), 'unknown')", 0, "unknown"),
        ("(1/3, 'a third')", 3333, "a third"),
    ],
)
@pytest.mark.parametrize("kind", ["option", "method"])
def test_progress_is_in_hundredths_of_percent(load, kind: str, value: str, hundredths: int, text: str) -> None:
    library = load(f"""
        from falco_plugin import EOF, Plugin, source

        class CustomInstance(source.BaseInstance):
            def next_batch(self, batch):
                raise EOF

            def progress(self):
                return {value}

        def pull(context, writer):
            raise EOF

        class Progress(Plugin):
            name = "progress"

            def open(self, params):
                return CustomInstance() if params == "method" else source.PullInstance(pull, progress=lambda: {value})
    """)
    with library.opened(kind) as instance:
        assert instance.progress() == (hundredths, text)


@pytest.mark.parametrize("value", ["None", "0.5", "(0.5,)", "('half', 0.5)", "(0.5, b'half')"])
def test_invalid_progress_is_zero_with_advice(load, value: str) -> None:
    library = load(f"""
        from falco_plugin import EOF, Plugin, source

        class Progress(Plugin):
            name = "progress"

            def open(self, params):
                return source.PullInstance(lambda context, writer: None, progress=lambda: {value})
    """)
    with library.opened() as instance:
        assert instance.progress() == (0, "")
    assert any("progress must return a (fraction from 0 to 1, str) tuple, got " in text for _, text in library.logs)


def test_progress_defaults_to_zero(load) -> None:
    with load(simple_plugin("none")).opened() as instance:
        assert instance.progress() == (0, "")


def test_open_params_are_listed_as_json(load) -> None:
    library = load(
        simple_plugin(
            "suggests",
            """
        def list_open_params(self):
            from falco_plugin import OpenParam
            return [OpenParam('a "b" \\\\', "Größe", ","), OpenParam("just"), "text"]
    """,
        )
    )
    assert library.list_open_params() == (
        SUCCESS,
        [
            {"value": 'a "b" \\', "desc": "Größe", "separator": ","},
            {"value": "just", "desc": "", "separator": ""},
            {"value": "text", "desc": "", "separator": ""},
        ],
    )


def test_go_loader_reads_open_params(build: Build) -> None:
    body = 'def list_open_params(self):\n    return ["größe", "b"]\n'
    lines = go_loader_lines(build(simple_plugin("suggests", body)))
    expected = [{"value": value, "desc": "", "separator": ""} for value in ("größe", "b")]
    assert {"open_params": expected} in lines


@pytest.mark.parametrize("result", ["[42]", "None", "[('a', 'b')]", "'text'", "OpenParam('a')", "[OpenParam(1)]"])
def test_invalid_open_params_are_error(load, result: str) -> None:
    body = f"def list_open_params(self):\n    from falco_plugin import OpenParam\n    return {result}\n"
    library = load(simple_plugin("wrong", body))
    assert library.list_open_params() == (FAILURE, None)
    assert library.last_error().startswith("TypeError: ")


@pytest.mark.parametrize("text", ["", "plain", '{"a": ["ü", "日本語"]}', "line\nline", " spaces "])
def test_config_and_params_are_unchanged(build: Build, text: str) -> None:
    library = build(
        simple_plugin("echo", events="[self.config.encode(), params.encode(), type(params).__name__.encode()]")
    )
    assert cycle_payloads(run_cycle(library, text, text)) == [text.encode(), text.encode(), b"str"]


def test_invalid_utf8_in_config_and_params_is_accepted(build: Build) -> None:
    library = build(simple_plugin("echo", events="[self.config.encode(), params.encode()]"))
    done = subprocess.run(
        [c_host_path(), "log", library, b"a\xff", b"\xfeb"], capture_output=True, check=True, env=environment()
    )
    found = [json.loads(line).get("event", {}).get("text") for line in done.stdout.splitlines()]
    assert [text for text in found if text] == ["a\ufffd", "\ufffdb"]
