"""`event_to_string` runs once per event. Its failure shows a placeholder, never the payload, which it may mask."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from support.embedded import Library, event_buffer
from support.events import encode_event
from support.hosts import Output, run_command, run_cycle
from support.libraries import build_plugin, simple_plugin, write_sources

PLACEHOLDER = "<event_to_string of masks failed: {kind}>"
COUNTING_METHOD = """
def event_to_string(self, event):
    self.calls = getattr(self, "calls", 0) + 1
    {body}
"""


def build(folder: Path, body: str, events: str = "[b'secret']") -> Path:
    return build_plugin(folder, simple_plugin("masks", COUNTING_METHOD.replace("{body}", body), events=events), "masks")


def event_strings(ran: Output) -> list[str]:
    return [event["text"] for event in ran.values("event")]


@pytest.mark.parametrize(
    ("body", "text", "line"),
    [
        (
            "raise ValueError(event.text)",
            PLACEHOLDER.format(kind="ValueError"),
            "failed: ValueError: secret (masks.py:",
        ),
        ("raise SystemExit", PLACEHOLDER.format(kind="SystemExit"), "failed: SystemExit (masks.py:"),
        (
            "raise KeyboardInterrupt",
            PLACEHOLDER.format(kind="KeyboardInterrupt"),
            "failed: KeyboardInterrupt (masks.py:",
        ),
        (
            "return event.json",
            PLACEHOLDER.format(kind="NoJsonError"),
            "failed: NoJsonError: ",
        ),
        (
            "return event.data",
            PLACEHOLDER.format(kind="TypeError"),
            "failed: TypeError: event_to_string must return str, not bytes (masks.py:",
        ),
        (
            "pass",
            PLACEHOLDER.format(kind="TypeError"),
            "failed: TypeError: event_to_string returned None: is a `return` missing? (masks.py:",
        ),
        ("return ''", "<empty>", None),
        ("return ' '", " ", None),
        ("return '\\0'", "\ufffd", None),
        ("return f'call {self.calls}'", "call 1", None),
    ],
)
def test_failed_event_to_string_hides_payload(tmp_path: Path, body: str, text: str, line: str | None) -> None:
    ran = run_cycle(build(tmp_path, body))
    assert event_strings(ran) == [text]
    lines = [log["text"] for log in ran.values("log") if "event_to_string" in log["text"]]
    assert len(lines) == (line is not None)
    assert line is None or line in lines[0]


def test_failure_is_logged_once_then_counted(tmp_path: Path) -> None:
    body = "raise (KeyError if event.text.endswith('0') else ValueError)('no text')"
    ran = run_cycle(build(tmp_path, body, events="(b'%d' % n for n in range(200))"))
    assert event_strings(ran) == [PLACEHOLDER.format(kind="ValueError" if n % 10 else "KeyError") for n in range(200)]
    lines = [log["text"].removeprefix("falco_plugin: event_to_string ") for log in ran.values("log")]
    lines = [line.partition(" (masks.py")[0] for line in lines if "Error" in line]
    assert lines == [
        "failed: KeyError: 'no text'",
        "failed: ValueError: no text",
        "failed 10 times: ValueError",
        "failed 10 times: KeyError",
        "failed 100 times: ValueError",
        "failed 20 times: KeyError",
        "failed 180 times: ValueError",
    ]
    assert sum("Traceback" in log["text"] for log in ran.values("log")) == 2


@pytest.mark.parametrize("body", ["return f'call {self.calls}'", "raise ValueError(f'call {self.calls}')"])
def test_event_to_string_runs_once_per_event(tmp_path: Path, body: str) -> None:
    with Library(build(tmp_path, body)) as library:

        def calls(event: object, number: int) -> int:
            return len({library.event_to_string(event, number) for _ in range(10)})

        first, second = event_buffer(encode_event(b"one")), event_buffer(encode_event(b"two"))
        assert [calls(event, number) for event, number in ((first, 1), (first, 2), (second, 2))] == [1, 1, 1]
        with library.opened():
            library.event_to_string(second, 2)
        texts = [text for _, text in library.logs if "failed" in text]
        if "raise" in body:
            # One failure for each event, and one more because opening a source forgets the second event.
            assert len(texts) == 1
            library.destroy()
            assert library.logs[-1][1].startswith("falco_plugin: event_to_string failed 4 times")
        else:
            assert library.event_to_string(event_buffer(encode_event(b"other")), 3) == "call 5"


def test_command_shows_placeholder(tmp_path: Path) -> None:
    source = """
        from falco_plugin import Plugin

        class Masks(Plugin):
            name = event_source = "masks"

            def open(self, params):
                yield b"secret"

            def event_to_string(self, event):
                return event.masked
    """
    write_sources(tmp_path, {"masks.py": source})
    ran = run_command("run", tmp_path / "masks.py")
    assert ran.stdout.endswith(" <event_to_string of masks failed: AttributeError>\n")
    assert base64.b64encode(b"secret").decode() not in ran.stdout
