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


def opened(*items, closed=False, timeout=0, **options):
    """A push instance with items in its channel, and its sender."""
    sender, receiver = channel()
    sender.send_many(items)
    if closed:
        sender.close()
    return PushInstance(receiver, timeout=timeout, **options), sender


class TestResults:
    """Each row of "next_batch, common to pull and push" and of "Push"."""

    def test_an_event_with_data_is_written_with_its_timestamp_or_none(self):
        moment = datetime(2024, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
        instance, _sender = opened(b"plain", (b"ns", NOW), (b"datetime", moment), PushEvent(b"event", NOW))
        assert instance.next_batch(instance.events) == 4
        assert contents(instance.events) == [
            (b"plain", None),
            (b"ns", NOW),
            (b"datetime", 1_704_164_645_678_901_000),
            (b"event", NOW),
        ]

    @pytest.mark.parametrize("error", [Timeout, Timeout("for now")], ids=repr)
    def test_a_timeout_in_the_channel_returns_at_once_and_the_source_goes_on(self, error):
        # With a clock this long, nothing else can make the call return.
        instance, _sender = opened(PushEvent(error=error), b"a", PushEvent(error=error), b"b", timeout=LONG)
        instance.events = EventBatch(2)
        batch = EventBatch(2)
        with pytest.raises(Timeout):
            instance.next_batch(batch)
        assert instance.next_batch(batch) == 1
        assert instance.next_batch(batch) == 1
        assert data(batch) == [b"a", b"b"]

    def test_any_other_error_ends_the_source_and_is_raised_once(self):
        error = OSError("disk gone")
        instance, sender = opened(PushEvent(error=error), b"never")
        with pytest.raises(OSError, match="disk gone") as caught:
            instance.next_batch(instance.events)
        assert caught.value is error
        for _ in range(2):
            with pytest.raises(EOF):
                instance.next_batch(instance.events)
        with pytest.raises(ChannelClosedError):
            sender.send(b"late")

    def test_an_eof_in_the_channel_ends_the_source(self):
        instance, _sender = opened(PushEvent(error=EOF()), b"never")
        for _ in range(3):
            with pytest.raises(EOF):
                instance.next_batch(instance.events)
        assert len(instance.events) == 0

    @pytest.mark.parametrize(
        ("stray", "meant"), [(EOFError("x"), "EOF"), (StopIteration("x"), "EOF"), (TimeoutError("x"), "Timeout")]
    )
    def test_an_error_that_looks_like_a_signal_says_which_was_meant(self, stray, meant):
        instance, _sender = opened(PushEvent(error=stray))
        with pytest.raises(PluginError, match=rf"falco_plugin\.{meant}") as caught:
            instance.next_batch(instance.events)
        assert type(caught.value) is PluginError
        assert caught.value.__cause__ is stray

    def test_a_closed_channel_ends_the_source(self):
        instance, _sender = opened(closed=True, timeout=LONG)
        for _ in range(3):
            with pytest.raises(EOF):
                instance.next_batch(instance.events)

    def test_data_longer_than_the_event_size_is_refused_by_send_and_the_source_goes_on(self):
        sender, receiver = channel(event_size=4)
        instance = PushInstance(receiver, timeout=0)
        with pytest.raises(EventTooLargeError):
            sender.send(b"12345")
        sender.send(b"1234")
        assert instance.next_batch(instance.events) == 1
        with pytest.raises(Timeout):
            instance.next_batch(instance.events)

    def test_the_clock_returns_what_there_is(self):
        instance, sender = opened(b"a", b"b", timeout=0.03)
        assert instance.next_batch(instance.events) == 2
        assert data(instance.events) == [b"a", b"b"]
        for _ in range(2):
            with pytest.raises(Timeout):
                instance.next_batch(instance.events)
        sender.send(b"c")
        assert instance.next_batch(instance.events) == 1
        assert data(instance.events) == [b"a", b"b", b"c"]

    @pytest.mark.parametrize("which", ["own", "users"])
    def test_a_cancelled_context_ends_the_source(self, which):
        parent = Context()
        instance, _sender = opened(context=parent)
        with pytest.raises(Timeout):
            instance.next_batch(instance.events)
        (instance.context if which == "own" else parent).cancel()
        for _ in range(2):
            with pytest.raises(EOF):
                instance.next_batch(instance.events)
        assert parent.cancelled is (which == "users")

    @pytest.mark.parametrize("which", ["own", "users"])
    def test_a_cancel_wakes_a_call_that_waits(self, in_thread, which):
        parent = Context()
        instance, _sender = opened(context=parent, timeout=LONG)
        waiting = in_thread(lambda: instance.next_batch(instance.events))
        time.sleep(0.02)
        assert not waiting.ended
        (instance.context if which == "own" else parent).cancel()
        with pytest.raises(EOF):
            waiting.result()

    @pytest.mark.parametrize("end", [EOF(), ValueError("x"), KeyboardInterrupt()], ids=repr)
    def test_never_both_events_and_an_end(self, end):
        instance, _sender = opened(b"a", b"b", PushEvent(error=end), b"never", timeout=LONG)
        batch = EventBatch()
        assert instance.next_batch(batch) == 2
        with pytest.raises(type(end)):
            instance.next_batch(batch)
        with pytest.raises(EOF):
            instance.next_batch(batch)
        assert data(batch) == [b"a", b"b"]

    def test_never_both_events_and_a_closed_channel(self):
        instance, _sender = opened(b"a", closed=True, timeout=LONG)
        assert instance.next_batch(instance.events) == 1
        for _ in range(2):
            with pytest.raises(EOF):
                instance.next_batch(instance.events)
        assert data(instance.events) == [b"a"]

    def test_a_full_batch_returns_at_once(self):
        instance, _sender = opened(b"a", b"b", b"c", timeout=LONG, batch_size=2)
        assert instance.next_batch(instance.events) == 2
        assert data(instance.events) == [b"a", b"b"]

    def test_a_timeout_of_0_takes_what_is_there(self):
        instance, _sender = opened(*[b"%d" % number for number in range(300)])
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

    def test_the_clock_starts_again_at_each_call(self, in_thread):
        instance, sender = opened(timeout=1, batch_size=1)
        with pytest.raises(Timeout):
            instance.next_batch(instance.events)

        def produce():
            time.sleep(0.02)
            sender.send(b"a")

        in_thread(produce)
        assert instance.next_batch(instance.events) == 1

    def test_a_waiting_call_returns_what_is_sent_at_once(self, in_thread):
        instance, sender = opened(timeout=LONG)
        waiting = in_thread(lambda: instance.next_batch(instance.events))
        time.sleep(0.01)
        sender.send(b"a")
        assert waiting.result() == 1
        assert data(instance.events) == [b"a"]

    def test_what_there_is_is_returned_without_waiting_for_the_clock(self):
        instance, sender = opened(b"a", b"b", timeout=LONG)
        assert instance.next_batch(instance.events) == 2
        sender.send(b"c")
        assert instance.next_batch(EventBatch()) == 1

    def test_a_full_batch_is_refused_and_nothing_is_taken(self):
        instance, _sender = opened(b"a")
        batch = EventBatch(1)
        batch.append(b"old")
        with pytest.raises(BatchFullError):
            instance.next_batch(batch)
        batch.clear()
        assert instance.next_batch(batch) == 1
        assert data(batch) == [b"a"]


class TestOrder:
    """Several are ready: first the context, then the channel, then the clock."""

    @pytest.mark.parametrize("timeout", [0, LONG])
    @pytest.mark.parametrize("item", [b"event", PushEvent(error=ValueError("x")), PushEvent(error=Timeout())])
    def test_the_context_goes_before_the_channel(self, timeout, item):
        instance, _sender = opened(item, timeout=timeout)
        instance.context.cancel()
        for _ in range(2):
            with pytest.raises(EOF):
                instance.next_batch(instance.events)
        assert len(instance.events) == 0

    def test_the_channel_goes_before_the_clock(self):
        instance, _sender = opened(b"a", closed=True, timeout=0)
        assert instance.next_batch(instance.events) == 1
        with pytest.raises(EOF):
            instance.next_batch(instance.events)

    def test_the_context_goes_before_the_clock(self):
        instance, _sender = opened(timeout=0)
        instance.context.cancel()
        with pytest.raises(EOF):
            instance.next_batch(instance.events)


class TestSizes:
    @pytest.mark.parametrize("options", [{"capacity": 1}, {"max_bytes": 1}, {"capacity": 3, "max_bytes": 2}], ids=str)
    def test_a_channel_smaller_than_the_batch_never_waits_for_the_clock(self, in_thread, options):
        # Room that a call has taken events from is free again before it waits for more; else a small channel passes no
        # more than its capacity per timeout.
        sender, receiver = channel(**options)
        instance = PushInstance(receiver, timeout=LONG, batch_size=8)
        sending = in_thread(lambda: sender.send_many([b"x"] * 50))
        taken = 0
        try:
            while taken < 50:
                taken += instance.next_batch(EventBatch(8))
        finally:
            instance.close()
        assert sending.result() == taken == 50

    def test_large_events_go_alone_and_none_is_lost(self):
        size = SOFT_BYTES * 2
        large = [bytes([number]) * (SOFT_BYTES * 3 // 4) for number in range(3)]
        larger = b"L" * size
        sender, receiver = channel(event_size=size)
        sender.send_many([*large, larger, b"small"])
        sender.close()
        instance = PushInstance(receiver, timeout=0)
        seen = []
        for _ in range(5):
            batch = EventBatch(128, size)
            assert instance.next_batch(batch) == 1
            seen += data(batch)
        assert seen == [*large, larger, b"small"]
        with pytest.raises(EOF):
            instance.next_batch(EventBatch(128, size))

    def test_an_event_without_room_beside_others_waits_for_the_next_batch(self):
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

    def test_a_batch_with_a_smaller_event_size_than_the_channel_is_refused_with_both(self):
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

    def test_the_event_size_is_the_channels(self):
        _sender, receiver = channel(event_size=77)
        instance = PushInstance(receiver, batch_size=5)
        assert (instance.events.batch_size, instance.events.event_size) == (5, 77)
        assert isinstance(instance, Instance)

    def test_events_can_be_nothing_but_a_batch(self):
        instance, _sender = opened()
        with pytest.raises(TypeError):
            instance.events = [b"a"]

    def test_a_receiver_is_asked_for(self):
        with pytest.raises(TypeError):
            PushInstance(channel()[0])


class TestOneCallAtATime:
    def test_a_second_thread_is_refused_while_a_call_runs(self, in_thread):
        instance, sender = opened(timeout=LONG, batch_size=1)
        waiting = in_thread(lambda: instance.next_batch(instance.events))
        time.sleep(0.05)
        with pytest.raises(PluginError, match="already running"):
            instance.next_batch(EventBatch())
        sender.send(b"a")
        assert waiting.result() == 1
        assert data(instance.events) == [b"a"]

    def test_the_batch_belongs_to_the_call_while_it_runs(self, in_thread):
        instance, sender = opened(timeout=LONG, batch_size=1)
        waiting = in_thread(lambda: instance.next_batch(instance.events))
        time.sleep(0.05)
        for use in (lambda: instance.events.append(b"x"), instance.events.clear, lambda: len(instance.events)):
            with pytest.raises(PluginError, match="in use elsewhere"):
                use()
        sender.send(b"a")
        assert waiting.result() == 1
        assert data(instance.events) == [b"a"]


class TestClose:
    def test_cancels_then_disconnects_then_calls_the_callback_once(self, in_thread):
        seen = []
        parent = Context()
        sender, receiver = channel(1)
        sender.send(b"a")

        def close():
            # A producer that was blocked has been woken before this runs, and needs the GIL to end.
            with pytest.raises(ChannelClosedError):
                sending.result()
            seen.append((instance.context.cancelled, sender.closed))

        instance = PushInstance(receiver, context=parent, close=close)
        sending = in_thread(lambda: sender.send(b"b"))
        time.sleep(0.02)
        assert not sending.ended
        instance.close()
        instance.close()
        assert seen == [(True, True)]
        assert parent.cancelled is False

    def test_ends_a_call_that_waits(self, in_thread):
        instance, _sender = opened(timeout=LONG)
        waiting = in_thread(lambda: instance.next_batch(instance.events))
        time.sleep(0.02)
        assert not waiting.ended
        instance.close()
        with pytest.raises(EOF):
            waiting.result()

    def test_a_call_that_comes_while_it_closes_says_that_the_source_has_ended(self, in_thread):
        # Dropping what is queued takes a while; a call that comes meanwhile is no second call of next_batch.
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

    @pytest.mark.parametrize("end", [lambda instance: instance.close(), lambda instance: instance.context.cancel()])
    def test_what_is_still_queued_is_dropped_and_counted_in_the_log(self, caplog, end):
        instance, sender = opened(b"a", b"b", b"c", PushEvent(error=ValueError("unheard")))
        with caplog.at_level(logging.WARNING, "falco_plugin"):
            end(instance)
            with pytest.raises(EOF):
                instance.next_batch(instance.events)
        assert len(instance.events) == 0
        warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert [warning.partition(" were")[0] for warning in warnings] == ["3 event(s)"]
        # An error that came too late to be the source's is no event, but is not lost either.
        assert "ValueError: unheard" in caplog.text
        assert sender.closed

    def test_an_end_that_comes_by_itself_drops_nothing(self, caplog):
        instance, _sender = opened(b"a", b"b", closed=True)
        with caplog.at_level(logging.WARNING, "falco_plugin"):
            assert instance.next_batch(instance.events) == 2
            instance.close()
        assert caplog.records == []

    def test_the_callback_may_use_the_instance(self):
        seen = []

        def close():
            instance.close()
            with pytest.raises(EOF):
                instance.next_batch(instance.events)
            seen.append(True)

        instance, _sender = opened(close=close)
        instance.close()
        assert seen == [True]


class TestProgress:
    def test_is_nothing_where_no_callback_is_given(self):
        assert opened()[0].progress() == (0.0, "")

    def test_is_what_the_callback_says(self):
        assert opened(progress=lambda: (1, "all"))[0].progress() == (1.0, "all")

    def test_passes_on_what_the_callback_raises(self):
        with pytest.raises(ZeroDivisionError):
            opened(progress=lambda: 1 / 0)[0].progress()


class TestBuiltOnAnother:
    def test_a_push_and_a_pull_instance_share_a_batch(self):
        push, _sender = opened(b"p1", b"p2")

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

    def test_the_second_is_refused_where_the_first_has_filled_the_batch(self):
        one, _ = opened(b"a", b"b")
        two, _ = opened(b"c")
        batch = EventBatch(2)
        assert one.next_batch(batch) == 2
        with pytest.raises(BatchFullError):
            two.next_batch(batch)
        batch.clear()
        assert two.next_batch(batch) == 1
        assert data(batch) == [b"c"]


def test_an_instance_in_a_cycle_with_its_callbacks_is_collected():
    class Reader:
        def __init__(self):
            self.sender, receiver = channel()
            self.instance = PushInstance(receiver, close=self.stop)

        def stop(self):
            pass

    reader = weakref.ref(Reader())
    gc.collect()
    assert reader() is None
