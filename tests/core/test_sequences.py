"""Tests that the host receives each valid event exactly once, in order, with its bytes and timestamp, followed by the
expected end. After a cancel or a close, the host receives a prefix of these events, and the rest is counted.
Hypothesis chooses the actions of the producers and the sizes."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from hypothesis import event as note
from hypothesis import given
from hypothesis import strategies as st

from falco_plugin.source import (
    EOF,
    ChannelClosedError,
    ChannelFullError,
    Context,
    EventTooLargeError,
    PullInstance,
    PushEvent,
    PushInstance,
    Timeout,
    channel,
)

pytestmark = pytest.mark.filterwarnings("ignore:the timestamp .* looks like:RuntimeWarning")

HANGS = 20


@dataclass
class Event:
    data: bytes
    timestamp: int | None
    method: int

    @property
    def expected(self):
        return (self.data, self.timestamp)


@dataclass
class SendMany:
    events: list[Event]


@dataclass
class Pause:
    seconds: float


class Signal:
    """An action that raises or sends `Timeout`, because no event is available now."""

    def __repr__(self):
        return "Signal()"


events = st.builds(Event, st.binary(max_size=20), st.none() | st.integers(0, 2**64 - 2), st.integers(0, 3))
single_actions = st.one_of(
    events,
    events,
    events,
    st.builds(Signal),
    st.builds(Pause, st.sampled_from([0, 0.0005, 0.003])),
)
many = st.builds(SendMany, st.lists(events, max_size=8))
timeouts = st.sampled_from([0, 0.001, 0.005])
batch_sizes = st.integers(1, 9)


class Broken(Exception):
    """The error that ends a source in these tests."""


@contextmanager
def check_cleanup():
    """Collects the logged numbers of dropped events, and checks that all threads started inside have ended."""
    before = set(threading.enumerate())
    dropped = []

    class Handler(logging.Handler):
        def emit(self, record):
            if "still in the channel" in record.getMessage():
                dropped.append(int(record.getMessage().split()[1]))

    handler = Handler(logging.WARNING)
    log = logging.getLogger("falco_plugin")
    log.addHandler(handler)
    try:
        yield dropped
    finally:
        log.removeHandler(handler)
    assert set(threading.enumerate()) <= before


def consume(instance):
    """Returns the events that a host would receive, and the error that ended the source."""
    seen = []
    batch = instance.events
    deadline = time.monotonic() + HANGS
    while True:
        assert time.monotonic() < deadline, "the source does not end"
        batch.clear()
        try:
            count = instance.next_batch(batch)
        except Timeout:
            assert len(batch) == 0
            continue
        except Exception as error:
            assert len(batch) == 0
            end = error
            break
        # A call without an error returns at least one event.
        assert count == len(batch)
        assert 1 <= count <= batch.batch_size
        seen += [(batch[index].data, batch[index].timestamp) for index in range(count)]
    for _ in range(2):
        with pytest.raises(EOF):
            instance.next_batch(batch)
    return seen, end


def fits(action, event_size):
    return len(action.data) <= event_size


class TestPull:
    @given(
        actions=st.lists(single_actions, max_size=25),
        end=st.sampled_from(["eof", "error", "too large", "cancel", "parent", "close"]),
        batch_size=batch_sizes,
        event_size=st.integers(1, 24),
        timeout=timeouts,
    )
    def test_host_receives_what_function_wrote(self, actions, end, batch_size, event_size, timeout):
        note(end)
        error = Broken("broken")
        steps = iter(actions)
        calls_after_end = []
        ended = []

        def write(writer, action):
            half = len(action.data) // 2
            if action.method == 0:
                writer.write(action.data)
            elif action.method == 1:
                writer.write(bytearray(action.data[:half]))
                writer.write(memoryview(action.data)[half:])
            else:
                view = writer.reserve(len(action.data))
                view[:] = action.data
                writer.commit(len(action.data))
                if action.method == 3:
                    kept_views.append(view)
            writer.timestamp = action.timestamp

        kept_views = []

        def pull(context, writer):
            if ended:
                calls_after_end.append(True)
            for step in steps:
                if isinstance(step, Pause):
                    time.sleep(step.seconds)
                    continue
                if isinstance(step, Signal):
                    raise Timeout
                try:
                    write(writer, step)
                except EventTooLargeError as caught:
                    assert not fits(step, event_size)
                    assert caught.event_size == event_size
                return
            ended.append(True)
            if end == "eof":
                writer.write(b"x")
                raise EOF
            if end == "error":
                writer.write(b"x")
                raise error
            if end == "too large":
                writer.write(bytes(event_size + 1))
            {"cancel": context.cancel, "parent": parent.cancel, "close": instance.close}[end]()
            # The event that is written by the cancelling call is still delivered.
            writer.write(b"!")

        parent = Context()
        with check_cleanup():
            instance = PullInstance(pull, context=parent, timeout=timeout, batch_size=batch_size, event_size=event_size)
            seen, last = consume(instance)
            instance.close()
        for view in kept_views:
            view[:] = bytes(len(view))

        expected = [step.expected for step in actions if isinstance(step, Event) and fits(step, event_size)]
        if end in ("cancel", "parent", "close"):
            expected.append((b"!", None))
        assert seen == expected
        assert calls_after_end == []
        if end == "error":
            assert last is error
        else:
            assert type(last) is (EventTooLargeError if end == "too large" else EOF)

    @given(
        actions=st.lists(events, min_size=1, max_size=20),
        wait=st.sampled_from([0, 0.0005, 0.002]),
        stop=st.sampled_from(["cancel", "close"]),
        batch_size=batch_sizes,
        timeout=timeouts,
    )
    def test_cancel_from_other_thread_leaves_prefix(self, actions, wait, stop, batch_size, timeout):
        steps = iter(actions)
        written = []

        def pull(context, writer):
            step = next(steps, None)
            if step is None:
                raise Timeout
            writer.write(step.data)
            writer.timestamp = step.timestamp
            written.append(step.expected)

        with check_cleanup():
            instance = PullInstance(pull, timeout=timeout, batch_size=batch_size)
            thread = threading.Timer(wait, instance.context.cancel if stop == "cancel" else instance.close)
            thread.start()
            seen, last = consume(instance)
            thread.join(HANGS)
        assert seen == written == [step.expected for step in actions[: len(seen)]]
        assert type(last) is EOF


class Producer:
    """Runs actions on a separate thread, and records the events that the channel accepted."""

    def __init__(self, number, sender, actions, event_size):
        self.number, self.sender, self.actions, self.event_size = number, sender, actions, event_size
        self.sent = []
        self.problem = None
        self.finish = lambda: None
        self.thread = threading.Thread(target=self.run, daemon=True)

    def tagged(self, action):
        """Returns the event with the number of the producer as its first byte."""
        return (bytes([self.number]) + action.data, action.timestamp)

    def item(self, action):
        data, timestamp = self.tagged(action)
        return [
            (data, timestamp),
            (bytearray(data), timestamp),
            PushEvent(data, timestamp),
            (memoryview(data), timestamp),
        ][action.method]

    def run(self):
        try:
            try:
                for action in self.actions:
                    self.act(action)
                self.finish()
            except ChannelClosedError:
                # The source has ended. The rejected event was not accepted by the channel.
                pass
            finally:
                self.sender.close()
        except BaseException as error:
            self.problem = error

    def act(self, action):
        if isinstance(action, Pause):
            time.sleep(action.seconds)
        elif isinstance(action, Signal):
            self.sender.send(PushEvent(error=Timeout()))
        elif isinstance(action, SendMany):
            self.send_many(action.events)
        else:
            self.send_one(action)

    def send_one(self, action):
        while True:
            try:
                self.sender.send(self.item(action), timeout=0.002 if action.method == 1 else None)
            except ChannelFullError:
                continue
            except EventTooLargeError as caught:
                assert (caught.size, caught.event_size) == (len(action.data) + 1, self.event_size)
                return
            break
        self.sent.append(self.tagged(action))

    def send_many(self, actions):
        items = [self.item(action) for action in actions]
        done = 0
        while done < len(items):
            rest = items[done:] if len(items) % 2 else iter(items[done:])
            try:
                count = self.sender.send_many(rest, timeout=0.002)
                skip = 0
            except EventTooLargeError as error:
                count, skip = error.taken, 1
            except (ChannelFullError, ChannelClosedError) as error:
                count, skip = error.taken, 0
                if isinstance(error, ChannelClosedError):
                    self.sent += [self.tagged(action) for action in actions[done : done + count]]
                    raise
            self.sent += [self.tagged(action) for action in actions[done : done + count]]
            if skip:
                assert len(actions[done + count].data) + 1 > self.event_size
            done += count + skip

    @property
    def valid_events(self):
        """Returns the events that the channel would accept if the source did not end early."""
        flat = []
        for action in self.actions:
            flat += action.events if isinstance(action, SendMany) else [action] if isinstance(action, Event) else []
        return [self.tagged(action) for action in flat if len(action.data) + 1 <= self.event_size]


class TestPush:
    @given(
        scripts=st.lists(st.lists(st.one_of(single_actions, many), max_size=12), min_size=1, max_size=3),
        end=st.sampled_from(["end", "close(error)", "with", "sent error", "sent eof", "cancel", "parent", "close"]),
        ender=st.integers(0, 2),
        batch_size=batch_sizes,
        capacity=st.integers(1, 9),
        max_bytes=st.integers(1, 60),
        event_size=st.integers(1, 24),
        timeout=timeouts,
    )
    def test_host_receives_what_producers_sent(
        self, scripts, end, ender, batch_size, capacity, max_bytes, event_size, timeout
    ):
        note(end)
        error = Broken("broken")
        parent = Context()
        sender, receiver = channel(capacity, max_bytes=max_bytes, event_size=event_size)
        instance = PushInstance(receiver, context=parent, timeout=timeout, batch_size=batch_size)
        producers = [Producer(number, sender.clone(), actions, event_size) for number, actions in enumerate(scripts)]
        sender.close()
        ender = producers[ender % len(producers)]

        def exit_with_error():
            with pytest.raises(Broken), ender.sender:
                raise error

        ender.finish = {
            "end": lambda: None,
            "close(error)": lambda: ender.sender.close(error),
            "with": exit_with_error,
            "sent error": lambda: ender.sender.send(PushEvent(error=error)),
            "sent eof": lambda: ender.sender.send(PushEvent(error=EOF())),
            "cancel": instance.context.cancel,
            "parent": parent.cancel,
            "close": instance.close,
        }[end]

        with check_cleanup() as dropped:
            for producer in producers:
                producer.thread.start()
            seen, last = consume(instance)
            for producer in producers:
                producer.thread.join(HANGS)
                assert not producer.thread.is_alive(), "a producer hangs"
                assert producer.problem is None, producer.problem
            instance.close()

        for producer in producers:
            received = [each for each in seen if each[0][0] == producer.number]
            assert producer.sent == producer.valid_events[: len(producer.sent)]
            assert received == producer.sent[: len(received)]
            # All events of a producer that ended normally are delivered.
            if end == "end" or (producer is ender and end in ("close(error)", "with", "sent error", "sent eof")):
                assert received == producer.valid_events
        if end in ("close(error)", "with", "sent error"):
            assert last is error
        else:
            assert type(last) is EOF
        # Each event that the channel accepted is either delivered or counted as dropped.
        assert len(seen) + sum(dropped) == sum(len(producer.sent) for producer in producers)

    @given(
        script=st.lists(st.one_of(single_actions, many), max_size=12),
        wait=st.sampled_from([0, 0.0005, 0.002]),
        stop=st.sampled_from(["cancel", "close", "drop"]),
        batch_size=batch_sizes,
        capacity=st.integers(1, 4),
    )
    def test_external_end_leaves_prefix_and_wakes_producer(self, script, wait, stop, batch_size, capacity):
        sender, receiver = channel(capacity, event_size=24)
        instance = PushInstance(receiver, timeout=0.005, batch_size=batch_size)
        producer = Producer(0, sender, [*script, *[Event(b"more", None, 0)] * 5], 24)
        seen = []
        with check_cleanup() as dropped:
            producer.thread.start()
            if stop == "drop":
                # The instance is dropped without any call.
                time.sleep(wait)
                del instance, receiver
            else:
                stopping = threading.Timer(wait, instance.context.cancel if stop == "cancel" else instance.close)
                stopping.start()
                seen, last = consume(instance)
                stopping.join(HANGS)
                assert type(last) is EOF
                instance.close()
            producer.thread.join(HANGS)
            assert not producer.thread.is_alive(), "the producer hangs"
            assert producer.problem is None, producer.problem
        assert seen == producer.sent[: len(seen)]
        assert producer.sent == producer.valid_events[: len(producer.sent)]
        if stop != "drop":
            assert len(seen) + sum(dropped) == len(producer.sent)
