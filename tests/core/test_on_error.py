"""Tests `on_error="log"`: items that cannot be events are skipped, counted and logged."""

from __future__ import annotations

import asyncio
import logging
import threading
from datetime import datetime

import pytest

from falco_plugin._runtime.skipped_items import SkippedItems
from falco_plugin.source import (
    EOF,
    ChannelClosedError,
    ChannelFullError,
    EventBatch,
    EventTooLargeError,
    IterInstance,
    PullInstance,
    PushEvent,
    PushInstance,
    Timeout,
    channel,
)

NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001 - a naive datetime is intended
BAD_ITEMS = [
    pytest.param(b"too large", EventTooLargeError, id="too large"),
    pytest.param("text", TypeError, id="str"),
    pytest.param({"a": 1}, TypeError, id="dict"),
    pytest.param((b"a", NAIVE), ValueError, id="naive datetime"),
    pytest.param((b"a", -1), ValueError, id="negative time"),
    pytest.param((b"a", 1, 2), TypeError, id="long tuple"),
]
SIZE = 4


class Clock:
    """A clock that advances only when a test sets `now`."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(SkippedItems.__init__, "__defaults__", (clock,))
    return clock


@pytest.fixture
def skip_messages(caplog):
    """Returns a function that returns the logged messages about skipped items."""
    caplog.set_level(logging.WARNING, "falco_plugin")
    return lambda: [record.getMessage() for record in caplog.records if "skipped" in record.getMessage()]


def read_to_end(instance):
    """Returns all events of a source, and the error that ended it."""
    events = []
    while True:
        batch = EventBatch(16, instance.events.event_size)
        try:
            instance.next_batch(batch)
        except Timeout:
            continue
        except Exception as error:
            instance.close()
            return events, error
        events += [event.data for event in batch]


def open_logging_channel(**options):
    return channel(event_size=SIZE, on_error="log", **options)


class TestChannel:
    @pytest.mark.parametrize(("bad_item", "error"), BAD_ITEMS)
    def test_send_returns_false_for_skipped_item(self, skip_messages, bad_item, error):
        sender, receiver = open_logging_channel()
        assert sender.send(b"a") is True
        assert sender.send(bad_item) is False
        assert sender.send(item=bad_item, timeout=0) is False
        assert sender.send(b"b", timeout=5) is True
        sender.close()
        assert read_to_end(PushInstance(receiver))[0] == [b"a", b"b"]
        first, rest = skip_messages()
        assert f'skipped 1 item (on_error="log"): {error.__name__}: ' in first
        assert "skipped 1 more item, 2 in total" in rest

    @pytest.mark.parametrize(("bad_item", "error"), BAD_ITEMS)
    @pytest.mark.parametrize("options", [{}, {"on_error": "raise"}])
    def test_send_raises_by_default(self, skip_messages, bad_item, error, options):
        sender, receiver = channel(event_size=SIZE, **options)
        with pytest.raises(error):
            sender.send(bad_item)
        assert sender.send(b"a") is True
        sender.close()
        assert read_to_end(PushInstance(receiver))[0] == [b"a"]
        assert skip_messages() == []

    @pytest.mark.parametrize("make_iterable", [list, tuple, iter])
    def test_send_many_returns_how_many_were_sent(self, make_iterable):
        sender, receiver = open_logging_channel()
        bad_items = [param.values[0] for param in BAD_ITEMS]
        assert sender.send_many(make_iterable([b"a", *bad_items, (b"b", 7), bad_items[0], b"c"])) == 3
        assert sender.send_many(make_iterable([bad_items[0]])) == 0
        sender.close()
        assert read_to_end(PushInstance(receiver))[0] == [b"a", b"b", b"c"]

    @pytest.mark.parametrize("make_iterable", [list, tuple, iter])
    def test_send_many_consumes_skipped_items(self, make_iterable):
        sender, _receiver = open_logging_channel(capacity=2)
        with pytest.raises(ChannelFullError) as caught:
            sender.send_many(make_iterable([b"a", "text", b"b", b"c"]), timeout=0)
        assert caught.value.taken == 3

    def test_flush_does_not_wait_for_skipped_item(self, in_thread):
        sender, receiver = open_logging_channel()
        instance = PushInstance(receiver, timeout=0)
        sender.send("text")
        assert sender.flush(0) is True
        sender.send(b"a")
        sender.send("text")
        assert sender.flush(0) is False
        batch = EventBatch(16, SIZE)
        assert instance.next_batch(batch) == 1
        batch.clear()
        with pytest.raises(Timeout):
            instance.next_batch(batch)
        assert sender.flush(0) is True

    def test_clone_skips_and_counts_with_sender(self, clock, skip_messages):
        sender, receiver = open_logging_channel()
        clone = sender.clone()
        assert (sender.send("text"), clone.send("text")) == (False, False)
        sender.close()
        clone.close()
        read_to_end(PushInstance(receiver))
        assert "2 in total" in skip_messages()[-1]

    def test_bad_item_after_end_raises_closed(self):
        # Otherwise a producer that has only invalid records would never stop.
        sender, receiver = open_logging_channel()
        PushInstance(receiver).close()
        with pytest.raises(ChannelClosedError):
            sender.send("text")
        other, _receiver = open_logging_channel()
        other.close()
        with pytest.raises(ChannelClosedError):
            other.send("text")

    @pytest.mark.parametrize(
        "call",
        [
            lambda sender: sender.send(b"a", timeout=-1),
            lambda sender: sender.send_many([b"a"], timeout="1"),
            lambda sender: sender.send_many(5),
        ],
        ids=["negative timeout", "str timeout", "int as items"],
    )
    def test_wrong_arguments_always_raise(self, call):
        sender, _receiver = open_logging_channel()
        with pytest.raises((TypeError, ValueError)):
            call(sender)

    def test_exception_of_iterable_always_propagates(self):
        def items():
            yield "text"
            raise ValueError("error in the iterable")

        sender, _receiver = open_logging_channel()
        with pytest.raises(ValueError, match="error in the iterable") as caught:
            sender.send_many(items())
        assert caught.value.taken == 1

    def test_sent_error_ends_source(self):
        sender, receiver = open_logging_channel()
        sender.send(PushEvent(error=ValueError("sent error")))
        assert str(read_to_end(PushInstance(receiver))[1]) == "sent error"


class TestLog:
    def test_each_cause_is_logged_once_a_minute_with_its_count(self, clock, skip_messages):
        sender, receiver = open_logging_channel()
        instance = PushInstance(receiver)
        for _ in range(5):
            sender.send("text")
            sender.send(b"too large")
        assert [line.partition(": ")[2].partition(":")[0] for line in skip_messages()] == [
            'skipped 1 item (on_error="log")'
        ] * 2
        clock.now += 59
        sender.send("text")
        assert len(skip_messages()) == 2
        clock.now += 1
        sender.send(3)
        assert skip_messages()[2] == (
            'a source: skipped 6 more items, 7 in total (on_error="log"), the latest: '
            "TypeError: an event's data must be bytes, got int: give str(data).encode()"
        )
        instance.close()
        (rest,) = skip_messages()[3:]
        assert "skipped 4 more items, 5 in total" in rest
        assert "EventTooLargeError: an event of 9 bytes is larger than the event size of 4 bytes" in rest
        instance.close()
        assert len(skip_messages()) == 4

    def test_end_logs_only_new_skips(self, clock, skip_messages):
        sender, receiver = open_logging_channel()
        sender.send("text")
        PushInstance(receiver).close()
        assert len(skip_messages()) == 1


def generator():
    yield b"a"
    for param in BAD_ITEMS:
        yield param.values[0]
    yield None
    yield b"b"


async def async_generator():
    for item in generator():
        await asyncio.sleep(0)
        yield item


class TestIterInstance:
    @pytest.mark.parametrize(
        "make", [generator, async_generator, lambda: list(generator())], ids=["sync", "async", "list"]
    )
    def test_generator_skips_rejected_items(self, skip_messages, make):
        events, end = read_to_end(IterInstance(make(), event_size=SIZE, on_error="log"))
        assert (events, type(end)) == ([b"a", b"b"], EOF)
        causes = {line.partition('(on_error="log"): ')[2].partition(":")[0] for line in skip_messages()} - {""}
        assert causes == {"EventTooLargeError", "TypeError", "ValueError"}
        assert sum(int(line.partition("skipped ")[2].split()[0]) for line in skip_messages()) == len(BAD_ITEMS)

    @pytest.mark.parametrize("make", [generator, async_generator])
    def test_rejected_item_ends_source_by_default(self, make):
        events, end = read_to_end(IterInstance(make(), event_size=SIZE))
        assert (events, type(end)) == ([b"a"], EventTooLargeError)

    def test_exception_of_generator_ends_source(self, skip_messages):
        def items():
            yield "text"
            raise ValueError("error in the generator")

        events, end = read_to_end(IterInstance(items(), on_error="log"))
        assert (events, str(end)) == ([], "error in the generator")

    def test_retried_callable_counts_over_attempts(self, clock, skip_messages):
        attempts = []

        def items(context):
            attempts.append(1)
            yield "text"
            if len(attempts) < 3:
                raise OSError("temporary failure")
            yield b"a"

        events, end = read_to_end(IterInstance(items, retry=0.001, on_error="log"))
        assert (events, type(end)) == ([b"a"], EOF)
        assert "skipped 2 more items, 3 in total" in skip_messages()[-1]

    def test_generator_of_bad_items_ends_with_source(self):
        ended = threading.Event()

        def items():
            try:
                while True:
                    yield "text"
            finally:
                ended.set()

        instance = IterInstance(items(), timeout=0.01, on_error="log")
        with pytest.raises(Timeout):
            instance.next_batch(EventBatch())
        instance.close()
        with pytest.raises(EOF):
            instance.next_batch(EventBatch())
        assert ended.wait(60)


def run_steps(steps):
    """Returns a pull function that runs one step per call, and then ends the source."""
    remaining = iter(steps)

    def pull(context, writer):
        step = next(remaining, None)
        if step is None:
            raise EOF
        return step(writer)

    return pull


def set_naive_timestamp(writer):
    writer.write(b"gone")
    writer.timestamp = NAIVE


def wrap_rejection(writer):
    try:
        writer.write("text")
    except TypeError as error:
        raise RuntimeError("error in the function") from error


class TestPullInstance:
    @pytest.mark.parametrize(
        "write_rejected",
        [
            lambda writer: writer.write(b"too large"),
            lambda writer: writer.write("text"),
            lambda writer: writer.reserve(9),
            lambda writer: b"returned",
            set_naive_timestamp,
        ],
        ids=["too large", "str", "reserve", "returned", "naive datetime"],
    )
    def test_pull_skips_rejected_event(self, skip_messages, write_rejected):
        steps = [lambda writer: writer.write(b"a"), write_rejected, write_rejected, lambda writer: writer.write(b"b")]
        events, end = read_to_end(PullInstance(run_steps(steps), event_size=SIZE, on_error="log"))
        assert (events, type(end)) == ([b"a", b"b"], EOF)
        assert len(skip_messages()) == 2
        events, end = read_to_end(PullInstance(run_steps(steps), event_size=SIZE))
        assert events == [b"a"]
        assert isinstance(end, (TypeError, ValueError))

    @pytest.mark.parametrize("error", [ValueError("error in the function"), EventTooLargeError(1, 2), KeyError("time")])
    def test_exception_of_pull_function_ends_source(self, error):
        def fail(writer):
            raise error

        assert read_to_end(PullInstance(run_steps([fail]), on_error="log"))[1] is error

    def test_exception_wrapping_rejection_ends_source(self):
        assert isinstance(read_to_end(PullInstance(run_steps([wrap_rejection]), on_error="log"))[1], RuntimeError)

    def test_handled_rejection_is_not_counted(self, skip_messages):
        def truncate(writer):
            try:
                writer.write(b"too large")
            except EventTooLargeError:
                writer.write(b"cut")

        assert read_to_end(PullInstance(run_steps([truncate]), event_size=SIZE, on_error="log"))[0] == [b"cut"]
        assert skip_messages() == []


@pytest.mark.parametrize(
    "make",
    [
        lambda option: channel(on_error=option),
        lambda option: IterInstance([], on_error=option),
        lambda option: PullInstance(lambda context, writer: None, on_error=option),
    ],
    ids=["channel", "IterInstance", "PullInstance"],
)
@pytest.mark.parametrize(
    ("option", "error", "message"),
    [
        ("ignore", ValueError, 'on_error must be "raise" or "log", got \'ignore\''),
        (True, TypeError, 'on_error must be "raise" or "log", got bool'),
    ],
)
def test_on_error_rejects_other_values(make, option, error, message):
    with pytest.raises(error, match=message):
        make(option)
