"""Tests the channel of push sources: sending, capacity, and how it ends."""

from __future__ import annotations

import gc
import re
import threading
import time

import pytest

from falco_plugin.source import (
    EOF,
    ChannelClosedError,
    ChannelFullError,
    EventBatch,
    EventTooLargeError,
    PluginError,
    PushEvent,
    PushInstance,
    Timeout,
    channel,
)

NOW = 1_700_000_000_000_000_000
DROPPED = r"the last sender was dropped without close\(\): its thread ended or raised an exception; use `with sender:`"


def receive_all(receiver, **options):
    """Returns the events left in a channel whose senders are closed, and the error that ended it."""
    return read_to_end(PushInstance(receiver, timeout=0.02, **options))


def read_to_end(instance):
    events = []
    while True:
        batch = EventBatch(16, instance.events.event_size)
        try:
            count = instance.next_batch(batch)
        except Timeout:
            continue
        except Exception as error:
            return events, error
        assert count == len(batch) > 0
        events += [(batch[index].data, batch[index].timestamp) for index in range(count)]


def fill(sender):
    """Sends events until the channel is full. Returns their number."""
    count = 0
    with pytest.raises(ChannelFullError):
        while True:
            sender.send(b"x", timeout=0)
            count += 1
    return count


class TestSend:
    def test_items_arrive_in_order(self):
        sender, receiver = channel()
        sender.send(b"plain")
        sender.send(bytearray(b"timed"), NOW)
        sender.send((memoryview(b"pair"), NOW + 1))
        sender.send(PushEvent(b"event", NOW + 2))
        sender.close()
        events, end = receive_all(receiver)
        assert events == [(b"plain", None), (b"timed", NOW), (b"pair", NOW + 1), (b"event", NOW + 2)]
        assert isinstance(end, EOF)

    def test_mutable_buffer_is_copied_when_sent(self):
        sender, receiver = channel()
        data = bytearray(b"before")
        sender.send(data)
        data[:] = b"after!"
        sender.close()
        assert receive_all(receiver)[0] == [(b"before", None)]

    @pytest.mark.parametrize(
        ("item", "timestamp", "error", "message"),
        [
            ("text", None, TypeError, r"give text\.encode\(\)"),
            (5, None, TypeError, "got int"),
            (None, None, TypeError, "got NoneType"),
            ((b"a", NOW, 1), None, TypeError, "got a tuple of length 3"),
            ((b"a", NOW), NOW, TypeError, "given twice"),
            (b"a", 1.5, TypeError, "1_000_000_000"),
            (b"a", -1, ValueError, "2\\*\\*64 - 2"),
        ],
    )
    def test_bad_item_is_rejected_and_not_sent(self, item, timestamp, error, message):
        sender, receiver = channel()
        with pytest.raises(error, match=message):
            sender.send(item, timestamp)
        sender.close()
        assert receive_all(receiver)[0] == []

    def test_too_large_event_is_rejected_by_send(self):
        sender, receiver = channel(event_size=4)
        sender.send(b"1234")
        with pytest.raises(EventTooLargeError) as caught:
            sender.send(b"12345")
        assert (caught.value.size, caught.value.event_size) == (5, 4)
        sender.send(b"next")
        sender.close()
        events, end = receive_all(receiver)
        assert events == [(b"1234", None), (b"next", None)]
        assert isinstance(end, EOF)

    def test_both_ends_have_event_size(self):
        sender, receiver = channel(event_size=77)
        assert (sender.event_size, receiver.event_size) == (77, 77)


class TestSendMany:
    @pytest.mark.parametrize("make_iterable", [list, tuple, iter])
    def test_returns_count_of_sent_items(self, make_iterable):
        sender, receiver = channel()
        items = [b"%d" % number for number in range(300)]
        assert sender.send_many(make_iterable(items)) == 300
        assert sender.send_many(make_iterable([])) == 0
        sender.close()
        assert [data for data, _ in receive_all(receiver)[0]] == items

    @pytest.mark.parametrize("make_iterable", [list, tuple, iter])
    @pytest.mark.parametrize(("bad_item", "error"), [(b"too large", EventTooLargeError), ("text", TypeError)])
    def test_error_counts_items_before_bad_item(self, make_iterable, bad_item, error):
        sender, receiver = channel(event_size=4)
        with pytest.raises(error) as caught:
            sender.send_many(make_iterable([b"a", (b"b", NOW), bad_item, b"c"]))
        assert caught.value.taken == 2
        sender.close()
        assert receive_all(receiver)[0] == [(b"a", None), (b"b", NOW)]

    @pytest.mark.parametrize("make_iterable", [list, tuple, iter])
    def test_error_counts_items_before_full_channel(self, make_iterable):
        sender, receiver = channel(3)
        with pytest.raises(ChannelFullError) as caught:
            sender.send_many(make_iterable([b"a", b"b", b"c", b"d", b"e"]), timeout=0.01)
        assert caught.value.taken == 3
        sender.close()
        assert [data for data, _ in receive_all(receiver)[0]] == [b"a", b"b", b"c"]

    def test_full_channel_consumes_one_item_of_iterator(self):
        # One item must be consumed to know whether it fits. A second one must not be.
        sender, _receiver = channel(2)
        items = iter([b"a", b"b", b"c", b"d"])
        with pytest.raises(ChannelFullError) as caught:
            sender.send_many(items, timeout=0)
        assert caught.value.taken == 2
        assert list(items) == [b"d"]

    @pytest.mark.parametrize("make_iterable", [list, iter])
    def test_error_counts_items_before_close(self, in_thread, make_iterable):
        sender, receiver = channel(2)
        instance = PushInstance(receiver, timeout=0)
        sending = in_thread(lambda: sender.send_many(make_iterable([b"a", b"b", b"c"])))
        time.sleep(0.02)
        instance.close()
        with pytest.raises(ChannelClosedError) as caught:
            sending.result()
        assert caught.value.taken == 2

    def test_propagates_exception_of_iterator(self):
        def items():
            yield b"a"
            raise OSError("disk gone")

        sender, receiver = channel()
        with pytest.raises(OSError, match="disk gone") as caught:
            sender.send_many(items())
        assert caught.value.taken == 1
        sender.close()
        assert receive_all(receiver)[0] == [(b"a", None)]

    def test_waits_repeatedly_for_capacity(self, in_thread):
        sender, receiver = channel(2)
        items = [b"%d" % number for number in range(100)]

        def produce():
            with sender:
                return sender.send_many(items)

        sending = in_thread(produce)
        assert [data for data, _ in receive_all(receiver, batch_size=3)[0]] == items
        assert sending.result() == 100


class TestCapacity:
    def test_capacity_limits_queued_events(self):
        sender, receiver = channel(5)
        assert fill(sender) == 5
        sender.close()
        assert len(receive_all(receiver)[0]) == 5

    def test_default_capacity_is_1024_events(self):
        sender, _receiver = channel()
        assert fill(sender) == 1024

    def test_max_bytes_limits_queued_bytes(self):
        sender, receiver = channel(max_bytes=10)
        sender.send(b"12345", timeout=0)
        sender.send(b"1234", timeout=0)
        with pytest.raises(ChannelFullError):
            sender.send(b"12", timeout=0)
        sender.send(b"1", timeout=0)
        sender.send(b"", timeout=0)
        sender.close()
        assert [data for data, _ in receive_all(receiver)[0]] == [b"12345", b"1234", b"1", b""]

    def test_event_above_max_bytes_is_queued_alone(self):
        sender, receiver = channel(max_bytes=10)
        large = b"x" * 100
        sender.send(large, timeout=0)
        with pytest.raises(ChannelFullError):
            sender.send(b"1", timeout=0)
        instance = PushInstance(receiver, timeout=0)
        batch = EventBatch()
        assert instance.next_batch(batch) == 1
        assert batch[0].data == large
        sender.send(b"1", timeout=0)
        with pytest.raises(ChannelFullError):
            sender.send(large, timeout=0)

    def test_timed_out_event_is_not_queued(self):
        sender, receiver = channel(1)
        sender.send(b"first")
        for timeout in (0, 0.01):
            with pytest.raises(ChannelFullError):
                sender.send(b"rejected", timeout=timeout)
        instance = PushInstance(receiver, timeout=0)
        batch = EventBatch()
        assert instance.next_batch(batch) == 1
        sender.send(b"second", timeout=0)
        assert instance.next_batch(batch) == 1
        assert [batch[0].data, batch[1].data] == [b"first", b"second"]

    @pytest.mark.parametrize("timeout", [None, 60])
    def test_blocked_send_continues_after_receive(self, in_thread, timeout):
        sender, receiver = channel(1)
        instance = PushInstance(receiver, timeout=10, batch_size=1)
        sender.send(b"first")
        sending = in_thread(lambda: sender.send(b"second", timeout=timeout))
        time.sleep(0.02)
        assert not sending.ended
        batch = EventBatch(1)
        assert instance.next_batch(batch) == 1
        sending.result()
        batch.clear()
        assert instance.next_batch(batch) == 1
        assert batch[0].data == b"second"

    def test_error_frees_its_capacity(self):
        sender, receiver = channel(1)
        instance = PushInstance(receiver, timeout=0)
        for _ in range(3):
            sender.send(PushEvent(error=Timeout()), timeout=0)
            with pytest.raises(Timeout):
                instance.next_batch(EventBatch())


class TestClose:
    @pytest.mark.slow
    def test_closed_sender_accepts_only_close(self):
        sender, receiver = channel()
        sender.send(b"a")
        assert sender.closed is False
        sender.close()
        assert sender.closed is True
        for use in (
            lambda: sender.send(b"b"),
            lambda: sender.send_many([b"b"]),
            lambda: sender.send(PushEvent(error=ValueError("x"))),
            lambda: sender.clone(),
        ):
            with pytest.raises(ChannelClosedError):
                use()
        sender.close()
        sender.close(ValueError("too late"))
        events, end = receive_all(receiver)
        assert events == [(b"a", None)]
        assert isinstance(end, EOF)

    def test_send_many_on_closed_sender_consumes_nothing(self):
        sender, _receiver = channel()
        sender.close()
        with pytest.raises(ChannelClosedError) as caught:
            sender.send_many([b"a"])
        assert caught.value.taken == 0

    def test_source_ends_with_last_clone(self):
        first, receiver = channel()
        second = first.clone()
        instance = PushInstance(receiver, timeout=0)
        first.send(b"a")
        first.close()
        second.send(b"b")
        batch = EventBatch()
        assert instance.next_batch(batch) == 2
        with pytest.raises(Timeout):
            instance.next_batch(batch)
        second.close()
        with pytest.raises(EOF):
            instance.next_batch(batch)
        assert [batch[0].data, batch[1].data] == [b"a", b"b"]

    def test_close_error_follows_queued_events(self):
        sender, receiver = channel()
        error = ValueError("the disk is gone")
        sender.send(b"a")
        sender.close(error)
        events, end = receive_all(receiver)
        assert events == [(b"a", None)]
        assert end is error

    def test_error_of_clone_ends_source_for_all(self):
        sender, receiver = channel()
        other = sender.clone()
        error = ValueError("x")
        other.close(error)
        assert receive_all(receiver)[1] is error
        with pytest.raises(ChannelClosedError):
            sender.send(b"late")
        assert sender.closed is True

    def test_close_error_is_accepted_by_full_channel(self):
        sender, receiver = channel(1)
        error = ValueError("x")
        sender.send(b"a")
        sender.close(error)
        assert receive_all(receiver) == ([(b"a", None)], error)

    def test_close_accepts_exception_class(self):
        sender, receiver = channel()
        sender.close(KeyError)
        assert isinstance(receive_all(receiver)[1], KeyError)

    def test_close_rejects_non_exception_and_stays_open(self):
        sender, _receiver = channel()
        with pytest.raises(TypeError, match="must be an exception"):
            sender.close("failed")
        assert sender.closed is False
        sender.send(b"a")

    @pytest.mark.parametrize("error", [EOF("done"), EOF])
    def test_close_with_eof_is_normal_close(self, error):
        sender, receiver = channel()
        sender.close(error)
        assert isinstance(receive_all(receiver)[1], EOF)

    def test_close_on_other_thread_wakes_blocked_send(self, in_thread):
        sender, _receiver = channel(1)
        sender.send(b"a")
        sending = in_thread(lambda: sender.send(b"b"))
        time.sleep(0.02)
        assert not sending.ended
        sender.close()
        with pytest.raises(ChannelClosedError):
            sending.result()

    def test_close_of_clone_keeps_blocked_send(self, in_thread):
        sender, receiver = channel(1)
        other = sender.clone()
        sender.send(b"a")
        sending = in_thread(lambda: other.send(b"b", timeout=10))
        time.sleep(0.02)
        sender.close()
        instance = PushInstance(receiver, timeout=0)
        assert instance.next_batch(EventBatch()) == 1
        sending.result()
        other.close()
        assert read_to_end(instance)[0] == [(b"b", None)]

    @pytest.mark.parametrize(
        "end_source",
        [
            lambda instance, context: instance.close(),
            lambda instance, context: (instance.context.cancel(), read_to_end(instance)),
        ],
        ids=["close", "cancel"],
    )
    def test_blocked_send_wakes_at_end_of_source(self, in_thread, end_source):
        sender, receiver = channel(1)
        instance = PushInstance(receiver, timeout=0)
        sender.send(b"a")
        sending = [in_thread(lambda sender=sender.clone(): sender.send(b"b")) for _ in range(3)]
        time.sleep(0.02)
        assert not any(each.ended for each in sending)
        end_source(instance, instance.context)
        for each in sending:
            with pytest.raises(ChannelClosedError):
                each.result()

    @pytest.mark.parametrize("reader", [lambda receiver: receiver, PushInstance], ids=["receiver", "instance"])
    def test_send_raises_after_receiver_is_dropped(self, in_thread, reader):
        sender, receiver = channel(1)
        receiver = reader(receiver)
        sender.send(b"a")
        sending = in_thread(lambda: sender.send(b"b"))
        del receiver
        gc.collect()
        with pytest.raises(ChannelClosedError):
            sending.result()
        assert sender.closed is True

    @pytest.mark.slow
    def test_each_send_after_end_raises(self):
        # The channel delays the second rejected send on purpose, and this test waits for it once.
        sender, receiver = channel()
        PushInstance(receiver).close()
        with pytest.raises(ChannelClosedError):
            sender.send(b"a")
        with pytest.raises(ChannelClosedError) as caught:
            sender.send_many([b"b"])
        assert caught.value.taken == 0

    def test_dropping_sender_in_use_keeps_source_open(self, in_thread):
        sender, receiver = channel(1)
        sender.send(b"a")
        go = threading.Event()

        def produce(sender):
            go.wait(10)
            sender.send(b"b", timeout=10)

        sending = in_thread(lambda sender=sender: produce(sender))
        del sender
        gc.collect()
        instance = PushInstance(receiver, timeout=0)
        batch = EventBatch()
        assert instance.next_batch(batch) == 1
        with pytest.raises(Timeout):
            instance.next_batch(batch)
        go.set()
        sending.result()
        assert instance.next_batch(batch) == 1


class TestDroppedSender:
    def test_dropping_last_sender_is_error(self):
        sender, receiver = channel()
        sender.send(b"a")
        other = sender.clone()
        instance = PushInstance(receiver, timeout=0)
        del sender
        gc.collect()
        batch = EventBatch()
        assert instance.next_batch(batch) == 1
        with pytest.raises(Timeout):
            instance.next_batch(batch)
        del other
        gc.collect()
        with pytest.raises(PluginError, match=DROPPED):
            instance.next_batch(batch)
        with pytest.raises(EOF):
            instance.next_batch(batch)

    def test_closing_last_sender_after_drops_is_normal_end(self):
        sender, receiver = channel()
        other = sender.clone()
        del sender
        gc.collect()
        other.close()
        assert isinstance(receive_all(receiver)[1], EOF)

    @pytest.mark.parametrize("end", [EOF("done"), ValueError("bad")])
    def test_sent_end_precedes_later_drop(self, end):
        sender, receiver = channel()
        sender.send(PushEvent(error=end))
        del sender
        gc.collect()
        assert type(receive_all(receiver)[1]) is type(end)

    def test_drop_after_close_is_not_an_error(self, caplog):
        sender, receiver = channel()
        instance = PushInstance(receiver, timeout=0)
        instance.close()
        del sender
        gc.collect()
        with pytest.raises(EOF):
            instance.next_batch(EventBatch())
        assert caplog.text == ""

    def test_dropped_sender_in_cycle_ends_source(self):
        class Producer:
            pass

        producer = Producer()
        producer.sender, receiver = channel()
        producer.itself = producer
        instance = PushInstance(receiver, timeout=0)
        del producer
        gc.collect()
        with pytest.raises(PluginError, match=DROPPED):
            instance.next_batch(EventBatch())

    def test_dead_producer_thread_ends_source_with_error(self, in_thread):
        sender, receiver = channel()

        def produce(senders):
            senders.pop().send(b"last words")

        senders = [sender]
        del sender
        in_thread(lambda: produce(senders)).result()
        events, end = receive_all(receiver)
        assert events == [(b"last words", None)]
        assert type(end) is PluginError
        assert re.match(DROPPED, str(end))

    def test_waiting_instance_wakes_when_last_sender_drops(self, in_thread):
        sender, receiver = channel()
        instance = PushInstance(receiver, timeout=60)
        waiting = in_thread(lambda: instance.next_batch(EventBatch()))
        time.sleep(0.02)
        del sender
        gc.collect()
        with pytest.raises(PluginError, match=DROPPED):
            waiting.result()


class TestContextManager:
    def test_normal_exit_closes_sender(self):
        sender, receiver = channel()
        with sender as same:
            assert same is sender
            same.send(b"a")
        assert sender.closed is True
        events, end = receive_all(receiver)
        assert events == [(b"a", None)]
        assert isinstance(end, EOF)

    def test_exception_ends_source_with_error(self):
        sender, receiver = channel()
        error = ValueError("bad line 7")
        with pytest.raises(ValueError, match="bad line 7"), sender:
            sender.send(b"a")
            raise error
        assert receive_all(receiver) == ([(b"a", None)], error)

    @pytest.mark.parametrize("error", [StopIteration("x"), EOFError("x"), TimeoutError("x")])
    def test_signal_like_exception_names_signal(self, error):
        sender, receiver = channel()
        with pytest.raises(type(error)), sender:
            raise error
        _, end = receive_all(receiver)
        assert type(end) is PluginError
        assert f"falco_plugin.{'Timeout' if isinstance(error, TimeoutError) else 'EOF'}" in str(end)
        assert end.__cause__ is error

    def test_closed_channel_in_block_keeps_reason(self):
        sender, receiver = channel()
        PushInstance(receiver).close()
        with pytest.raises(ChannelClosedError), sender:
            sender.send(b"late")


def test_reentrant_sends_of_threads_lose_nothing(in_thread):
    sender, receiver = channel(3, max_bytes=40)
    producers = 3

    def produce(number, sender):
        with sender:
            for count in range(100):
                sender.send(b"%d:%d" % (number, count))

    running = [in_thread(lambda n=number, s=sender.clone(): produce(n, s)) for number in range(producers)]
    sender.close()
    events, end = receive_all(receiver)
    for each in running:
        each.result()
    assert isinstance(end, EOF)
    for number in range(producers):
        sent = [data for data, _ in events if data.startswith(b"%d:" % number)]
        assert sent == [b"%d:%d" % (number, count) for count in range(100)]


@pytest.mark.parametrize(
    "call",
    [
        lambda send: send(),
        lambda send: send(b"a", 1, 2),
        lambda send: send(b"a", unknown=1),
        lambda send: send(timestamp=1),
        lambda send: send(b"a", item=b"a"),
    ],
    ids=["no item", "three items", "unknown keyword", "only a timestamp", "two items"],
)
def test_send_rejects_unknown_arguments(call):
    sender, receiver = channel()
    with pytest.raises(TypeError, match="send"):
        call(sender.send)
    sender.send(item=b"a", timestamp=7, timeout=0)
    sender.close()
    assert read_to_end(PushInstance(receiver))[0] == [(b"a", 7)]
