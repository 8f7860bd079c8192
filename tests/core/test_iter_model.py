"""Tests the events that a host receives from iterables with any mix of items, barriers, pauses and errors."""

from __future__ import annotations

import gc
import threading
import time
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.iterables import EVENT_SIZE, HANGS, KINDS, Broken, Host, no_thread_left, wait_until

from falco_plugin.source import (
    EOF,
    Context,
    EventTooLargeError,
    IterInstance,
    PushEvent,
    Timeout,
)


@dataclass
class Event:
    data: bytes
    timestamp: int | None
    item_type: int

    @property
    def item(self):
        pair = (self.data, self.timestamp)
        return [
            pair,
            (bytearray(self.data), self.timestamp),
            PushEvent(*pair),
            (memoryview(self.data), self.timestamp),
        ][self.item_type]

    @property
    def fits(self):
        return len(self.data) <= EVENT_SIZE


BARRIER = "barrier"
# Random payloads rarely have a size near the limit.
payloads = st.binary(max_size=EVENT_SIZE) | st.integers(EVENT_SIZE - 1, EVENT_SIZE + 2).map(bytes)
events = st.builds(Event, payloads, st.none() | st.integers(0, 10**8 - 1), item_type=st.integers(0, 3))
steps = st.lists(st.one_of(events, events, st.just(BARRIER), st.sampled_from([0.0, 0.0005])), max_size=15)
waits = st.sampled_from([0, 0.0005, 0.003])


@dataclass
class Script:
    """Runs the steps of a generator for each attempt and records which events the host acknowledged."""

    attempts: list[list]
    error: type[BaseException] | None
    host: Host | None = None
    number: int = 0
    yielded: list = field(default_factory=list)
    running: int = 0
    lost: list = field(default_factory=list)
    passed: int = 0
    """Number of events before the last barrier that returned."""

    def __call__(self, context):
        """Yields the items of the next attempt. Each attempt except the last raises. Further attempts are empty."""
        if self.number == len(self.attempts):
            return
        attempt = self.attempts[self.number]
        self.number += 1
        last = self.number == len(self.attempts)
        self.running += 1
        try:
            for step in attempt:
                yield from self.step(step)
            if not last:
                raise Broken("retry")
            if self.error is not None:
                raise self.error("the end")
        finally:
            self.running -= 1

    def step(self, step):
        if isinstance(step, float):
            time.sleep(step)
        elif step == BARRIER:
            before = len(self.yielded)
            yield None
            wait_until(lambda: self.host)
            if self.host.done < before:
                self.lost.append((before, self.host.done))
            self.passed = before
        elif step.fits:
            self.yielded.append((step.data, step.timestamp))
            yield step.item
        else:
            try:
                yield step.item
            except EventTooLargeError:
                return
            raise AssertionError("an event above the limit was accepted")


@given(
    attempts=st.lists(steps, min_size=1, max_size=3),
    retry=st.booleans(),
    kind=st.sampled_from(list(KINDS)),
    error=st.sampled_from([None, EOF, Broken, Timeout, SystemExit]),
    batch_size=st.integers(1, 9),
    timeout=st.sampled_from([0, 0.001, 0.005]),
)
@pytest.mark.filterwarnings("ignore:the timestamp .* looks like:RuntimeWarning")
def test_host_receives_yielded_items_and_barriers_wait(attempts, retry, kind, error, batch_size, timeout):
    attempts = attempts if retry else attempts[:1]
    script = Script(attempts, error)
    with no_thread_left():
        instance = IterInstance(
            KINDS[kind](script),
            retry=0.0001 if retry else None,
            batch_size=batch_size,
            event_size=EVENT_SIZE,
            timeout=timeout,
        )
        script.host = Host(instance)
        script.host.take_all()
        instance.close()
    assert script.host.seen == script.yielded
    assert script.lost == []
    assert (script.number, script.running) == (len(attempts), 0)
    end = script.host.end
    if error is Timeout:
        assert "yield None" in str(end)
    elif error is Broken and retry:
        assert type(end) is EOF
    else:
        assert type(end) is (error or EOF)


@given(
    script=steps,
    more=st.sampled_from([[Event(b"more", None, 0), BARRIER], [Event(b"more", None, 0)], [BARRIER]]),
    kind=st.sampled_from(list(KINDS)),
    wait=waits,
    stop_method=st.sampled_from(["cancel", "close", "parent", "drop"]),
)
@pytest.mark.filterwarnings("ignore:the timestamp .* looks like:RuntimeWarning")
@pytest.mark.slow
def test_end_at_any_moment_leaves_prefix_and_no_thread(script, more, kind, wait, stop_method):
    # Add more steps than the test can consume, so that only the stop ends the source.
    more = more * 20_000
    script = Script([[*script, *more]], None)
    parent = Context()
    with no_thread_left():
        instance = IterInstance(KINDS[kind](script), context=parent, batch_size=5, event_size=EVENT_SIZE, timeout=0.002)
        script.host = host = Host(instance)
        if stop_method == "drop":
            time.sleep(wait)
            host.instance = None
            del instance
            gc.collect()
        else:
            stop = {"cancel": instance.context.cancel, "close": instance.close, "parent": parent.cancel}[stop_method]
            stopping = threading.Timer(wait, stop)
            stopping.start()
            host.take_all()
            stopping.join(HANGS)
            instance.close()
            assert type(host.end) is EOF
    assert script.running == 0
    assert host.seen == script.yielded[: len(host.seen)]
    assert script.lost == []
    assert script.passed <= len(host.seen)
