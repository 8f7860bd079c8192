"""Tests iterables as sources: items, back-pressure and flush."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from support.iterables import EVENT_SIZE, HANGS, Broken, Host, drain, kinds, no_thread_left, wait_until

from falco_plugin.errors import PluginError
from falco_plugin.source import (
    EOF,
    EventBatch,
    EventTooLargeError,
    IterInstance,
    PullInstance,
    PushEvent,
    PushInstance,
    channel,
)

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
    ids=["list", "tuple", "iterator", "generator", "callable for list", "callable for iterator"],
)
def test_iterables_are_sources(items):
    host = drain(items)
    assert host.data == [b"a", b"b"]
    assert type(host.end) is EOF


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ("text", "str is not an iterable of events: for a single event pass [data]"),
        (b"bytes", "bytes is not an iterable of events"),
        ({"a": b"b"}, "dict is not an iterable of events"),
        (None, "expected an iterable, an async iterable, or a function that returns one of them, got NoneType"),
        (lambda: [], "must take the context as its only argument"),
    ],
    ids=["str", "bytes", "dict", "None", "callable without context"],
)
def test_other_objects_are_rejected(items, message):
    with no_thread_left(), pytest.raises(TypeError) as caught:
        IterInstance(items)
    assert message in str(caught.value)


def test_coroutine_is_rejected_with_advice():
    async def open_items():
        return [b"a"]

    with pytest.raises(TypeError, match="yield them in it, or define it without async"):
        IterInstance(open_items())
    assert "yield them in it" in str(drain(lambda context: open_items()).end)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"retry": 1}, TypeError, "pass the function itself"),
        ({"retry": -1}, ValueError, "retry must be 0 seconds or more"),
        ({"timeout": "1"}, TypeError, "timeout must be a number of seconds"),
        ({"event_size": 0}, ValueError, "event_size"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"close": 1}, TypeError, "close must be callable"),
    ],
)
def test_options_are_checked_before_start(options, error, message):
    with no_thread_left(), pytest.raises(error, match=message):
        IterInstance([b"a"], **options)


def test_zero_retry_is_rejected():
    with pytest.raises(ValueError, match="retry must be more than 0"):
        IterInstance(lambda context: [], retry=0)


def test_items_are_delivered_immediately():
    received = threading.Event()

    def items(context):
        yield b"first"
        assert received.wait(HANGS)
        yield b"second"

    instance = IterInstance(items, timeout=HANGS)
    host = Host(instance)
    host.take()
    assert host.data == [b"first"]
    received.set()
    host.take_all()
    assert host.data == [b"first", b"second"]
    instance.close()


@kinds
def test_rejected_item_raises_at_its_yield(kind):
    rejected_sizes = []

    def items(context):
        try:
            yield bytes(EVENT_SIZE + 1)
        except EventTooLargeError as error:
            rejected_sizes.append(error.size)
        yield b"next"

    assert drain(kind(items), event_size=EVENT_SIZE).data == [b"next"]
    assert rejected_sizes == [EVENT_SIZE + 1]


@kinds
def test_uncaught_rejected_item_ends_source(kind):
    def items(context):
        yield b"good"
        yield "text"

    host = drain(kind(items))
    assert host.data == [b"good"]
    assert isinstance(host.end, TypeError)


def test_rejected_item_of_plain_iterator_ends_source():
    host = drain([b"good", "text"])
    assert host.data == [b"good"]
    assert isinstance(host.end, TypeError)


# Back-pressure


@kinds
def test_slow_host_blocks_generator_without_loss(kind):
    yielded = []

    def items(context):
        for number in range(3000):
            yielded.append(number)
            yield b"%d" % number

    with no_thread_left():
        instance = IterInstance(kind(items))
        wait_until(lambda: len(yielded) > 1000)
        count = len(yielded)
        assert count < 1100
        host = Host(instance).take_all()
        instance.close()
    assert host.data == [b"%d" % number for number in range(3000)]


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
        wait_until(lambda: len(ticks) > 20)
        full.set()
        wait_until(lambda: ticks.count(True) > 20)
        host = Host(instance).take_all()
        instance.close()
    assert len(host.data) == 1100


# Flush


class TestFlush:
    def open_channel(self, **options):
        sender, receiver = channel()
        return sender, PushInstance(receiver, timeout=0.005, **options)

    def test_flush_waits_for_next_call_of_host(self, in_thread):
        sender, instance = self.open_channel()
        assert sender.flush(0) is True
        sender.send_many([b"a", b"b"])
        assert sender.flush(timeout=0.001) is False
        host = Host(instance)
        host.take()
        assert len(host.data) == 2
        assert sender.flush(timedelta(0)) is False
        waiting = in_thread(sender.flush)
        time.sleep(0.01)
        assert not waiting.ended
        host.take()
        assert waiting.result() is True

    def test_flush_includes_events_of_other_senders(self):
        sender, instance = self.open_channel()
        sender.clone().send(b"other")
        assert sender.flush(0) is False
        host = Host(instance)
        host.take()
        host.take()
        assert sender.flush(0) is True

    @pytest.mark.parametrize("end", ["instance", "context", "sender"])
    def test_flush_raises_if_source_ends(self, end, in_thread):
        sender, instance = self.open_channel()
        sender.send(b"a")
        waiting = in_thread(sender.flush)
        time.sleep(0.01)
        {"instance": instance.close, "context": instance.context.cancel, "sender": sender.close}[end]()
        if end == "context":
            Host(instance).take_all()
        with pytest.raises(PluginError, match="the channel is closed"):
            waiting.result()
        instance.close()

    def test_dropped_events_are_not_acknowledged(self):
        sender, instance = self.open_channel()
        sender.send(b"a")
        sender.send(PushEvent(error=Broken("boom")))
        sender.send(b"dropped")
        position = sender.clone()
        host = Host(instance).take_all()
        assert host.data == [b"a"]
        host.take()
        with pytest.raises(PluginError, match="the channel is closed"):
            position.flush(0)


def test_flush_ignores_other_instances():
    assert isinstance(IterInstance([b"a"]), PushInstance)
    assert not isinstance(PullInstance(lambda context, writer: None), PushInstance)
    assert isinstance(IterInstance([b"a"]).events, EventBatch)
