"""Iterables as sources: what the host sees of them, what a barrier means, and that each ends when it should."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.hosts import Library, build_plugin, data_of, logged

from falco_plugin.errors import PluginError
from falco_plugin.source import (
    EOF,
    Context,
    EventBatch,
    EventTooLargeError,
    IterInstance,
    PullInstance,
    PushEvent,
    PushInstance,
    Timeout,
    channel,
)

HANGS = 20
EVENT_SIZE = 24


class Broken(Exception):
    """A source's own error."""


def until(condition: Callable[[], object]) -> None:
    """Waits for a condition that must come."""
    give_up = time.monotonic() + HANGS
    while not condition():
        assert time.monotonic() < give_up, "it does not come"
        time.sleep(0.001)


@contextmanager
def no_thread_left():
    before = set(threading.enumerate())
    yield
    until(lambda: set(threading.enumerate()) <= before)


class Host:
    """Takes batches as Falco does."""

    def __init__(self, instance):
        self.instance = instance
        self.seen = []
        self.done = 0
        """Events that the host is done with: it came back after them."""
        self.end = None

    def take(self):
        """One call."""
        batch = self.instance.events
        batch.clear()
        self.done = len(self.seen)
        try:
            count = self.instance.next_batch(batch)
        except Timeout:
            return
        except (Exception, SystemExit) as error:
            assert len(batch) == 0
            self.end = error
            return
        assert count == len(batch) >= 1
        self.seen += [(batch[index].data, batch[index].timestamp) for index in range(count)]

    def take_all(self):
        give_up = time.monotonic() + HANGS
        while self.end is None:
            assert time.monotonic() < give_up, "the source does not end"
            self.take()
        return self

    @property
    def data(self):
        return [data for data, _ in self.seen]


def host(items, **options) -> Host:
    """All that the host sees of items that end by themselves."""
    with no_thread_left():
        instance = IterInstance(items, **options)
        host = Host(instance).take_all()
        instance.close()
    return host


def as_async(make):
    """An async generator function of the same steps; it gives way to the loop before each."""

    async def items(context):
        steps = make(context)
        try:
            step = next(steps)
            while True:
                await asyncio.sleep(0)
                try:
                    yield step
                except EventTooLargeError as error:
                    step = steps.throw(error)
                else:
                    step = next(steps)
        except StopIteration:
            return
        finally:
            steps.close()

    return items


KINDS = {"generator": lambda make: make, "async generator": as_async}
kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


# Any mix of items, barriers, pauses and errors


@dataclass
class Event:
    data: bytes
    timestamp: int | None
    how: int

    @property
    def item(self):
        pair = (self.data, self.timestamp)
        return [
            pair,
            (bytearray(self.data), self.timestamp),
            PushEvent(*pair),
            (memoryview(self.data), self.timestamp),
        ][self.how]

    @property
    def fits(self):
        return len(self.data) <= EVENT_SIZE


BARRIER = "barrier"
events = st.builds(
    Event, st.binary(max_size=EVENT_SIZE + 2), st.none() | st.integers(0, 10**8 - 1), how=st.integers(0, 3)
)
steps = st.lists(st.one_of(events, events, st.just(BARRIER), st.sampled_from([0.0, 0.0005])), max_size=15)
waits = st.sampled_from([0, 0.0005, 0.003])


@dataclass
class Script:
    """The steps of a generator, attempt by attempt, and what it saw of the host."""

    attempts: list[list]
    error: type[BaseException] | None
    host: Host | None = None
    number: int = 0
    yielded: list = field(default_factory=list)
    running: int = 0
    lost: list = field(default_factory=list)
    passed: int = 0
    """Events before the last barrier that returned."""

    def __call__(self, context):
        """Each attempt but the last raises; one more is empty."""
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
                raise Broken("once more")
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
            until(lambda: self.host)
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
            raise AssertionError("a large event was taken")


@given(
    attempts=st.lists(steps, min_size=1, max_size=3),
    retry=st.booleans(),
    kind=st.sampled_from(list(KINDS)),
    error=st.sampled_from([None, EOF, Broken, Timeout, SystemExit]),
    batch_size=st.integers(1, 9),
    timeout=st.sampled_from([0, 0.001, 0.005]),
)
@pytest.mark.filterwarnings("ignore:the timestamp .* looks like:RuntimeWarning")
def test_the_host_sees_what_was_yielded_and_a_barrier_waits_for_it(attempts, retry, kind, error, batch_size, timeout):
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
    how=st.sampled_from(["cancel", "close", "parent", "drop"]),
)
@pytest.mark.filterwarnings("ignore:the timestamp .* looks like:RuntimeWarning")
def test_an_end_at_any_moment_leaves_a_prefix_and_no_thread(script, more, kind, wait, how):
    # It goes on for ever, unless it is stopped.
    more = more * 20_000
    script = Script([[*script, *more]], None)
    parent = Context()
    with no_thread_left():
        instance = IterInstance(KINDS[kind](script), context=parent, batch_size=5, event_size=EVENT_SIZE, timeout=0.002)
        script.host = seen = Host(instance)
        if how == "drop":
            time.sleep(wait)
            seen.instance = None
            del instance
            gc.collect()
        else:
            stop = {"cancel": instance.context.cancel, "close": instance.close, "parent": parent.cancel}[how]
            stopping = threading.Timer(wait, stop)
            stopping.start()
            seen.take_all()
            stopping.join(HANGS)
            instance.close()
            assert type(seen.end) is EOF
    assert script.running == 0
    assert seen.seen == script.yielded[: len(seen.seen)]
    assert script.lost == []
    assert script.passed <= len(seen.seen)


# Items and iterables


@pytest.mark.parametrize(
    "items",
    [
        [b"a", b"b"],
        (b"a", bytearray(b"b")),
        iter([b"a", memoryview(b"b")]),
        (each for each in [b"a", b"b"]),
        lambda context: [b"a", None, b"b"],
        lambda context: iter([PushEvent(b"a"), (b"b", datetime.now(UTC))]),
    ],
)
def test_any_iterable_is_a_source(items):
    seen = host(items)
    assert seen.data == [b"a", b"b"]
    assert type(seen.end) is EOF


@pytest.mark.parametrize(
    ("items", "told"),
    [
        ("text", "str is no iterable of events: for a single event give [data]"),
        (b"bytes", "bytes is no iterable of events"),
        ({"a": b"b"}, "dict is no iterable of events"),
        (None, "NoneType is no iterable, no async iterable, and no callable"),
        (lambda: [], "does not take the context as its one argument"),
    ],
)
def test_what_makes_no_events_is_refused_at_once(items, told):
    with no_thread_left(), pytest.raises(TypeError) as refused:
        IterInstance(items)
    assert told in str(refused.value)


def test_a_coroutine_is_refused_with_the_remedy():
    async def opened():
        return [b"a"]

    with pytest.raises(TypeError, match="yield them in it, or define it without async"):
        IterInstance(opened())
    assert "yield them in it" in str(host(lambda context: opened()).end)


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"retry": 1}, TypeError, "give the function itself"),
        ({"retry": -1}, ValueError, "retry must be 0 seconds or more"),
        ({"timeout": "1"}, TypeError, "timeout must be seconds"),
        ({"event_size": 0}, ValueError, "event_size"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"close": 1}, TypeError, "close must be callable"),
    ],
)
def test_options_are_checked_before_anything_starts(options, error, told):
    with no_thread_left(), pytest.raises(error, match=told):
        IterInstance([b"a"], **options)


def test_a_retry_of_no_time_is_refused():
    with pytest.raises(ValueError, match="retry must be more than 0"):
        IterInstance(lambda context: [], retry=0)


def test_items_are_delivered_one_by_one_as_they_come():
    came = threading.Event()

    def items(context):
        yield b"first"
        assert came.wait(HANGS)
        yield b"second"

    instance = IterInstance(items, timeout=HANGS)
    seen = Host(instance)
    seen.take()
    assert seen.data == [b"first"]
    came.set()
    seen.take_all()
    assert seen.data == [b"first", b"second"]
    instance.close()


@kinds
def test_an_item_that_is_refused_raises_where_it_was_made(kind):
    told = []

    def items(context):
        try:
            yield bytes(EVENT_SIZE + 1)
        except EventTooLargeError as refused:
            told.append(refused.size)
        yield b"next"

    assert host(kind(items), event_size=EVENT_SIZE).data == [b"next"]
    assert told == [EVENT_SIZE + 1]


@kinds
def test_a_refused_item_that_nobody_catches_is_the_source_s_error(kind):
    def items(context):
        yield b"good"
        yield "text"

    seen = host(kind(items))
    assert seen.data == [b"good"]
    assert isinstance(seen.end, TypeError)


def test_a_refused_item_of_an_iterator_that_cannot_catch_is_the_source_s_error():
    seen = host([b"good", "text"])
    assert seen.data == [b"good"]
    assert isinstance(seen.end, TypeError)


# Ends


@kinds
def test_a_timeout_is_refused_with_the_remedy_even_with_retry(kind):
    def items(context):
        yield b"a"
        raise Timeout

    seen = host(kind(items), retry=0.001)
    assert seen.data == [b"a"]
    assert "Timeout cannot be raised in a generator" in str(seen.end)
    assert "yield None" in str(seen.end)
    assert isinstance(seen.end.__cause__, Timeout)


@kinds
def test_an_exception_of_a_library_is_told_as_it_is(kind):
    def items(context):
        yield b"a"
        raise TimeoutError("timed out")

    end = host(kind(items)).end
    assert (type(end), str(end)) == (TimeoutError, "timed out")


@pytest.mark.parametrize(("code", "end"), [(0, EOF), (None, EOF), (3, SystemExit)])
def test_an_exit_in_good_order_is_the_end(code, end):
    def items(context):
        yield b"a"
        raise SystemExit(code)

    assert type(host(items).end) is end


@kinds
def test_closing_ends_a_generator_on_its_own_thread(kind):
    finished = []

    def items(context):
        try:
            while True:
                yield b"x"
        finally:
            finished.append((threading.current_thread().name, context.cancelled))

    with no_thread_left():
        instance = IterInstance(kind(items))
        Host(instance).take()
        instance.close()
    assert finished == [("falco-source", True)]


def test_closing_cancels_the_task_of_an_async_generator():
    finished = []

    async def items(context):
        try:
            yield b"x"
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0)
            finished.append(True)

    with no_thread_left():
        instance = IterInstance(items)
        Host(instance).take()
        instance.close()
    assert finished == [True]


def test_closing_wakes_a_generator_that_waits_on_the_context():
    def items(context):
        yield b"x"
        assert context.wait(3600)

    with no_thread_left():
        instance = IterInstance(items)
        Host(instance).take()
        instance.close()


@kinds
def test_closing_wakes_a_barrier_without_letting_it_pass(kind):
    passed, waiting = [], threading.Event()

    def items(context):
        yield b"x"
        waiting.set()
        yield None
        passed.append(True)

    with no_thread_left():
        instance = IterInstance(kind(items))
        assert waiting.wait(HANGS)
        instance.close()
    assert passed == []


def test_close_does_not_wait_for_a_generator_that_blocks():
    go_on = threading.Event()

    def items(context):
        yield b"x"
        go_on.wait()

    with no_thread_left():
        instance = IterInstance(items)
        Host(instance).take()
        instance.close()
        go_on.set()


def test_an_instance_that_is_dropped_ends_its_generator():
    def items(context):
        context.wait()
        yield b"x"

    with no_thread_left():
        instance = IterInstance(items)
        del instance
        gc.collect()


def test_a_file_is_closed_at_its_end_and_at_close(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"one\n" * 5000)
    read = log.open("rb")
    assert len(host(read).data) == 5000
    assert read.closed
    left = log.open("rb")
    with no_thread_left():
        instance = IterInstance(left)
        Host(instance).take()
        instance.close()
    assert left.closed


def test_an_error_while_closing_is_logged(caplog):
    def items(context):
        try:
            while True:
                yield b"x"
        finally:
            raise Broken("the cursor is not saved")

    with no_thread_left():
        instance = IterInstance(items)
        Host(instance).take()
        instance.close()
    assert "the cursor is not saved" in caplog.text


def test_an_async_source_of_nothing_but_barriers_ends():
    async def items(context):
        while True:
            yield None

    with no_thread_left():
        instance = IterInstance(items)
        Host(instance).take()
        instance.close()


def test_a_barrier_does_not_begin_an_iterator_anew():
    class Anew:
        def __iter__(self):
            self.left = [b"a", None, b"b"]
            return self

        def __next__(self):
            if not self.left:
                raise StopIteration
            return self.left.pop(0)

    assert host(Anew()).data == [b"a", b"b"]


def test_an_iterator_need_not_be_iterable():
    class OnlyNext:
        def __init__(self):
            self.left = [b"a", None, b"b"]

        def __next__(self):
            if not self.left:
                raise StopIteration
            return self.left.pop(0)

    class Items:
        def __iter__(self):
            return OnlyNext()

    assert host(Items()).data == [b"a", b"b"]


def test_a_cancellation_that_comes_while_a_yield_waits_is_raised_at_it():
    told = []

    async def items(context):
        yield b"first"
        try:
            async with asyncio.timeout(0.01):
                yield None
        except TimeoutError as error:
            told.append(type(error))
        yield b"second"

    with no_thread_left():
        instance = IterInstance(items)
        until(lambda: told)
        seen = Host(instance).take_all()
        instance.close()
    assert seen.data == [b"first", b"second"]
    assert told == [TimeoutError]


def test_a_dropped_instance_does_not_swallow_an_exception():
    def dropped():
        def items(context):
            context.on_cancel(lambda: None)
            yield b"x"
            context.wait()

        return len(IterInstance(items))

    with no_thread_left(), pytest.raises(TypeError, match="has no len"):
        dropped()


def test_a_task_that_is_cancelled_may_still_wait_to_clean_up():
    finished = []

    async def items(context):
        try:
            yield b"x"
            await asyncio.sleep(3600)
        finally:
            for _ in range(20):
                await asyncio.sleep(0.001)
            finished.append(True)

    with no_thread_left():
        instance = IterInstance(items)
        Host(instance).take()
        instance.context.cancel()
        instance.close()
    assert finished == [True]


# Retry


def again_after(caplog):
    """The waits between attempts, in seconds."""
    told = [record.getMessage() for record in caplog.records if "is called again in" in record.getMessage()]
    return [float(text.split()[-2]) for text in told]


@kinds
def test_a_retry_doubles_the_wait_until_an_attempt_makes_an_event(kind, caplog):
    attempts = iter(range(8))

    def items(context):
        attempt = next(attempts)
        if attempt == 3:
            yield b"an event"
        if attempt == 7:
            return
        raise Broken(f"attempt {attempt}")

    seen = host(kind(items), retry=timedelta(milliseconds=1))
    assert seen.data == [b"an event"]
    assert type(seen.end) is EOF
    assert again_after(caplog) == [0.001, 0.002, 0.004, 0.001, 0.002, 0.004, 0.008]
    assert "Broken: attempt 2" in caplog.text


def test_retry_logs_the_traceback_of_a_repeated_failure_once(caplog):
    class Other(Exception):
        pass

    errors = [Broken("first"), Broken("second"), Other("third"), Broken("fourth"), Other("fifth")]

    def items(context):
        if errors:
            raise errors.pop(0)
        yield b"an event"

    host(items, retry=0.001)
    told = [record.getMessage() for record in caplog.records if "the source failed" in record.getMessage()]
    assert [(line.splitlines()[0].split(" (")[0], "Traceback" in line) for line in told] == [
        ("the source failed: Broken: first", True),
        ("the source failed again: Broken: second", False),
        ("the source failed: Other: third", True),
        ("the source failed again: Broken: fourth", False),
        ("the source failed again: Other: fifth", False),
    ]
    assert all("\n" not in line for line in told if "again" in line)


def test_the_wait_for_a_retry_grows_to_a_most_and_ends_with_the_source(caplog, monkeypatch):
    monkeypatch.setattr("falco_plugin._runtime.producer.MAX_WAIT", 0.003)

    def items(context):
        raise Broken

    with no_thread_left():
        instance = IterInstance(items, retry=0.001)
        until(lambda: again_after(caplog)[-2:] == [0.003, 0.003])
        instance.close()
    waits = again_after(caplog)
    # An attempt that a slow machine holds up as long as the longest wait starts anew.
    assert all(wait in (0.001, min(2 * before, 0.003)) for before, wait in zip(waits, waits[1:], strict=False))


def test_what_an_attempt_leaves_on_its_context_goes_with_it():
    left, attempts = [], iter(range(3))

    def items(context):
        attempt = next(attempts)
        context.on_cancel(lambda: left.append(attempt))
        assert len(left) == attempt
        if attempt < 2:
            raise Broken
        yield b"x"

    assert host(items, retry=0.001).data == [b"x"]
    until(lambda: left == [0, 1, 2])


@kinds
def test_attempts_that_fail_leave_no_descriptor(kind):
    descriptors = []

    def items(context):
        descriptors.append(len(os.listdir("/proc/self/fd")))
        yield b"x"
        if len(descriptors) < 40:
            raise Broken

    gc.disable()
    try:
        host(kind(items), retry=0.0001, timeout=0.001)
    finally:
        gc.enable()
    assert max(descriptors) < descriptors[0] + 10


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (None, "items returned NoneType: yield the events in it"),
        (lambda: [], "items returned function: yield the events in it"),
        (b"data", "for a single event give"),
    ],
)
def test_a_callable_that_returns_no_iterable_is_not_called_again(made, told):
    def items(context):
        return made

    assert told in str(host(items, retry=0.001).end)


def test_an_attempt_that_lasted_starts_the_waits_anew(caplog, monkeypatch):
    monkeypatch.setattr("falco_plugin._runtime.producer.MAX_WAIT", 1.0)
    attempts = iter([0, 0, 1.1, 0])

    def items(context):
        context.wait(next(attempts))
        raise Broken

    with no_thread_left():
        instance = IterInstance(items, retry=0.001)
        until(lambda: len(again_after(caplog)) > 3)
        instance.close()
    assert again_after(caplog)[:4] == [0.001, 0.002, 0.001, 0.002]


def test_a_callable_that_raises_is_called_again():
    tries = iter([OSError("down"), [b"up"]])

    def make(context):
        result = next(tries)
        if isinstance(result, OSError):
            raise result
        return result

    assert host(make, retry=0.001).data == [b"up"]


# Back-pressure


@kinds
def test_a_host_that_does_not_come_holds_a_generator_back_and_loses_nothing(kind):
    made = []

    def items(context):
        for number in range(3000):
            made.append(number)
            yield b"%d" % number

    with no_thread_left():
        instance = IterInstance(kind(items))
        until(lambda: len(made) > 1000)
        held = len(made)
        assert held < 1100
        seen = Host(instance).take_all()
        instance.close()
    assert seen.data == [b"%d" % number for number in range(3000)]


def test_back_pressure_does_not_block_the_event_loop():
    ticks, full = [], threading.Event()

    async def tick():
        while True:
            ticks.append(full.is_set())
            await asyncio.sleep(0.001)

    async def items(context):
        ticking = asyncio.create_task(tick())
        try:
            for number in range(1100):
                yield b"%d" % number
            yield None
        finally:
            ticking.cancel()

    with no_thread_left():
        instance = IterInstance(items)
        until(lambda: len(ticks) > 20)
        full.set()
        until(lambda: ticks.count(True) > 20)
        seen = Host(instance).take_all()
        instance.close()
    assert len(seen.data) == 1100


# Flush


class TestFlush:
    def opened(self, **options):
        sender, receiver = channel()
        return sender, PushInstance(receiver, timeout=0.005, **options)

    def test_it_waits_until_the_host_comes_back(self, in_thread):
        sender, instance = self.opened()
        assert sender.flush(0) is True
        sender.send_many([b"a", b"b"])
        assert sender.flush(timeout=0.001) is False
        seen = Host(instance)
        seen.take()
        assert len(seen.data) == 2
        assert sender.flush(timedelta(0)) is False
        waiting = in_thread(sender.flush)
        time.sleep(0.01)
        assert not waiting.ended
        seen.take()
        assert waiting.result() is True

    def test_it_counts_what_other_senders_sent(self):
        sender, instance = self.opened()
        sender.clone().send(b"other")
        assert sender.flush(0) is False
        seen = Host(instance)
        seen.take()
        seen.take()
        assert sender.flush(0) is True

    @pytest.mark.parametrize("how", ["close", "cancel", "own"])
    def test_an_end_before_wakes_it(self, how, in_thread):
        sender, instance = self.opened()
        sender.send(b"a")
        waiting = in_thread(sender.flush)
        time.sleep(0.01)
        {"close": instance.close, "cancel": instance.context.cancel, "own": sender.close}[how]()
        if how == "cancel":
            Host(instance).take_all()
        with pytest.raises(PluginError, match="the channel is closed"):
            waiting.result()
        instance.close()

    def test_what_is_dropped_with_an_error_was_not_taken(self):
        sender, instance = self.opened()
        sender.send(b"a")
        sender.send(PushEvent(error=Broken("boom")))
        sender.send(b"dropped")
        position = sender.clone()
        seen = Host(instance).take_all()
        assert seen.data == [b"a"]
        seen.take()
        with pytest.raises(PluginError, match="the channel is closed"):
            position.flush(0)


# In a host


def test_an_error_before_the_first_event_is_told_as_one_of_open_with_its_place(tmp_path):
    library = build_plugin(
        tmp_path,
        """
        from falco_plugin import Plugin

        class Late(Plugin):
            name = "late"

            def open(self, params):
                if params == "second":
                    yield b"first"
                yield open("/nonexistent/file").read()
        """,
    )
    first, second = (logged(library, params=params) for params in ("first", "second"))
    error = "FileNotFoundError: [Errno 2] No such file or directory: '/nonexistent/file' (plugin.py:10 in open)"
    assert (first.values("stage"), first.values("error")) == (["next_batch"], [f"open: {error}"])
    assert second.values("error") == [error]
    assert data_of(second) == [b"first"]
    assert "Traceback" in first.stdout


def test_a_generator_that_blocks_is_left_behind_and_named(tmp_path):
    library = build_plugin(
        tmp_path,
        """
        import threading
        from falco_plugin import Plugin

        class Blocks(Plugin):
            name = "blocks"

            def open(self, params):
                yield b"one"
                threading.Event().wait()
        """,
    )
    started = time.monotonic()
    ran = logged(library)
    assert data_of(ran) == [b"one"]
    assert ran.status == 0
    assert "is left behind" in ran.stdout
    assert time.monotonic() - started < HANGS


ENDLESS = """
    import asyncio
    import contextlib
    import threading

    from falco_plugin import Plugin, source


    class Endless(Plugin):
        name = "endless"

        def open(self, params, context):
            return getattr(self, params)(context)

        def generator(self, context):
            while not context.cancelled:
                yield b"event"
                yield None

        async def agenerator(self, context):
            while True:
                yield b"event"
                yield None
                await asyncio.sleep(0)

        def retried(self, context):
            def items(context):
                yield b"event"
                raise ValueError("again")

            return source.IterInstance(items, retry=0.01)

        def pull(self, context):
            return source.PullInstance(lambda context, writer: writer.write(b"event"))

        def push(self, context):
            sender, receiver = source.channel()

            def produce():
                with contextlib.suppress(source.ChannelClosedError), sender:
                    while not context.cancelled:
                        sender.send(b"event")

            threading.Thread(target=produce, daemon=True).start()
            return source.PushInstance(receiver)

        def own(self, context):
            class Own(source.BaseInstance):
                def next_batch(self, batch):
                    batch.append(b"event")
                    return 1

            return Own()
"""


@pytest.mark.parametrize("kind", ["generator", "agenerator", "retried", "pull", "push", "own"])
def test_a_hundred_opens_and_closes_leave_nothing_behind(tmp_path, kind):
    def resident():
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def measure():
        gc.collect()
        return threading.active_count(), len(os.listdir("/proc/self/fd"))

    def opened_and_closed():
        with library.opened(kind) as instance:
            for _ in range(1000):
                if instance.next_batch()[1]:
                    break
            else:
                pytest.fail("no event came")

    logging.getLogger("falco_plugin").setLevel(logging.CRITICAL)
    with Library(build_plugin(tmp_path, ENDLESS)) as library:
        for _ in range(10):
            opened_and_closed()
        until(lambda: not any(thread.name == "falco-source" for thread in threading.enumerate()))
        before, memory = measure(), resident()
        for _ in range(100):
            opened_and_closed()
        # Fewer where something of an earlier test has ended meanwhile.
        until(lambda: all(now <= then for now, then in zip(measure(), before, strict=True)))
        # A source that stayed would keep a thread's stack and a batch: 100 of them several times this.
        assert resident() - memory < 6 << 20


def test_the_other_instances_are_none_of_it():
    assert isinstance(IterInstance([b"a"]), PushInstance)
    assert not isinstance(PullInstance(lambda context, writer: None), PushInstance)
    assert isinstance(IterInstance([b"a"]).events, EventBatch)
