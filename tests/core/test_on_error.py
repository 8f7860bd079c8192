"""``on_error="log"``: items that cannot be events are skipped, counted and logged."""

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

NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001 - its zone is missing on purpose
BAD = [
    pytest.param(b"too large", EventTooLargeError, id="too large"),
    pytest.param("text", TypeError, id="str"),
    pytest.param({"a": 1}, TypeError, id="dict"),
    pytest.param((b"a", NAIVE), ValueError, id="naive datetime"),
    pytest.param((b"a", -1), ValueError, id="negative time"),
    pytest.param((b"a", 1, 2), TypeError, id="long tuple"),
]
SIZE = 4


class Clock:
    """A clock that stands still until a test moves it."""

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
def lines(caplog):
    """The log lines about skipped items."""
    caplog.set_level(logging.WARNING, "falco_plugin")
    return lambda: [record.getMessage() for record in caplog.records if "skipped" in record.getMessage()]


def seen(instance):
    """All events of a source, and what ended it."""
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


def leaving(**options):
    return channel(event_size=SIZE, on_error="log", **options)


class TestChannel:
    @pytest.mark.parametrize(("bad", "error"), BAD)
    def test_send_returns_false_for_skipped_item(self, lines, bad, error):
        sender, receiver = leaving()
        assert sender.send(b"a") is True
        assert sender.send(bad) is False
        assert sender.send(item=bad, timeout=0) is False
        assert sender.send(b"b", timeout=5) is True
        sender.close()
        assert seen(PushInstance(receiver))[0] == [b"a", b"b"]
        first, rest = lines()
        assert f'skipped 1 item (on_error="log"): {error.__name__}: ' in first
        assert "skipped 1 more item, 2 in total" in rest

    @pytest.mark.parametrize(("bad", "error"), BAD)
    @pytest.mark.parametrize("options", [{}, {"on_error": "raise"}])
    def test_send_raises_by_default(self, lines, bad, error, options):
        sender, receiver = channel(event_size=SIZE, **options)
        with pytest.raises(error):
            sender.send(bad)
        assert sender.send(b"a") is True
        sender.close()
        assert seen(PushInstance(receiver))[0] == [b"a"]
        assert lines() == []

    @pytest.mark.parametrize("kind", [list, tuple, iter])
    def test_send_many_returns_how_many_were_sent(self, kind):
        sender, receiver = leaving()
        bad = [param.values[0] for param in BAD]
        assert sender.send_many(kind([b"a", *bad, (b"b", 7), bad[0], b"c"])) == 3
        assert sender.send_many(kind([bad[0]])) == 0
        sender.close()
        assert seen(PushInstance(receiver))[0] == [b"a", b"b", b"c"]

    @pytest.mark.parametrize("kind", [list, tuple, iter])
    def test_send_many_consumes_skipped_items(self, kind):
        sender, _receiver = leaving(capacity=2)
        with pytest.raises(ChannelFullError) as caught:
            sender.send_many(kind([b"a", "text", b"b", b"c"]), timeout=0)
        assert caught.value.taken == 3

    def test_flush_does_not_wait_for_skipped_item(self, in_thread):
        sender, receiver = leaving()
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

    def test_clone_skips_and_counts_with_sender(self, clock, lines):
        sender, receiver = leaving()
        clone = sender.clone()
        assert (sender.send("text"), clone.send("text")) == (False, False)
        sender.close()
        clone.close()
        seen(PushInstance(receiver))
        assert "2 in total" in lines()[-1]

    def test_bad_item_after_end_raises_closed(self):
        # Otherwise a producer that gets nothing but bad records would never stop.
        sender, receiver = leaving()
        PushInstance(receiver).close()
        with pytest.raises(ChannelClosedError):
            sender.send("text")
        other, _receiver = leaving()
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
    )
    def test_wrong_arguments_always_raise(self, call):
        sender, _receiver = leaving()
        with pytest.raises((TypeError, ValueError)):
            call(sender)

    def test_exception_of_iterable_always_propagates(self):
        def items():
            yield "text"
            raise ValueError("of the iterable")

        sender, _receiver = leaving()
        with pytest.raises(ValueError, match="of the iterable") as caught:
            sender.send_many(items())
        assert caught.value.taken == 1

    def test_sent_error_ends_source(self):
        sender, receiver = leaving()
        sender.send(PushEvent(error=ValueError("meant")))
        assert str(seen(PushInstance(receiver))[1]) == "meant"


class TestLog:
    def test_each_cause_is_logged_once_a_minute_with_its_count(self, clock, lines):
        sender, receiver = leaving()
        instance = PushInstance(receiver)
        for _ in range(5):
            sender.send("text")
            sender.send(b"too large")
        assert [line.partition(": ")[2].partition(":")[0] for line in lines()] == [
            'skipped 1 item (on_error="log")'
        ] * 2
        clock.now += 59
        sender.send("text")
        assert len(lines()) == 2
        clock.now += 1
        sender.send(3)
        assert lines()[2] == (
            'a source: skipped 6 more items, 7 in total (on_error="log"), the latest: '
            "TypeError: an event's data must be bytes, got int: give str(data).encode()"
        )
        instance.close()
        (rest,) = lines()[3:]
        assert "skipped 4 more items, 5 in total" in rest
        assert "EventTooLargeError: an event of 9 bytes is larger than the event size of 4 bytes" in rest
        instance.close()
        assert len(lines()) == 4

    def test_end_logs_only_new_skips(self, clock, lines):
        sender, receiver = leaving()
        sender.send("text")
        PushInstance(receiver).close()
        assert len(lines()) == 1


def generator():
    yield b"a"
    for param in BAD:
        yield param.values[0]
    yield None
    yield b"b"


async def async_generator():
    for item in generator():
        await asyncio.sleep(0)
        yield item


class TestIterInstance:
    @pytest.mark.parametrize("make", [generator, async_generator, lambda: list(generator())])
    def test_generator_skips_rejected_items(self, lines, make):
        events, end = seen(IterInstance(make(), event_size=SIZE, on_error="log"))
        assert (events, type(end)) == ([b"a", b"b"], EOF)
        causes = {line.partition('(on_error="log"): ')[2].partition(":")[0] for line in lines()} - {""}
        assert causes == {"EventTooLargeError", "TypeError", "ValueError"}
        assert sum(int(line.partition("skipped ")[2].split()[0]) for line in lines()) == len(BAD)

    @pytest.mark.parametrize("make", [generator, async_generator])
    def test_rejected_item_ends_source_by_default(self, make):
        events, end = seen(IterInstance(make(), event_size=SIZE))
        assert (events, type(end)) == ([b"a"], EventTooLargeError)

    def test_exception_of_generator_ends_source(self, lines):
        def items():
            yield "text"
            raise ValueError("of the generator")

        events, end = seen(IterInstance(items(), on_error="log"))
        assert (events, str(end)) == ([], "of the generator")

    def test_retried_callable_counts_over_attempts(self, clock, lines):
        attempts = []

        def items(context):
            attempts.append(1)
            yield "text"
            if len(attempts) < 3:
                raise OSError("again")
            yield b"a"

        events, end = seen(IterInstance(items, retry=0.001, on_error="log"))
        assert (events, type(end)) == ([b"a"], EOF)
        assert "skipped 2 more items, 3 in total" in lines()[-1]

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


def writes(steps):
    """A pull function that goes through steps."""
    left = iter(steps)

    def pull(context, writer):
        step = next(left, None)
        if step is None:
            raise EOF
        return step(writer)

    return pull


def set_time(writer):
    writer.write(b"gone")
    writer.timestamp = NAIVE


def wrap(writer):
    try:
        writer.write("text")
    except TypeError as error:
        raise RuntimeError("of the function") from error


class TestPullInstance:
    @pytest.mark.parametrize(
        "bad",
        [
            lambda writer: writer.write(b"too large"),
            lambda writer: writer.write("text"),
            lambda writer: writer.reserve(9),
            lambda writer: b"returned",
            set_time,
        ],
        ids=["too large", "str", "reserve", "returned", "naive datetime"],
    )
    def test_pull_skips_rejected_event(self, lines, bad):
        steps = [lambda writer: writer.write(b"a"), bad, bad, lambda writer: writer.write(b"b")]
        events, end = seen(PullInstance(writes(steps), event_size=SIZE, on_error="log"))
        assert (events, type(end)) == ([b"a", b"b"], EOF)
        assert len(lines()) == 2
        events, end = seen(PullInstance(writes(steps), event_size=SIZE))
        assert events == [b"a"]
        assert isinstance(end, (TypeError, ValueError))

    @pytest.mark.parametrize("error", [ValueError("of the function"), EventTooLargeError(1, 2), KeyError("time")])
    def test_exception_of_pull_function_ends_source(self, error):
        def fail(writer):
            raise error

        assert seen(PullInstance(writes([fail]), on_error="log"))[1] is error

    def test_exception_wrapping_rejection_ends_source(self):
        assert isinstance(seen(PullInstance(writes([wrap]), on_error="log"))[1], RuntimeError)

    def test_handled_rejection_is_not_counted(self, lines):
        def cuts(writer):
            try:
                writer.write(b"too large")
            except EventTooLargeError:
                writer.write(b"cut")

        assert seen(PullInstance(writes([cuts]), event_size=SIZE, on_error="log"))[0] == [b"cut"]
        assert lines() == []


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
    ("option", "error", "text"),
    [
        ("ignore", ValueError, 'on_error must be "raise" or "log", got \'ignore\''),
        (True, TypeError, 'on_error must be "raise" or "log", got bool'),
    ],
)
def test_on_error_rejects_other_values(make, option, error, text):
    with pytest.raises(error, match=text):
        make(option)
