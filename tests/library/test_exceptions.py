"""Exceptions of user code at the C boundary: what the host gets, and what the log says."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.embedded import Library
from support.events import EOF, FAILURE, SUCCESS, payloads_of
from support.hosts import (
    cycle_end,
    cycle_payloads,
    init_error,
    log_messages,
    run_cycle,
)
from support.libraries import Build, build_plugin, simple_plugin

RAISING = """
    from falco_plugin import EOF, Plugin, Timeout, source

    ERRORS = {
        "ValueError": ValueError("böse\\nZeile"),
        "KeyboardInterrupt": KeyboardInterrupt(),
        "SystemExit": SystemExit(3),
        "GeneratorExit": GeneratorExit(),
        "EOFError": EOFError("early"),
        "StopIteration": StopIteration(),
        "TimeoutError": TimeoutError("slow"),
        "EOF": EOF(),
        "Timeout": Timeout(),
    }
    STATE = {}


    def maybe(where):
        if STATE["where"] == where:
            raise ERRORS[STATE["what"]]  # the line that is told


    class Own(source.BaseInstance):
        calls = 0

        def next_batch(self, batch):
            self.calls += 1
            if self.calls > 1:
                raise EOF
            batch.append(b"one")
            batch.append(b"two")
            maybe("next_batch")
            return 2

        def progress(self):
            maybe("progress")
            return 0.25, "a quarter"

        def close(self):
            maybe("close")


    class Raising(Plugin):
        name = "raising"

        def init(self):
            STATE["where"], _, STATE["what"] = self.config.partition(" ")
            maybe("init")

        def open(self, params):
            maybe("open")
            if STATE["where"] != "pull":
                return Own()
            items = iter([b"one", b"two"])

            def pull(context, writer):
                for item in items:
                    writer.write(item)
                    return
                writer.write(b"of the failing call")
                maybe("pull")

            return source.PullInstance(pull)

        def event_to_string(self, event):
            maybe("event_to_string")
            return event.text

        def list_open_params(self):
            maybe("list_open_params")
            return []

        def destroy(self):
            maybe("destroy")
"""
LINE = next(number for number, line in enumerate(RAISING.splitlines(), 1) if "the line that is told" in line)
TOLD = {
    "ValueError": "ValueError: böse Zeile",
    "KeyboardInterrupt": "KeyboardInterrupt",
    "SystemExit": "SystemExit: 3",
}
MORE = {"GeneratorExit": "GeneratorExit"}
MEANT = {
    "EOFError": ("EOFError: early", "falco_plugin.EOF"),
    "StopIteration": ("StopIteration", "falco_plugin.EOF"),
    "TimeoutError": ("TimeoutError: slow", "falco_plugin.Timeout"),
}
PLACE = f" (raising.py:{LINE} in maybe)"


@pytest.fixture(scope="module")
def raising(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_plugin(tmp_path_factory.mktemp("raising"), RAISING, "raising")


@pytest.mark.parametrize("what", [*TOLD, *MORE])
def test_exception_in_init_is_error_of_host(raising: Path, what: str) -> None:
    assert init_error(raising, f"init {what}") == {**TOLD, **MORE}[what] + PLACE


@pytest.mark.parametrize("what", [*TOLD, *MORE])
def test_exception_in_open_is_error_of_host(raising: Path, what: str) -> None:
    ran = run_cycle(raising, f"open {what}")
    assert (cycle_end(ran)["stage"], cycle_end(ran)["error"]) == ("open", {**TOLD, **MORE}[what] + PLACE)
    assert ran.values("late_logs") == [0], "the process lives to the end"


@pytest.mark.parametrize("where", ["pull", "next_batch"])
@pytest.mark.parametrize("what", [*TOLD, *MORE])
def test_events_before_exception_are_delivered_first(raising: Path, where: str, what: str) -> None:
    ran = run_cycle(raising, f"{where} {what}")
    assert cycle_payloads(ran) == [b"one", b"two"]
    assert (cycle_end(ran)["stage"], cycle_end(ran)["error"]) == ("next_batch", {**TOLD, **MORE}[what] + PLACE)
    assert ran.values("late_logs") == [0]


@pytest.mark.parametrize("where", ["pull", "next_batch"])
def test_eof_follows_exception(raising: Path, where: str) -> None:
    with Library(raising, f"{where} ValueError") as library, library.opened() as instance:
        assert [(code, payloads_of(events)) for code, events in (instance.next_batch() for _ in range(4))] == [
            (SUCCESS, [b"one", b"two"]),
            (FAILURE, []),
            (EOF, []),
            (EOF, []),
        ]
        assert library.last_error() == TOLD["ValueError"] + PLACE


@pytest.mark.parametrize("what", TOLD)
@pytest.mark.parametrize("where", ["close", "destroy"])
def test_exception_without_receiver_is_logged(raising: Path, where: str, what: str) -> None:
    ran = run_cycle(raising, f"{where} {what}")
    assert ran.status == 0, ran.stderr
    (told,) = [text for text in log_messages(ran, severity=3) if where in text]
    assert f"{where} failed: {TOLD[what]}{PLACE}\n  Traceback" in told
    assert "the line that is told" in told, "the traceback shows the source"


@pytest.mark.parametrize("what", TOLD)
def test_exception_in_event_to_string_gives_placeholder(raising: Path, what: str) -> None:
    ran = run_cycle(raising, f"event_to_string {what}")
    assert ran.status == 0, ran.stderr
    kind = TOLD[what].partition(":")[0]
    assert [event["text"] for event in ran.values("event")] == [f"<event_to_string of raising failed: {kind}>"] * 2
    assert f"event_to_string failed: {TOLD[what]}{PLACE}" in "\n".join(log_messages(ran, severity=3))


@pytest.mark.parametrize("what", TOLD)
def test_exception_in_progress_or_params_is_reported(raising: Path, what: str) -> None:
    with Library(raising, f"progress {what}") as library, library.opened() as instance:
        assert instance.progress() == (0, "")
        assert any(text.startswith(f"falco_plugin: progress failed: {TOLD[what]}{PLACE}") for _, text in library.logs)
    with Library(raising, f"list_open_params {what}") as library:
        assert library.list_open_params() == (FAILURE, None)
        assert library.last_error() == TOLD[what] + PLACE


@pytest.mark.parametrize("where", ["pull", "next_batch"])
@pytest.mark.parametrize("what", MEANT)
def test_signal_like_exception_names_signal(raising: Path, where: str, what: str) -> None:
    ran = run_cycle(raising, f"{where} {what}")
    said, meant = MEANT[what]
    assert cycle_payloads(ran) == [b"one", b"two"]
    assert cycle_end(ran)["stage"] == "next_batch"
    assert said in cycle_end(ran)["error"]
    assert f"raise {meant}" in cycle_end(ran)["error"]
    assert cycle_end(ran)["error"].endswith(PLACE)


@pytest.mark.parametrize("where", ["pull", "next_batch"])
def test_eof_ends_source_without_error(raising: Path, where: str) -> None:
    ran = run_cycle(raising, f"{where} EOF")
    assert (cycle_payloads(ran), cycle_end(ran)["end"], ran.status) == ([b"one", b"two"], "eof", 0)


def test_timeout_continues_source(raising: Path) -> None:
    ran = run_cycle(raising, "pull Timeout")
    # The host gives up after three in a row.
    assert (cycle_payloads(ran), cycle_end(ran)["end"], ran.status) == ([b"one", b"two"], "timeout", 0)


@pytest.mark.parametrize("what", ["EOF", "Timeout"])
@pytest.mark.parametrize("where", ["init", "open", "list_open_params"])
def test_signal_outside_of_next_batch_is_error(raising: Path, where: str, what: str) -> None:
    library = Library(raising, f"{where} {what}")
    if where == "init":
        assert library.init_code == FAILURE
    elif where == "open":
        with pytest.raises(AssertionError), library.opened():
            pass
    else:
        assert library.list_open_params() == (FAILURE, None)
    assert what in library.last_error()
    assert f"cannot be raised from {where}" in library.last_error()
    library.destroy()


def test_traceback_is_logged_once(raising: Path) -> None:
    ran = run_cycle(raising, "pull ValueError")
    told = [text for text in log_messages(ran, severity=3) if "Traceback" in text]
    assert len(told) == 1
    assert 'raising.py", line' in told[0]
    assert told[0].count("böse Zeile") == 1


def test_cause_precedes_long_message(build: Build) -> None:
    library = build(simple_plugin("long", "def init(self):\n    raise ValueError('cause ' + 'x' * 5000)\n"))
    assert init_error(library).startswith("ValueError: cause xxx")
