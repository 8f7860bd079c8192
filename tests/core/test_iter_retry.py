"""Tests how an iterable source is retried after an error."""

from __future__ import annotations

import gc
import os
from datetime import timedelta

import pytest
from support.iterables import Broken, drain, kinds, no_thread_left, wait_until

from falco_plugin.source import (
    EOF,
    Fatal,
    IterInstance,
    PluginError,
    RetryLater,
)


def logged_waits(caplog):
    """Returns the logged waits between attempts, in seconds."""
    messages = [record.getMessage() for record in caplog.records if "is called again in" in record.getMessage()]
    return [float(text.split()[-2]) for text in messages]


@kinds
def test_retry_doubles_wait_until_first_event(kind, caplog):
    attempts = iter(range(8))

    def items(context):
        attempt = next(attempts)
        if attempt == 3:
            yield b"an event"
        if attempt == 7:
            return
        raise Broken(f"attempt {attempt}")

    host = drain(kind(items), retry=timedelta(milliseconds=1))
    assert host.data == [b"an event"]
    assert type(host.end) is EOF
    assert logged_waits(caplog) == [0.001, 0.002, 0.004, 0.001, 0.002, 0.004, 0.008]
    assert "Broken: attempt 2" in caplog.text


def test_retry_logs_the_traceback_of_a_repeated_failure_once(caplog):
    class Other(Exception):
        pass

    errors = [Broken("first"), Broken("second"), Other("third"), Broken("fourth"), Other("fifth")]

    def items(context):
        if errors:
            raise errors.pop(0)
        yield b"an event"

    drain(items, retry=0.001)
    messages = [record.getMessage() for record in caplog.records if "the source failed" in record.getMessage()]
    assert [(line.splitlines()[0].split(" (")[0], "Traceback" in line) for line in messages] == [
        ("the source failed: Broken: first", True),
        ("the source failed again: Broken: second", False),
        ("the source failed: Other: third", True),
        ("the source failed again: Broken: fourth", False),
        ("the source failed again: Other: fifth", False),
    ]
    assert all("\n" not in line for line in messages if "again" in line)


def test_retry_wait_is_bounded_and_ends_with_source(caplog, monkeypatch):
    monkeypatch.setattr("falco_plugin._runtime.producer.MAX_WAIT", 0.003)

    def items(context):
        raise Broken

    with no_thread_left():
        instance = IterInstance(items, retry=0.001)
        wait_until(lambda: logged_waits(caplog)[-2:] == [0.003, 0.003])
        instance.close()
    waits = logged_waits(caplog)
    # An attempt that lasts longer than the maximum wait resets the wait, which can happen on a slow machine.
    assert all(wait in (0.001, min(2 * before, 0.003)) for before, wait in zip(waits, waits[1:], strict=False))


def test_callbacks_of_attempt_end_with_it():
    cancelled, attempts = [], iter(range(3))

    def items(context):
        attempt = next(attempts)
        context.on_cancel(lambda: cancelled.append(attempt))
        assert len(cancelled) == attempt
        if attempt < 2:
            raise Broken
        yield b"x"

    assert drain(items, retry=0.001).data == [b"x"]
    wait_until(lambda: cancelled == [0, 1, 2])


@kinds
def test_failed_attempts_leave_no_descriptor(kind):
    descriptors = []

    def items(context):
        descriptors.append(len(os.listdir("/proc/self/fd")))
        yield b"x"
        if len(descriptors) < 40:
            raise Broken

    gc.disable()
    try:
        drain(kind(items), retry=0.0001, timeout=0.001)
    finally:
        gc.enable()
    assert max(descriptors) < descriptors[0] + 10


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (None, "items returned NoneType: yield the events in it"),
        (lambda: [], "items returned function: yield the events in it"),
        (b"data", "for a single event pass"),
    ],
    ids=["None", "function", "bytes"],
)
def test_callable_without_iterable_is_not_retried(result, message):
    def items(context):
        return result

    assert message in str(drain(items, retry=0.001).end)


@pytest.mark.slow
def test_long_attempt_resets_retry_wait(caplog, monkeypatch):
    monkeypatch.setattr("falco_plugin._runtime.producer.MAX_WAIT", 1.0)
    attempts = iter([0, 0, 1.1, 0])

    def items(context):
        context.wait(next(attempts))
        raise Broken

    with no_thread_left():
        instance = IterInstance(items, retry=0.001)
        wait_until(lambda: len(logged_waits(caplog)) > 3)
        instance.close()
    assert logged_waits(caplog)[:4] == [0.001, 0.002, 0.001, 0.002]


def test_raising_callable_is_retried():
    results = iter([OSError("down"), [b"up"]])

    def make(context):
        result = next(results)
        if isinstance(result, OSError):
            raise result
        return result

    assert drain(make, retry=0.001).data == [b"up"]


@pytest.fixture
def waits(monkeypatch):
    """Replaces the clock between attempts, and returns the waits in seconds."""
    asked = []

    def wait(context, seconds):
        asked.append(seconds)
        return context.cancelled

    monkeypatch.setattr("falco_plugin._runtime.producer.wait_for_attempt", wait)
    return asked


def fails_with(*errors):
    """Returns a function whose attempts raise these errors, then make an event."""
    remaining = list(errors)

    def items(context):
        if remaining:
            raise remaining.pop(0)
        yield b"an event"

    return items


@kinds
def test_retry_later_replaces_one_wait_and_leaves_the_others(kind, waits, caplog):
    errors = [Broken("a"), Broken("b"), RetryLater(900, "the rate limit is reached"), Broken("c"), RetryLater(60)]
    assert drain(kind(fails_with(*errors)), retry=5).data == [b"an event"]
    assert waits == [5, 10, 900, 20, 60]
    [message] = [text for record in caplog.records if "900" in (text := record.getMessage())]
    assert message.startswith("the source is called again in 900 s: RetryLater: the rate limit is reached (")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.1, 0.1),
        (3600, 3600),
        (timedelta(minutes=2), 120),
        (0, 0.1),
        (-5, 0.1),
        (86_400, 3600),
        (float("inf"), 3600),
        (timedelta.max, 3600),
    ],
)
def test_retry_later_is_bounded(seconds, expected, waits):
    drain(fails_with(RetryLater(seconds)), retry=5)
    assert waits == [expected]


@pytest.mark.parametrize(
    ("seconds", "error"), [("5", TypeError), (None, TypeError), (True, TypeError), (float("nan"), ValueError)]
)
def test_retry_later_refuses_what_is_not_a_time(seconds, error):
    with pytest.raises(error, match="seconds must be a number"):
        RetryLater(seconds)


@kinds
def test_fatal_ends_the_source_despite_retry(kind, waits):
    host = drain(kind(fails_with(Broken("a"), Fatal("the token is rejected"))), retry=5)
    assert (type(host.end), str(host.end), host.data) == (Fatal, "the token is rejected", [])
    assert waits == [5]


def test_fatal_follows_the_events_before_it(waits):
    def items(context):
        yield b"an event"
        raise Fatal("the end")

    host = drain(items, retry=5)
    assert (host.data, str(host.end), waits) == ([b"an event"], "the end", [])


@kinds
@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([RetryLater(60), RetryLater(90)], [90]),
        ([RetryLater(60), Broken("a")], [5]),
        ([ExceptionGroup("inner", [RetryLater(60)]), RetryLater(30)], [60]),
    ],
)
def test_group_of_signals_waits_for_all(kind, errors, expected, waits):
    drain(kind(fails_with(ExceptionGroup("tasks", errors))), retry=5)
    assert waits == expected


def test_group_with_fatal_ends_the_source(waits):
    group = ExceptionGroup("tasks", [RetryLater(60), ExceptionGroup("inner", [Fatal("the end")])])
    assert drain(fails_with(group), retry=5).end is group
    assert waits == []


@kinds
def test_retry_later_without_retry_has_a_remedy(kind):
    host = drain(kind(fails_with(RetryLater(60, "the rate limit is reached"))))
    assert type(host.end) is PluginError
    assert str(host.end).startswith("RetryLater (the rate limit is reached) requires the option retry")


def test_retry_later_ends_with_the_source():
    with no_thread_left():
        attempts = []

        def items(context):
            attempts.append(1)
            raise RetryLater(3600)

        instance = IterInstance(items, retry=5)
        wait_until(lambda: attempts)
        instance.close()
    assert attempts == [1]
