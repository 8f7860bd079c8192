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


def received(receiver, **options):
    """All that is in a channel whose senders are closed, and what ended it."""
    return drained(PushInstance(receiver, timeout=0.02, **options))


def drained(instance):
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
    """Sends until there is no room."""
    count = 0
    with pytest.raises(ChannelFullError):
        while True:
            sender.send(b"x", timeout=0)
            count += 1
    return count


class TestSend:
    def test_every_kind_of_item_arrives_in_order(self):
        sender, receiver = channel()
        sender.send(b"plain")
        sender.send(bytearray(b"timed"), NOW)
        sender.send((memoryview(b"pair"), NOW + 1))
        sender.send(PushEvent(b"event", NOW + 2))
        sender.close()
        events, end = received(receiver)
        assert events == [(b"plain", None), (b"timed", NOW), (b"pair", NOW + 1), (b"event", NOW + 2)]
        assert isinstance(end, EOF)

    def test_a_buffer_that_can_change_is_copied_when_it_is_sent(self):
        sender, receiver = channel()
        data = bytearray(b"before")
        sender.send(data)
        data[:] = b"after!"
        sender.close()
        assert received(receiver)[0] == [(b"before", None)]

    @pytest.mark.parametrize(
        ("item", "timestamp", "error", "text"),
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
    def test_a_bad_item_is_refused_and_nothing_is_sent(self, item, timestamp, error, text):
        sender, receiver = channel()
        with pytest.raises(error, match=text):
            sender.send(item, timestamp)
        sender.close()
        assert received(receiver)[0] == []

    def test_an_event_that_is_too_large_is_refused_where_it_is_sent_and_the_source_goes_on(self):
        sender, receiver = channel(event_size=4)
        sender.send(b"1234")
        with pytest.raises(EventTooLargeError) as caught:
            sender.send(b"12345")
        assert (caught.value.size, caught.value.event_size) == (5, 4)
        sender.send(b"next")
        sender.close()
        events, end = received(receiver)
        assert events == [(b"1234", None), (b"next", None)]
        assert isinstance(end, EOF)

    def test_both_ends_know_the_event_size(self):
        sender, receiver = channel(event_size=77)
        assert (sender.event_size, receiver.event_size) == (77, 77)


class TestSendMany:
    @pytest.mark.parametrize("kind", [list, tuple, iter])
    def test_sends_all_and_says_how_many(self, kind):
        sender, receiver = channel()
        items = [b"%d" % number for number in range(300)]
        assert sender.send_many(kind(items)) == 300
        assert sender.send_many(kind([])) == 0
        sender.close()
        assert [data for data, _ in received(receiver)[0]] == items

    @pytest.mark.parametrize("kind", [list, tuple, iter])
    @pytest.mark.parametrize(("bad", "error"), [(b"too large", EventTooLargeError), ("text", TypeError)])
    def test_says_how_many_went_before_a_bad_item(self, kind, bad, error):
        sender, receiver = channel(event_size=4)
        with pytest.raises(error) as caught:
            sender.send_many(kind([b"a", (b"b", NOW), bad, b"c"]))
        assert caught.value.taken == 2
        sender.close()
        assert received(receiver)[0] == [(b"a", None), (b"b", NOW)]

    @pytest.mark.parametrize("kind", [list, tuple, iter])
    def test_says_how_many_went_before_the_channel_was_full(self, kind):
        sender, receiver = channel(3)
        with pytest.raises(ChannelFullError) as caught:
            sender.send_many(kind([b"a", b"b", b"c", b"d", b"e"]), timeout=0.01)
        assert caught.value.taken == 3
        sender.close()
        assert [data for data, _ in received(receiver)[0]] == [b"a", b"b", b"c"]

    def test_of_an_iterator_one_item_is_out_when_the_channel_is_full(self):
        # It had to be taken to know whether it fits; no other may be.
        sender, _receiver = channel(2)
        items = iter([b"a", b"b", b"c", b"d"])
        with pytest.raises(ChannelFullError) as caught:
            sender.send_many(items, timeout=0)
        assert caught.value.taken == 2
        assert list(items) == [b"d"]

    @pytest.mark.parametrize("kind", [list, iter])
    def test_says_how_many_went_before_the_channel_was_closed(self, in_thread, kind):
        sender, receiver = channel(2)
        instance = PushInstance(receiver, timeout=0)
        sending = in_thread(lambda: sender.send_many(kind([b"a", b"b", b"c"])))
        time.sleep(0.02)
        instance.close()
        with pytest.raises(ChannelClosedError) as caught:
            sending.result()
        assert caught.value.taken == 2

    def test_passes_on_what_the_iterator_raises(self):
        def items():
            yield b"a"
            raise OSError("disk gone")

        sender, receiver = channel()
        with pytest.raises(OSError, match="disk gone") as caught:
            sender.send_many(items())
        assert caught.value.taken == 1
        sender.close()
        assert received(receiver)[0] == [(b"a", None)]

    def test_waits_for_room_as_often_as_it_takes(self, in_thread):
        sender, receiver = channel(2)
        items = [b"%d" % number for number in range(100)]

        def produce():
            with sender:
                return sender.send_many(items)

        sending = in_thread(produce)
        assert [data for data, _ in received(receiver, batch_size=3)[0]] == items
        assert sending.result() == 100


class TestBounds:
    def test_a_channel_holds_as_many_events_as_its_capacity(self):
        sender, receiver = channel(5)
        assert fill(sender) == 5
        sender.close()
        assert len(received(receiver)[0]) == 5

    def test_it_holds_1024_where_nothing_is_said(self):
        sender, _receiver = channel()
        assert fill(sender) == 1024

    def test_it_holds_as_many_bytes_as_max_bytes(self):
        sender, receiver = channel(max_bytes=10)
        sender.send(b"12345", timeout=0)
        sender.send(b"1234", timeout=0)
        with pytest.raises(ChannelFullError):
            sender.send(b"12", timeout=0)
        sender.send(b"1", timeout=0)
        sender.send(b"", timeout=0)
        sender.close()
        assert [data for data, _ in received(receiver)[0]] == [b"12345", b"1234", b"1", b""]

    def test_an_event_beyond_max_bytes_passes_alone(self):
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

    def test_a_timeout_leaves_the_event_with_its_sender(self):
        sender, receiver = channel(1)
        sender.send(b"first")
        for timeout in (0, 0.01):
            with pytest.raises(ChannelFullError):
                sender.send(b"refused", timeout=timeout)
        instance = PushInstance(receiver, timeout=0)
        batch = EventBatch()
        assert instance.next_batch(batch) == 1
        sender.send(b"second", timeout=0)
        assert instance.next_batch(batch) == 1
        assert [batch[0].data, batch[1].data] == [b"first", b"second"]

    @pytest.mark.parametrize("timeout", [None, 60])
    def test_a_blocked_send_goes_on_when_there_is_room(self, in_thread, timeout):
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

    def test_the_room_of_an_error_comes_free_too(self):
        sender, receiver = channel(1)
        instance = PushInstance(receiver, timeout=0)
        for _ in range(3):
            sender.send(PushEvent(error=Timeout()), timeout=0)
            with pytest.raises(Timeout):
                instance.next_batch(EventBatch())


class TestClose:
    def test_a_closed_sender_refuses_everything_but_to_be_closed_again(self):
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
        events, end = received(receiver)
        assert events == [(b"a", None)]
        assert isinstance(end, EOF)

    def test_send_many_on_a_closed_sender_took_nothing(self):
        sender, _receiver = channel()
        sender.close()
        with pytest.raises(ChannelClosedError) as caught:
            sender.send_many([b"a"])
        assert caught.value.taken == 0

    def test_the_source_ends_with_the_last_clone(self):
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

    def test_the_error_given_to_close_ends_the_source_after_what_was_sent(self):
        sender, receiver = channel()
        error = ValueError("the disk is gone")
        sender.send(b"a")
        sender.close(error)
        events, end = received(receiver)
        assert events == [(b"a", None)]
        assert end is error

    def test_the_error_of_one_clone_ends_the_source_for_all(self):
        sender, receiver = channel()
        other = sender.clone()
        error = ValueError("x")
        other.close(error)
        assert received(receiver)[1] is error
        with pytest.raises(ChannelClosedError):
            sender.send(b"late")
        assert sender.closed is True

    def test_the_last_word_is_not_refused_by_a_full_channel(self):
        sender, receiver = channel(1)
        error = ValueError("x")
        sender.send(b"a")
        sender.close(error)
        assert received(receiver) == ([(b"a", None)], error)

    def test_an_exception_class_will_do(self):
        sender, receiver = channel()
        sender.close(KeyError)
        assert isinstance(received(receiver)[1], KeyError)

    def test_what_is_no_exception_is_refused_and_the_sender_stays_open(self):
        sender, _receiver = channel()
        with pytest.raises(TypeError, match="must be an exception"):
            sender.close("failed")
        assert sender.closed is False
        sender.send(b"a")

    @pytest.mark.parametrize("error", [EOF("done"), EOF])
    def test_closing_with_eof_is_closing(self, error):
        sender, receiver = channel()
        sender.close(error)
        assert isinstance(received(receiver)[1], EOF)

    def test_a_sender_closed_on_another_thread_wakes_its_blocked_send(self, in_thread):
        sender, _receiver = channel(1)
        sender.send(b"a")
        sending = in_thread(lambda: sender.send(b"b"))
        time.sleep(0.02)
        assert not sending.ended
        sender.close()
        with pytest.raises(ChannelClosedError):
            sending.result()

    def test_closing_one_clone_leaves_a_blocked_send_of_another(self, in_thread):
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
        assert drained(instance)[0] == [(b"b", None)]

    @pytest.mark.parametrize(
        "end",
        [
            lambda instance, context: instance.close(),
            lambda instance, context: (instance.context.cancel(), drained(instance)),
        ],
        ids=["close", "cancel"],
    )
    def test_a_blocked_send_wakes_when_the_source_ends(self, in_thread, end):
        sender, receiver = channel(1)
        instance = PushInstance(receiver, timeout=0)
        sender.send(b"a")
        sending = [in_thread(lambda sender=sender.clone(): sender.send(b"b")) for _ in range(3)]
        time.sleep(0.02)
        assert not any(each.ended for each in sending)
        end(instance, instance.context)
        for each in sending:
            with pytest.raises(ChannelClosedError):
                each.result()

    @pytest.mark.parametrize("reader", [lambda receiver: receiver, PushInstance], ids=["receiver", "instance"])
    def test_a_send_is_refused_once_the_receiving_end_is_gone(self, in_thread, reader):
        sender, receiver = channel(1)
        receiver = reader(receiver)
        sender.send(b"a")
        sending = in_thread(lambda: sender.send(b"b"))
        del receiver
        gc.collect()
        with pytest.raises(ChannelClosedError):
            sending.result()
        assert sender.closed is True

    def test_a_producer_that_sends_on_after_the_end_is_refused_each_time(self):
        # From the second refusal on it is slowed down, which this test waits for once.
        sender, receiver = channel()
        PushInstance(receiver).close()
        with pytest.raises(ChannelClosedError):
            sender.send(b"a")
        with pytest.raises(ChannelClosedError) as caught:
            sender.send_many([b"b"])
        assert caught.value.taken == 0

    def test_dropping_a_sender_that_another_thread_sends_with_does_not_end_the_source(self, in_thread):
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


class TestGarbage:
    def test_dropping_the_last_sender_ends_the_source_with_an_error(self):
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

    def test_closing_the_last_sender_ends_the_source_normally_whatever_dropped_before(self):
        sender, receiver = channel()
        other = sender.clone()
        del sender
        gc.collect()
        other.close()
        assert isinstance(received(receiver)[1], EOF)

    @pytest.mark.parametrize("end", [EOF("done"), ValueError("bad")])
    def test_an_end_that_was_sent_counts_and_not_the_drop_after_it(self, end):
        sender, receiver = channel()
        sender.send(PushEvent(error=end))
        del sender
        gc.collect()
        assert type(received(receiver)[1]) is type(end)

    def test_a_sender_that_drops_after_the_source_was_closed_is_no_error(self, caplog):
        sender, receiver = channel()
        instance = PushInstance(receiver, timeout=0)
        instance.close()
        del sender
        gc.collect()
        with pytest.raises(EOF):
            instance.next_batch(EventBatch())
        assert caplog.text == ""

    def test_a_sender_in_a_cycle_is_noticed_too(self):
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

    def test_a_producer_whose_thread_dies_ends_the_source_with_an_error(self, in_thread):
        sender, receiver = channel()

        def produce(senders):
            senders.pop().send(b"last words")

        senders = [sender]
        del sender
        in_thread(lambda: produce(senders)).result()
        events, end = received(receiver)
        assert events == [(b"last words", None)]
        assert type(end) is PluginError
        assert re.match(DROPPED, str(end))

    def test_an_instance_that_waits_wakes_when_the_last_sender_goes(self, in_thread):
        sender, receiver = channel()
        instance = PushInstance(receiver, timeout=60)
        waiting = in_thread(lambda: instance.next_batch(EventBatch()))
        time.sleep(0.02)
        del sender
        gc.collect()
        with pytest.raises(PluginError, match=DROPPED):
            waiting.result()


class TestContextManager:
    def test_a_clean_exit_closes(self):
        sender, receiver = channel()
        with sender as same:
            assert same is sender
            same.send(b"a")
        assert sender.closed is True
        events, end = received(receiver)
        assert events == [(b"a", None)]
        assert isinstance(end, EOF)

    def test_an_exception_that_leaves_it_is_the_sources_error(self):
        sender, receiver = channel()
        error = ValueError("bad line 7")
        with pytest.raises(ValueError, match="bad line 7"), sender:
            sender.send(b"a")
            raise error
        assert received(receiver) == ([(b"a", None)], error)

    @pytest.mark.parametrize("error", [StopIteration("x"), EOFError("x"), TimeoutError("x")])
    def test_an_exception_that_looks_like_a_signal_says_which_was_meant(self, error):
        sender, receiver = channel()
        with pytest.raises(type(error)), sender:
            raise error
        _, end = received(receiver)
        assert type(end) is PluginError
        assert f"falco_plugin.{'Timeout' if isinstance(error, TimeoutError) else 'EOF'}" in str(end)
        assert end.__cause__ is error

    def test_a_closed_channel_ends_the_block_without_hiding_the_reason(self):
        sender, receiver = channel()
        PushInstance(receiver).close()
        with pytest.raises(ChannelClosedError), sender:
            sender.send(b"late")


class TestReceiver:
    def test_is_read_by_one_instance_only(self):
        _sender, receiver = channel()
        PushInstance(receiver)
        with pytest.raises(PluginError, match="another PushInstance"):
            PushInstance(receiver)

    def test_is_not_used_up_by_an_instance_that_could_not_be_made(self):
        sender, receiver = channel()
        with pytest.raises(ValueError, match="batch_size"):
            PushInstance(receiver, batch_size=0)
        sender.send(b"a")
        sender.close()
        assert received(receiver)[0] == [(b"a", None)]


def test_a_send_that_steps_in_from_many_threads_loses_nothing(in_thread):
    sender, receiver = channel(3, max_bytes=40)
    producers = 3

    def produce(number, sender):
        with sender:
            for count in range(100):
                sender.send(b"%d:%d" % (number, count))

    running = [in_thread(lambda n=number, s=sender.clone(): produce(n, s)) for number in range(producers)]
    sender.close()
    events, end = received(receiver)
    for each in running:
        each.result()
    assert isinstance(end, EOF)
    for number in range(producers):
        own = [data for data, _ in events if data.startswith(b"%d:" % number)]
        assert own == [b"%d:%d" % (number, count) for count in range(100)]


@pytest.mark.parametrize(
    "call",
    [
        lambda send: send(),
        lambda send: send(b"a", 1, 2),
        lambda send: send(b"a", unknown=1),
        lambda send: send(timestamp=1),
        lambda send: send(b"a", item=b"a"),
    ],
)
def test_arguments_that_send_does_not_take_are_a_type_error(call):
    sender, receiver = channel()
    with pytest.raises(TypeError, match="send"):
        call(sender.send)
    sender.send(item=b"a", timestamp=7, timeout=0)
    sender.close()
    assert drained(PushInstance(receiver))[0] == [(b"a", 7)]
