"""Exceptions of user code at the C boundary: what the host receives and what is logged."""

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


    def raise_if_selected(function):
        if STATE["function"] == function:
            raise ERRORS[STATE["exception"]]  # the line that is reported


    class CustomInstance(source.BaseInstance):
        calls = 0

        def next_batch(self, batch):
            self.calls += 1
            if self.calls > 1:
                raise EOF
            batch.append(b"one")
            batch.append(b"two")
            raise_if_selected("next_batch")
            return 2

        def progress(self):
            raise_if_selected("progress")
            return 0.25, "a quarter"

        def close(self):
            raise_if_selected("close")


    class Raising(Plugin):
        name = "raising"

        def init(self):
            STATE["function"], _, STATE["exception"] = self.config.partition(" ")
            raise_if_selected("init")

        def open(self, params):
            raise_if_selected("open")
            if STATE["function"] != "pull":
                return CustomInstance()
            items = iter([b"one", b"two"])

            def pull(context, writer):
                for item in items:
                    writer.write(item)
                    return
                writer.write(b"written before the failure")
                raise_if_selected("pull")

            return source.PullInstance(pull)

        def event_to_string(self, event):
            raise_if_selected("event_to_string")
            return event.text

        def list_open_params(self):
            raise_if_selected("list_open_params")
            return []

        def destroy(self):
            raise_if_selected("destroy")
"""
LINE = next(number for number, line in enumerate(RAISING.splitlines(), 1) if "the line that is reported" in line)
REPORTED = {
    "ValueError": "ValueError: böse Zeile",
    "KeyboardInterrupt": "KeyboardInterrupt",
    "SystemExit": "SystemExit: 3",
}
GENERATOR_EXIT = {"GeneratorExit": "GeneratorExit"}
SIGNAL_LIKE = {
    "EOFError": ("EOFError: early", "falco_plugin.EOF"),
    "StopIteration": ("StopIteration", "falco_plugin.EOF"),
    "TimeoutError": ("TimeoutError: slow", "falco_plugin.Timeout"),
}
RAISED_AT = f" (raising.py:{LINE} in raise_if_selected)"


@pytest.fixture(scope="module")
def raising(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_plugin(tmp_path_factory.mktemp("raising"), RAISING, "raising")


@pytest.mark.parametrize("exception", [*REPORTED, *GENERATOR_EXIT])
def test_exception_in_init_is_error_of_host(raising: Path, exception: str) -> None:
    assert init_error(raising, f"init {exception}") == {**REPORTED, **GENERATOR_EXIT}[exception] + RAISED_AT


@pytest.mark.parametrize("exception", [*REPORTED, *GENERATOR_EXIT])
def test_exception_in_open_is_error_of_host(raising: Path, exception: str) -> None:
    ran = run_cycle(raising, f"open {exception}")
    assert (cycle_end(ran)["stage"], cycle_end(ran)["error"]) == (
        "open",
        {**REPORTED, **GENERATOR_EXIT}[exception] + RAISED_AT,
    )
    assert ran.values("late_logs") == [0], "the process survives the exception"


@pytest.mark.parametrize("function", ["pull", "next_batch"])
@pytest.mark.parametrize("exception", [*REPORTED, *GENERATOR_EXIT])
def test_events_before_exception_are_delivered_first(raising: Path, function: str, exception: str) -> None:
    ran = run_cycle(raising, f"{function} {exception}")
    assert cycle_payloads(ran) == [b"one", b"two"]
    assert (cycle_end(ran)["stage"], cycle_end(ran)["error"]) == (
        "next_batch",
        {**REPORTED, **GENERATOR_EXIT}[exception] + RAISED_AT,
    )
    assert ran.values("late_logs") == [0]


@pytest.mark.parametrize("function", ["pull", "next_batch"])
def test_eof_follows_exception(raising: Path, function: str) -> None:
    with Library(raising, f"{function} ValueError") as library, library.opened() as instance:
        assert [(code, payloads_of(events)) for code, events in (instance.next_batch() for _ in range(4))] == [
            (SUCCESS, [b"one", b"two"]),
            (FAILURE, []),
            (EOF, []),
            (EOF, []),
        ]
        assert library.last_error() == REPORTED["ValueError"] + RAISED_AT


@pytest.mark.parametrize("exception", REPORTED)
@pytest.mark.parametrize("function", ["close", "destroy"])
def test_exception_without_receiver_is_logged(raising: Path, function: str, exception: str) -> None:
    ran = run_cycle(raising, f"{function} {exception}")
    assert ran.status == 0, ran.stderr
    (message,) = [text for text in log_messages(ran, severity=3) if function in text]
    assert f"{function} failed: {REPORTED[exception]}{RAISED_AT}\n  Traceback" in message
    assert "the line that is reported" in message, "the traceback shows the source"


@pytest.mark.parametrize("exception", REPORTED)
def test_exception_in_event_to_string_gives_placeholder(raising: Path, exception: str) -> None:
    ran = run_cycle(raising, f"event_to_string {exception}")
    assert ran.status == 0, ran.stderr
    kind = REPORTED[exception].partition(":")[0]
    assert [event["text"] for event in ran.values("event")] == [f"<event_to_string of raising failed: {kind}>"] * 2
    assert f"event_to_string failed: {REPORTED[exception]}{RAISED_AT}" in "\n".join(log_messages(ran, severity=3))


@pytest.mark.parametrize("exception", REPORTED)
def test_exception_in_progress_or_params_is_reported(raising: Path, exception: str) -> None:
    with Library(raising, f"progress {exception}") as library, library.opened() as instance:
        assert instance.progress() == (0, "")
        assert any(
            text.startswith(f"falco_plugin: progress failed: {REPORTED[exception]}{RAISED_AT}")
            for _, text in library.logs
        )
    with Library(raising, f"list_open_params {exception}") as library:
        assert library.list_open_params() == (FAILURE, None)
        assert library.last_error() == REPORTED[exception] + RAISED_AT


@pytest.mark.parametrize("function", ["pull", "next_batch"])
@pytest.mark.parametrize("exception", SIGNAL_LIKE)
def test_signal_like_exception_names_signal(raising: Path, function: str, exception: str) -> None:
    ran = run_cycle(raising, f"{function} {exception}")
    reported, suggestion = SIGNAL_LIKE[exception]
    assert cycle_payloads(ran) == [b"one", b"two"]
    assert cycle_end(ran)["stage"] == "next_batch"
    assert reported in cycle_end(ran)["error"]
    assert f"raise {suggestion}" in cycle_end(ran)["error"]
    assert cycle_end(ran)["error"].endswith(RAISED_AT)


@pytest.mark.parametrize("function", ["pull", "next_batch"])
def test_eof_ends_source_without_error(raising: Path, function: str) -> None:
    ran = run_cycle(raising, f"{function} EOF")
    assert (cycle_payloads(ran), cycle_end(ran)["end"], ran.status) == ([b"one", b"two"], "eof", 0)


def test_timeout_continues_source(raising: Path) -> None:
    ran = run_cycle(raising, "pull Timeout")
    # The host stops after three timeouts in succession.
    assert (cycle_payloads(ran), cycle_end(ran)["end"], ran.status) == ([b"one", b"two"], "timeout", 0)


@pytest.mark.parametrize("exception", ["EOF", "Timeout"])
@pytest.mark.parametrize("function", ["init", "open", "list_open_params"])
def test_signal_outside_of_next_batch_is_error(raising: Path, function: str, exception: str) -> None:
    library = Library(raising, f"{function} {exception}")
    if function == "init":
        assert library.init_code == FAILURE
    elif function == "open":
        with pytest.raises(AssertionError), library.opened():
            pass
    else:
        assert library.list_open_params() == (FAILURE, None)
    assert exception in library.last_error()
    assert f"cannot be raised from {function}" in library.last_error()
    library.destroy()


def test_traceback_is_logged_once(raising: Path) -> None:
    ran = run_cycle(raising, "pull ValueError")
    messages = [text for text in log_messages(ran, severity=3) if "Traceback" in text]
    assert len(messages) == 1
    assert 'raising.py", line' in messages[0]
    assert messages[0].count("böse Zeile") == 1


def test_cause_precedes_long_message(build: Build) -> None:
    library = build(simple_plugin("long", "def init(self):\n    raise ValueError('cause ' + 'x' * 5000)\n"))
    assert init_error(library).startswith("ValueError: cause xxx")
