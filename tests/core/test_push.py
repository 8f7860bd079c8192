"""Tests `PushInstance`, and how it shares batches with other instances."""

from __future__ import annotations

import gc
import logging
import time
import weakref
from datetime import UTC, datetime

import pytest

from falco_plugin.source import (
    EOF,
    BaseInstance,
    BatchFullError,
    ChannelClosedError,
    Context,
    EventBatch,
    EventTooLargeError,
    Instance,
    PluginError,
    PullInstance,
    PushEvent,
    PushInstance,
    Timeout,
    channel,
)

NOW = 1_700_000_000_000_000_000
LONG = 3600  # longer than the time limit of a test
SOFT_BYTES = 1 << 20


def contents(batch):
    return [(batch[index].data, batch[index].timestamp) for index in range(len(batch))]


def data(batch):
    return [payload for payload, _ in contents(batch)]


def open_instance(*items, closed=False, timeout=0, **options):
    """Returns a push instance with items in its channel, and the sender."""
    sender, receiver = channel()
    sender.send_many(items)
    if closed:
        sender.close()
    return PushInstance(receiver, timeout=timeout, **options), sender


class TestResults:
    """Tests each result of `next_batch` of a push instance."""

    def test_event_has_its_timestamp_or_none(self):
        moment = datetime(2024, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
        instance, _sender = open_instance(b"plain", (b"ns", NOW), (b"datetime", moment), PushEvent(b"event", NOW))
        assert instance.next_batch(instance.events) == 4
        assert contents(instance.events) == [
            (b"plain", None),
            (b"ns", NOW),
            (b"datetime", 1_704_164_645_678_901_000),
            (b"event", NOW),
        ]

    @pytest.mark.parametrize("error", [Timeout, Timeout("for now")], ids=repr)
    def test_timeout_in_channel_returns_partial_batch(self, error):
        # The timeout is so long that only the error can make the call return.
        instance, _sender = open_instance(PushEvent(error=error), b"a", PushEvent(error=error), b"b", timeout=LONG)
        instance.events = EventBatch(2)
        batch = EventBatch(2)
        with pytest.raises(Timeout):
            instance.next_batch(batch)
        assert instance.next_batch(batch) == 1
        assert instance.next_batch(batch) == 1
        assert data(batch) == [b"a", b"b"]

    def test_other_error_ends_source_and_is_raised_once(self):
        error = OSError("disk gone")
        instance, sender = open_instance(PushEvent(error=error), b"never")
        with pytest.raises(OSError, match="disk gone") as caught:
            instance.next_batch(instance.events)
        assert caught.value is error
        for _ in range(2):
            with pytest.raises(EOF):
                instance.next_batch(instance.events)
        with pytest.raises(ChannelClosedError):
            sender.send(b"late")

    def test_eof_in_channel_ends_source(self):
        instance, _sender = open_instance(PushEvent(error=EOF()), b"never")
        for _ in range(3):
            with pytest.raises(EOF):
                instance.next_batch(instance.events)
        assert len(instance.events) == 0

    @pytest.mark.parametrize(
        ("error", "signal"), [(EOFError("x"), "EOF"), (StopIteration("x"), "EOF"), (TimeoutError("x"), "Timeout")]
    )
    def test_signal_like_error_names_signal(self, error, signal):
        instance, _sender = open_instance(PushEvent(error=error))
        with pytest.raises(PluginError, match=rf"falco_plugin\.{signal}") as caught:
            instance.next_batch(instance.events)
        assert type(caught.value) is PluginError
        assert caught.value.__cause__ is error

    def test_closed_channel_ends_source(self):
        instance, _sender = open_instance(closed=True, timeout=LONG)
        for _ in range(3):
            with pytest.raises(EOF):
                instance.next_batch(instance.events)

    def test_send_rejects_data_above_event_size(self):
        sender, receiver = channel(event_size=4)
        instance = PushInstance(receiver, timeout=0)
        with pytest.raises(EventTooLargeError):
            sender.send(b"12345")
        sender.send(b"1234")
        assert instance.next_batch(instance.events) == 1
        with pytest.raises(Timeout):
            instance.next_batch(instance.events)

    def test_clock_returns_partial_batch(self):
        instance, sender = open_instance(b"a", b"b", timeout=0.03)
        assert instance.next_batch(instance.events) == 2
        assert data(instance.events) == [b"a", b"b"]
        for _ in range(2):
            with pytest.raises(Timeout):
                instance.next_batch(instance.events)
        sender.send(b"c")
        assert instance.next_batch(instance.events) == 1
        assert data(instance.events) == [b"a", b"b", b"c"]

    @pytest.mark.parametrize("cancelled", ["instance", "parent"])
    def test_cancelled_context_ends_source(self, cancelled):
        parent = Context()
        instance, _sender = open_instance(context=parent)
        with pytest.raises(Timeout):
            instance.next_batch(instance.events)
        (instance.context if cancelled == "instance" else parent).cancel()
        for _ in range(2):
            with pytest.raises(EOF):
                instance.next_batch(instance.events)
        assert parent.cancelled is (cancelled == "parent")

    @pytest.mark.parametrize("cancelled", ["instance", "parent"])
    def test_cancel_wakes_waiting_call(self, in_thread, cancelled):
        parent = Context()
        instance, _sender = open_instance(context=parent, timeout=LONG)
        waiting = in_thread(lambda: instance.next_batch(instance.events))
        time.sleep(0.02)
        assert not waiting.ended
        (instance.context if cancelled == "instance" else parent).cancel()
        with pytest.raises(EOF):
            waiting.result()

    @pytest.mark.parametrize("end", [EOF(), ValueError("x"), KeyboardInterrupt()], ids=repr)
    def test_events_precede_end(self, end):
        instance, _sender = open_instance(b"a", b"b", PushEvent(error=end), b"never", timeout=LONG)
        batch = EventBatch()
        assert instance.next_batch(batch) == 2
        with pytest.raises(type(end)):
            instance.next_batch(batch)
        with pytest.raises(EOF):
            instance.next_batch(batch)
        assert data(batch) == [b"a", b"b"]

    def test_events_precede_closed_channel(self):
        instance, _sender = open_instance(b"a", closed=True, timeout=LONG)
        assert instance.next_batch(instance.events) == 1
        for _ in range(2):
            with pytest.raises(EOF):
                instance.next_batch(instance.events)
        assert data(instance.events) == [b"a"]

    def test_full_batch_returns_immediately(self):
        instance, _sender = open_instance(b"a", b"b", b"c", timeout=LONG, batch_size=2)
        assert instance.next_batch(instance.events) == 2
        assert data(instance.events) == [b"a", b"b"]

    def test_zero_timeout_returns_queued_events(self):
        instance, _sender = open_instance(*[b"%d" % number for number in range(300)])
        counts = []
        events = []
        while len(events) < 300:
            batch = EventBatch()
            counts.append(instance.next_batch(batch))
            events += data(batch)
        assert counts == [128, 128, 44]
        assert events == [b"%d" % number for number in range(300)]
        with pytest.raises(Timeout):
            instance.next_batch(EventBatch())

    @pytest.mark.slow
    def test_clock_restarts_at_each_call(self, in_thread):
        instance, sender = open_instance(timeout=1, batch_size=1)
        with pytest.raises(Timeout):
            instance.next_batch(instance.events)

        def produce():
            time.sleep(0.02)
            sender.send(b"a")

        in_thread(produce)
        assert instance.next_batch(instance.events) == 1

    def test_waiting_call_returns_sent_event_immediately(self, in_thread):
        instance, sender = open_instance(timeout=LONG)
        waiting = in_thread(lambda: instance.next_batch(instance.events))
        time.sleep(0.01)
        sender.send(b"a")
        assert waiting.result() == 1
        assert data(instance.events) == [b"a"]

    def test_queued_events_are_returned_before_timeout(self):
        instance, sender = open_instance(b"a", b"b", timeout=LONG)
        assert instance.next_batch(instance.events) == 2
        sender.send(b"c")
        assert instance.next_batch(EventBatch()) == 1

    def test_full_batch_is_rejected_without_loss(self):
        instance, _sender = open_instance(b"a")
        batch = EventBatch(1)
        batch.append(b"old")
        with pytest.raises(BatchFullError):
            instance.next_batch(batch)
        batch.clear()
        assert instance.next_batch(batch) == 1
        assert data(batch) == [b"a"]


class TestPrecedence:
    """Tests the order if several results are possible: the context, then the channel, then the clock."""

    @pytest.mark.parametrize("timeout", [0, LONG])
    @pytest.mark.parametrize("item", [b"event", PushEvent(error=ValueError("x")), PushEvent(error=Timeout())])
    def test_context_precedes_channel(self, timeout, item):
        instance, _sender = open_instance(item, timeout=timeout)
        instance.context.cancel()
        for _ in range(2):
            with pytest.raises(EOF):
                instance.next_batch(instance.events)
        assert len(instance.events) == 0

    def test_channel_precedes_clock(self):
        instance, _sender = open_instance(b"a", closed=True, timeout=0)
        assert instance.next_batch(instance.events) == 1
        with pytest.raises(EOF):
            instance.next_batch(instance.events)

    def test_context_precedes_clock(self):
        instance, _sender = open_instance(timeout=0)
        instance.context.cancel()
        with pytest.raises(EOF):
            instance.next_batch(instance.events)


class TestSizes:
    @pytest.mark.parametrize("options", [{"capacity": 1}, {"max_bytes": 1}, {"capacity": 3, "max_bytes": 2}], ids=str)
    def test_small_channel_does_not_wait_for_clock(self, in_thread, options):
        # A call frees the capacity of the events it has read before it waits for more. Otherwise a small channel
        # would deliver at most its capacity per timeout.
        sender, receiver = channel(**options)
        instance = PushInstance(receiver, timeout=LONG, batch_size=8)
        sending = in_thread(lambda: sender.send_many([b"x"] * 50))
        received = 0
        try:
            while received < 50:
                received += instance.next_batch(EventBatch(8))
        finally:
            instance.close()
        assert sending.result() == received == 50

    def test_large_events_are_alone_without_loss(self):
        size = SOFT_BYTES * 2
        large = [bytes([number]) * (SOFT_BYTES * 3 // 4) for number in range(3)]
        larger = b"L" * size
        sender, receiver = channel(event_size=size)
        sender.send_many([*large, larger, b"small"])
        sender.close()
        instance = PushInstance(receiver, timeout=0)
        received = []
        for _ in range(5):
            batch = EventBatch(128, size)
            assert instance.next_batch(batch) == 1
            received += data(batch)
        assert received == [*large, larger, b"small"]
        with pytest.raises(EOF):
            instance.next_batch(EventBatch(128, size))

    def test_event_that_does_not_fit_waits_for_next_batch(self):
        large = b"x" * (SOFT_BYTES * 3 // 4)
        sender, receiver = channel(event_size=SOFT_BYTES)
        sender.send_many([large, b"after"])
        instance = PushInstance(receiver, timeout=0)
        batch = EventBatch(128, SOFT_BYTES)
        batch.append(large)
        with pytest.raises(BatchFullError):
            instance.next_batch(batch)
        assert len(batch) == 1
        batch.clear()
        assert instance.next_batch(batch) == 2
        assert data(batch) == [large, b"after"]

    def test_batch_with_smaller_event_size_is_rejected(self):
        sender, receiver = channel(event_size=100)
        instance = PushInstance(receiver, timeout=0)
        sender.send(b"a")
        old = instance.events
        small = EventBatch(8, 99)
        for use in (lambda: setattr(instance, "events", small), lambda: instance.next_batch(small)):
            with pytest.raises(ValueError, match="event size") as caught:
                use()
            assert "99 bytes" in str(caught.value)
            assert "100 bytes" in str(caught.value)
        assert instance.events is old
        for size in (100, 101):
            instance.events = EventBatch(8, size)
            assert instance.events.event_size == size
        assert instance.next_batch(instance.events) == 1

    def test_event_size_is_that_of_channel(self):
        _sender, receiver = channel(event_size=77)
        instance = PushInstance(receiver, batch_size=5)
        assert (instance.events.batch_size, instance.events.event_size) == (5, 77)
        assert isinstance(instance, Instance)

    def test_events_accepts_only_a_batch(self):
        instance, _sender = open_instance()
        with pytest.raises(TypeError):
            instance.events = [b"a"]

    def test_receiver_is_required(self):
        with pytest.raises(TypeError):
            PushInstance(channel()[0])

    def test_second_instance_of_receiver_is_rejected(self):
        _sender, receiver = channel()
        PushInstance(receiver)
        with pytest.raises(PluginError, match="another PushInstance"):
            PushInstance(receiver)

    def test_failed_instance_leaves_receiver_usable(self):
        sender, receiver = channel()
        with pytest.raises(ValueError, match="batch_size"):
            PushInstance(receiver, batch_size=0)
        sender.send(b"a")
        instance = PushInstance(receiver, timeout=0)
        assert instance.next_batch(instance.events) == 1
        assert data(instance.events) == [b"a"]


class TestConcurrentCalls:
    def test_second_thread_is_rejected_during_call(self, in_thread):
        instance, sender = open_instance(timeout=LONG, batch_size=1)
        waiting = in_thread(lambda: instance.next_batch(instance.events))
        time.sleep(0.05)
        with pytest.raises(PluginError, match="already running"):
            instance.next_batch(EventBatch())
        sender.send(b"a")
        assert waiting.result() == 1
        assert data(instance.events) == [b"a"]

    def test_batch_is_unusable_during_call(self, in_thread):
        instance, sender = open_instance(timeout=LONG, batch_size=1)
        waiting = in_thread(lambda: instance.next_batch(instance.events))
        time.sleep(0.05)
        for use in (lambda: instance.events.append(b"x"), instance.events.clear, lambda: len(instance.events)):
            with pytest.raises(PluginError, match="in use elsewhere"):
                use()
        sender.send(b"a")
        assert waiting.result() == 1
        assert data(instance.events) == [b"a"]


class TestClose:
    def test_cancels_disconnects_then_calls_callback_once(self, in_thread):
        calls = []
        parent = Context()
        sender, receiver = channel(1)
        sender.send(b"a")

        def close():
            # The blocked producer is woken before this callback runs, and needs the GIL to end.
            with pytest.raises(ChannelClosedError):
                sending.result()
            calls.append((instance.context.cancelled, sender.closed))

        instance = PushInstance(receiver, context=parent, close=close)
        sending = in_thread(lambda: sender.send(b"b"))
        time.sleep(0.02)
        assert not sending.ended
        instance.close()
        instance.close()
        assert calls == [(True, True)]
        assert parent.cancelled is False

    def test_ends_waiting_call(self, in_thread):
        instance, _sender = open_instance(timeout=LONG)
        waiting = in_thread(lambda: instance.next_batch(instance.events))
        time.sleep(0.02)
        assert not waiting.ended
        instance.close()
        with pytest.raises(EOF):
            waiting.result()

    def test_call_during_close_reports_end(self, in_thread):
        # Dropping the queued events takes time. A call during it must raise `EOF`, not report a concurrent call.
        for _ in range(5):
            sender, receiver = channel(20_000)
            sender.send_many([b"x"] * 20_000)
            instance = PushInstance(receiver, timeout=0, batch_size=1)
            closing = in_thread(instance.close)
            while True:
                try:
                    assert instance.next_batch(EventBatch(1)) == 1
                except EOF:
                    break
            closing.result()

    @pytest.mark.parametrize(
        "end_source",
        [lambda instance: instance.close(), lambda instance: instance.context.cancel()],
        ids=["close", "cancel"],
    )
    def test_queued_events_are_dropped_and_logged(self, caplog, end_source):
        instance, sender = open_instance(b"a", b"b", b"c", PushEvent(error=ValueError("undelivered")))
        with caplog.at_level(logging.WARNING, "falco_plugin"):
            end_source(instance)
            with pytest.raises(EOF):
                instance.next_batch(instance.events)
        assert len(instance.events) == 0
        warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert [warning.partition(" still")[0] for warning in warnings] == ["dropped 3 events"]
        # A queued error is not counted as an event, but it is logged.
        assert "ValueError: undelivered" in caplog.text
        assert sender.closed

    def test_normal_end_drops_nothing(self, caplog):
        instance, _sender = open_instance(b"a", b"b", closed=True)
        with caplog.at_level(logging.WARNING, "falco_plugin"):
            assert instance.next_batch(instance.events) == 2
            instance.close()
        assert caplog.records == []

    def test_callback_may_use_instance(self):
        calls = []

        def close():
            instance.close()
            with pytest.raises(EOF):
                instance.next_batch(instance.events)
            calls.append(True)

        instance, _sender = open_instance(close=close)
        instance.close()
        assert calls == [True]


class TestProgress:
    def test_is_zero_without_callback(self):
        assert open_instance()[0].progress() == (0.0, "")

    def test_returns_result_of_callback(self):
        assert open_instance(progress=lambda: (1, "all"))[0].progress() == (1.0, "all")

    def test_propagates_exception_of_callback(self):
        with pytest.raises(ZeroDivisionError):
            open_instance(progress=lambda: 1 / 0)[0].progress()


class TestSharedBatch:
    def test_push_and_pull_instance_share_batch(self):
        push, _sender = open_instance(b"p1", b"p2")

        def pull(context, writer):
            writer.write(b"pulled")

        class Both(BaseInstance):
            def next_batch(self, batch):
                return push.next_batch(batch) + PullInstance(pull, timeout=0).next_batch(batch)

        instance = Both()
        assert instance.next_batch(instance.events) == 3
        assert data(instance.events) == [b"p1", b"p2", b"pulled"]
        with pytest.raises(Timeout):
            instance.next_batch(instance.events)
        assert len(instance.events) == 3

    def test_second_instance_is_rejected_for_full_batch(self):
        one, _ = open_instance(b"a", b"b")
        two, _ = open_instance(b"c")
        batch = EventBatch(2)
        assert one.next_batch(batch) == 2
        with pytest.raises(BatchFullError):
            two.next_batch(batch)
        batch.clear()
        assert two.next_batch(batch) == 1
        assert data(batch) == [b"c"]


def test_instance_in_cycle_with_callbacks_is_collected():
    class Reader:
        def __init__(self):
            self.sender, receiver = channel()
            self.instance = PushInstance(receiver, close=self.stop)

        def stop(self):
            pass

    reader = weakref.ref(Reader())
    gc.collect()
    assert reader() is None
