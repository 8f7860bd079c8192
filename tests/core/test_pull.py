"""Tests `PullInstance` and custom instances that read from other instances."""

from __future__ import annotations

import gc
import logging
import time
import traceback
import weakref

import pytest

from falco_plugin.source import (
    EOF,
    BaseInstance,
    BatchFullError,
    Context,
    EventBatch,
    EventTooLargeError,
    Instance,
    PluginError,
    PullInstance,
    PushEvent,
    RetryLater,
    Timeout,
)

NOW = 1_700_000_000_000_000_000
LONG = 3600  # longer than the time limit of a test


def contents(batch):
    return [(batch[index].data, batch[index].timestamp) for index in range(len(batch))]


def data(batch):
    return [payload for payload, _ in contents(batch)]


class Script:
    """A pull function that runs one step per call: it writes bytes, raises an exception, or calls a function."""

    def __init__(self, *steps, last=EOF):
        self.steps = list(steps)
        self.last = last
        self.calls = 0

    def __call__(self, context, writer):
        self.calls += 1
        step = self.steps.pop(0) if self.steps else self.last
        if isinstance(step, bytes):
            writer.write(step)
        elif isinstance(step, type | BaseException):
            raise step
        else:
            step(context, writer)


class TestResults:
    """Tests each result of `next_batch` of a pull instance."""

    def test_retry_later_follows_its_events_and_does_not_end_the_source(self):
        later = RetryLater(60, "the rate limit is reached")
        instance = PullInstance(Script(b"one", later, b"two", EOF))
        assert (instance.next_batch(instance.events), data(instance.events)) == (1, [b"one"])
        instance.events.clear()
        with pytest.raises(RetryLater) as raised:
            instance.next_batch(instance.events)
        assert raised.value is later
        assert (instance.next_batch(instance.events), data(instance.events)) == (1, [b"two"])
        instance.events.clear()
        with pytest.raises(EOF):
            instance.next_batch(instance.events)

    def test_full_batch_returns_immediately(self):
        function = Script(b"a", b"b", b"c")
        instance = PullInstance(function, timeout=LONG, batch_size=2)
        assert instance.next_batch(instance.events) == 2
        assert data(instance.events) == [b"a", b"b"]
        assert function.calls == 2

    def test_timeout_of_function_returns_partial_batch(self):
        function = Script(b"a", Timeout, Timeout, b"b", last=Timeout)
        instance = PullInstance(function, timeout=LONG)
        batch = EventBatch()
        assert instance.next_batch(batch) == 1
        with pytest.raises(Timeout):
            instance.next_batch(batch)
        assert instance.next_batch(batch) == 1
        assert data(batch) == [b"a", b"b"]
        with pytest.raises(Timeout):
            instance.next_batch(batch)

    def test_eof_of_function_ends_source(self):
        function = Script(EOF, b"never")
        instance = PullInstance(function, timeout=LONG)
        for _ in range(3):
            with pytest.raises(EOF):
                instance.next_batch(instance.events)
        assert function.calls == 1
        assert len(instance.events) == 0

    def test_other_error_ends_source_and_is_raised_once(self):
        error = OSError("disk gone")
        function = Script(error, b"never")
        instance = PullInstance(function, timeout=LONG)
        with pytest.raises(OSError, match="disk gone") as caught:
            instance.next_batch(instance.events)
        assert caught.value is error
        for _ in range(2):
            with pytest.raises(EOF):
                instance.next_batch(instance.events)
        assert function.calls == 1

    @pytest.mark.parametrize("end", [EOF(), ValueError("x"), KeyboardInterrupt(), SystemExit(3)], ids=repr)
    def test_events_precede_end(self, end):
        function = Script(b"a", b"b", end, b"never")
        instance = PullInstance(function, timeout=LONG)
        batch = EventBatch()
        assert instance.next_batch(batch) == 2
        with pytest.raises(type(end)):
            instance.next_batch(batch)
        with pytest.raises(EOF):
            instance.next_batch(batch)
        assert data(batch) == [b"a", b"b"]
        # User code is not called again after it has ended the source.
        assert function.calls == 3

    @pytest.mark.parametrize("failure", [Timeout, EOF, ValueError("x")], ids=repr)
    def test_event_of_failing_call_is_dropped(self, failure):
        def half(context, writer):
            writer.write(b"half an ev")
            raise failure

        instance = PullInstance(Script(b"whole", half), timeout=LONG)
        batch = EventBatch()
        assert instance.next_batch(batch) == 1
        with pytest.raises((Timeout, EOF, ValueError)):
            instance.next_batch(batch)
        assert data(batch) == [b"whole"]

    def test_slow_function_yields_one_event_per_call(self):
        def slow(context, writer):
            time.sleep(0.03)
            writer.write(b"slow")

        instance = PullInstance(slow, timeout=0.001)
        for _ in range(3):
            batch = EventBatch()
            assert instance.next_batch(batch) == 1
            assert data(batch) == [b"slow"]

    def test_zero_timeout_makes_one_attempt(self):
        function = Script(b"a", Timeout, b"b", b"c")
        instance = PullInstance(function, timeout=0)
        batch = EventBatch()
        assert instance.next_batch(batch) == 1
        with pytest.raises(Timeout):
            instance.next_batch(batch)
        assert function.calls == 2
        assert instance.next_batch(batch) == 1
        assert instance.next_batch(batch) == 1
        assert data(batch) == [b"a", b"b", b"c"]

    @pytest.mark.slow
    def test_clock_restarts_at_each_call(self):
        # Otherwise the clock would have expired already, and the second call would return after one event.
        pauses = [0.04] * 60
        instance = PullInstance(lambda context, writer: time.sleep(pauses.pop()), timeout=1, batch_size=128)
        assert 2 <= instance.next_batch(instance.events) < 60
        fresh = EventBatch(2)
        assert instance.next_batch(fresh) == 2

    @pytest.mark.parametrize("cancelled", ["instance", "parent"])
    def test_cancelled_context_ends_source_without_call(self, cancelled):
        parent = Context()
        function = Script(last=lambda context, writer: None)
        instance = PullInstance(function, context=parent, timeout=0)
        assert instance.next_batch(instance.events) == 1
        (instance.context if cancelled == "instance" else parent).cancel()
        batch = EventBatch()
        for _ in range(2):
            with pytest.raises(EOF):
                instance.next_batch(batch)
        assert (function.calls, len(batch)) == (1, 0)
        assert parent.cancelled is (cancelled == "parent")

    def test_cancel_returns_partial_batch_then_end(self):
        def cancel(context, writer):
            context.cancel()
            writer.write(b"the last")

        function = Script(b"a", cancel, b"never")
        instance = PullInstance(function, timeout=LONG)
        batch = EventBatch()
        assert instance.next_batch(batch) == 2
        with pytest.raises(EOF):
            instance.next_batch(batch)
        assert data(batch) == [b"a", b"the last"]
        assert function.calls == 2

    def test_context_precedes_function_and_clock(self):
        function = Script(b"never")
        instance = PullInstance(function, timeout=0)
        instance.context.cancel()
        with pytest.raises(EOF):
            instance.next_batch(instance.events)
        assert function.calls == 0

    def test_timestamp_is_not_inherited_from_preceding_event(self):
        def step(timestamp):
            def write(context, writer):
                assert writer.timestamp is None
                writer.timestamp = timestamp

            return write

        function = Script(step(NOW), step(None), step(NOW + 1), step(None))
        instance = PullInstance(function, timeout=LONG, batch_size=2)
        batch = instance.events
        assert instance.next_batch(batch) == 2
        assert contents(batch) == [(b"", NOW), (b"", None)]
        batch.clear()
        assert instance.next_batch(batch) == 2
        assert contents(batch) == [(b"", NOW + 1), (b"", None)]

    def test_function_without_write_makes_empty_event(self):
        instance = PullInstance(lambda context, writer: None, timeout=LONG, batch_size=3)
        assert instance.next_batch(instance.events) == 3
        assert contents(instance.events) == [(b"", None)] * 3

    def test_thousand_empty_events_are_warned_about(self, caplog):
        instance = PullInstance(lambda context, writer: None, timeout=LONG, batch_size=999)
        with caplog.at_level(logging.WARNING, "falco_plugin"):
            instance.next_batch(instance.events)
            assert caplog.text == ""
            instance.next_batch(EventBatch(1))
        assert "1000 times in a row" in caplog.text
        assert "falco_plugin.Timeout" in caplog.text

    def test_full_batch_is_rejected_before_call(self):
        function = Script(b"a")
        instance = PullInstance(function, timeout=LONG)
        batch = EventBatch(1)
        batch.append(b"old")
        with pytest.raises(BatchFullError):
            instance.next_batch(batch)
        assert function.calls == 0
        assert data(batch) == [b"old"]
        batch.clear()
        assert instance.next_batch(batch) == 1


class TestPullFunction:
    def test_receives_context_of_instance_and_writer(self):
        calls = []
        parent = Context()
        instance = PullInstance(lambda *arguments: calls.append(arguments), context=parent, batch_size=1)
        instance.next_batch(instance.events)
        ((context, _writer),) = calls
        assert context is instance.context
        assert context is not parent

    @pytest.mark.parametrize("function", [None, 5, b"bytes", "text"])
    def test_must_be_callable(self, function):
        with pytest.raises(TypeError, match="function must be callable with"):
            PullInstance(function)

    @pytest.mark.parametrize("value", [b"event", "event", bytearray(b"event"), memoryview(b"event")])
    def test_returning_event_is_rejected_with_advice(self, value):
        instance = PullInstance(lambda context, writer: value)
        with pytest.raises(TypeError, match=r"writer\.write\(data\)"):
            instance.next_batch(instance.events)
        with pytest.raises(EOF):
            instance.next_batch(instance.events)
        assert len(instance.events) == 0

    def test_may_return_result_of_write(self):
        instance = PullInstance(lambda context, writer: writer.write(b"abc"), batch_size=1)
        assert instance.next_batch(instance.events) == 1

    @pytest.mark.parametrize(
        ("error", "signal"), [(EOFError("x"), "EOF"), (StopIteration("x"), "EOF"), (TimeoutError("x"), "Timeout")]
    )
    def test_signal_like_exception_names_signal(self, error, signal):
        instance = PullInstance(Script(error))
        with pytest.raises(PluginError, match=rf"{type(error).__name__}: x \(.*falco_plugin\.{signal}\)") as caught:
            instance.next_batch(instance.events)
        assert type(caught.value) is PluginError
        assert caught.value.__cause__ is error
        with pytest.raises(EOF):
            instance.next_batch(instance.events)

    def test_exception_shows_location_in_function(self):
        def fail(context, writer):
            raise ValueError("user error")

        instance = PullInstance(fail)
        with pytest.raises(ValueError, match="user error") as caught:
            instance.next_batch(instance.events)
        assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "fail"

    def test_too_large_write_ends_source_unless_caught(self):
        def catch_error(context, writer):
            writer.write(b"12")
            with pytest.raises(EventTooLargeError):
                writer.write(b"345")

        def fail_on_error(context, writer):
            writer.write(b"12345")

        function = Script(b"a", catch_error, b"b", fail_on_error, b"never")
        instance = PullInstance(function, timeout=LONG, event_size=4)
        batch = EventBatch(16, 4)
        assert instance.next_batch(batch) == 2
        with pytest.raises(EventTooLargeError) as caught:
            instance.next_batch(batch)
        assert (caught.value.size, caught.value.event_size) == (5, 4)
        with pytest.raises(EOF):
            instance.next_batch(batch)
        assert data(batch) == [b"a", b"b"]

    @pytest.mark.parametrize("own_batch", [True, False])
    def test_cannot_call_its_own_instance(self, own_batch):
        errors = []

        def call_itself(context, writer):
            with pytest.raises(PluginError) as caught:
                instance.next_batch(instance.events if own_batch else EventBatch())
            errors.append(str(caught.value))
            writer.write(b"continued")

        instance = PullInstance(call_itself, batch_size=1)
        assert instance.next_batch(instance.events) == 1
        assert data(instance.events) == [b"continued"]
        assert ("in use elsewhere" if own_batch else "already running") in errors[0]

    def test_second_thread_cannot_call_running_instance(self, in_thread):
        def call_on_other_thread(context, writer):
            with pytest.raises(PluginError, match="one thread at a time"):
                in_thread(lambda: instance.next_batch(EventBatch())).result()

        instance = PullInstance(call_on_other_thread, batch_size=1)
        assert instance.next_batch(instance.events) == 1

    def test_batch_is_unusable_during_call(self):
        def use_batch(context, writer):
            for call in (lambda: batch.append(b"x"), batch.clear, lambda: len(batch), lambda: batch[0]):
                with pytest.raises(PluginError, match="in use elsewhere"):
                    call()
            writer.write(b"a")

        batch = EventBatch(1)
        instance = PullInstance(use_batch)
        assert instance.next_batch(batch) == 1
        assert data(batch) == [b"a"]


class TestWriter:
    def test_kept_writer_raises_after_call(self):
        kept = []

        def keep_writer(context, writer):
            kept.append(writer)
            writer.write(b"a")

        instance = PullInstance(keep_writer, batch_size=1)
        assert instance.next_batch(instance.events) == 1
        (writer,) = kept
        for use in (lambda: writer.write(b"late"), lambda: writer.reserve(1), lambda: writer.timestamp):
            with pytest.raises(PluginError, match="only during the call"):
                use()
        assert data(instance.events) == [b"a"]

    def test_writer_raises_on_other_thread(self, in_thread):
        def write_on_other_thread(context, writer):
            with pytest.raises(PluginError, match=r"source\.channel\(\)"):
                in_thread(lambda: writer.write(b"foreign")).result()
            writer.write(b"own")

        instance = PullInstance(write_on_other_thread, batch_size=1)
        assert instance.next_batch(instance.events) == 1
        assert data(instance.events) == [b"own"]

    def test_kept_view_cannot_change_events(self):
        views = []

        def keep_view(context, writer):
            view = writer.reserve(4)
            view[:] = b"good"
            views.append(view)
            writer.commit(4)
            for each in views:
                each[:] = b"evil"

        instance = PullInstance(keep_view, timeout=LONG, batch_size=4)
        assert instance.next_batch(instance.events) == 4
        assert data(instance.events) == [b"good"] * 4


class TestClose:
    def test_cancels_context_then_calls_callback_once(self):
        calls = []
        parent = Context()
        instance = PullInstance(Script(b"a"), context=parent, close=lambda: calls.append(instance.context.cancelled))
        instance.close()
        instance.close()
        assert calls == [True]
        assert parent.cancelled is False

    def test_source_has_ended_after_close(self):
        function = Script(b"a")
        instance = PullInstance(function)
        instance.close()
        for _ in range(2):
            with pytest.raises(EOF):
                instance.next_batch(instance.events)
        assert function.calls == 0

    def test_callback_may_use_instance(self):
        calls = []

        def close():
            with pytest.raises(EOF):
                instance.next_batch(instance.events)
            instance.close()
            calls.append(instance.progress())

        instance = PullInstance(Script(b"a"), close=close)
        instance.close()
        assert calls == [(0.0, "")]

    def test_wakes_function_waiting_on_context(self, in_thread):
        instance = PullInstance(lambda context, writer: context.wait(LONG), timeout=LONG)
        running = in_thread(lambda: instance.next_batch(instance.events))
        time.sleep(0.02)
        instance.close()
        assert running.result() == 1
        with pytest.raises(EOF):
            instance.next_batch(EventBatch())


class TestProgress:
    def test_is_zero_without_callback(self):
        assert PullInstance(Script()).progress() == (0.0, "")
        assert BaseInstance().progress() == (0.0, "")

    def test_returns_result_of_callback(self):
        assert PullInstance(Script(), progress=lambda: (0.25, "1 of 4")).progress() == (0.25, "1 of 4")

    def test_propagates_exception_of_callback(self):
        with pytest.raises(ZeroDivisionError):
            PullInstance(Script(), progress=lambda: 1 / 0).progress()


class TestEvents:
    def test_has_requested_sizes(self):
        instance = PullInstance(Script(), batch_size=5, event_size=77)
        assert (instance.events.batch_size, instance.events.event_size) == (5, 77)
        assert isinstance(instance, Instance)

    def test_accepts_only_a_batch(self):
        instance = PullInstance(Script(b"a"))
        batch = EventBatch(1, 8)
        instance.events = batch
        assert instance.events is batch
        with pytest.raises(TypeError):
            instance.events = [b"a"]
        assert instance.events is batch

    def test_next_batch_rejects_other_types(self):
        with pytest.raises(TypeError):
            PullInstance(Script(b"a")).next_batch([])


class Merged(BaseInstance):
    """A custom instance that reads from other instances."""

    def __init__(self, *parts, **options):
        super().__init__(**options)
        self.parts = parts

    def next_batch(self, batch):
        return sum(part.next_batch(batch) for part in self.parts)


class TestNestedInstances:
    def test_shared_batch_has_events_in_order_of_calls(self):
        one = PullInstance(Script(b"a", b"b", Timeout, b"c"), timeout=LONG)
        two = PullInstance(Script(b"1", Timeout, b"2", b"3"), timeout=LONG)
        merged = Merged(one, two, batch_size=8)
        batch = merged.events
        assert merged.next_batch(batch) == 3
        assert data(batch) == [b"a", b"b", b"1"]
        # `next_batch` appends to the batch and never clears it.
        assert merged.next_batch(batch) == 3
        assert data(batch) == [b"a", b"b", b"1", b"c", b"2", b"3"]
        with pytest.raises(EOF):
            merged.next_batch(batch)

    def test_second_instance_is_rejected_for_full_batch(self):
        two = Script(b"1")
        merged = Merged(PullInstance(Script(b"a", b"b"), timeout=LONG), PullInstance(two, timeout=LONG), batch_size=2)
        with pytest.raises(BatchFullError):
            merged.next_batch(merged.events)
        assert data(merged.events) == [b"a", b"b"]
        assert two.calls == 0

    def test_function_may_read_other_instance(self):
        inner = PullInstance(Script(b"one", b"two"), timeout=LONG)

        def outer(context, writer):
            batch = EventBatch(1)
            inner.next_batch(batch)
            writer.write(batch[0].data.upper())

        instance = PullInstance(outer, timeout=LONG)
        assert instance.next_batch(instance.events) == 2
        assert data(instance.events) == [b"ONE", b"TWO"]
        with pytest.raises(EOF):
            instance.next_batch(instance.events)

    def test_items_can_be_moved_between_batches(self):
        instance = PullInstance(Script(b"a", b"b"), timeout=LONG)
        batch, other = EventBatch(), EventBatch()
        instance.next_batch(batch)
        assert other.extend(batch[index] for index in range(len(batch))) == 2
        assert other[0] == PushEvent(b"a")

    def test_base_instance_requires_next_batch(self):
        with pytest.raises(PluginError, match="BaseInstance must define next_batch"):
            BaseInstance().next_batch(EventBatch())

    def test_base_instance_context_is_child_of_users(self):
        parent = Context()
        instance = BaseInstance(context=parent)
        assert instance.context is not parent
        parent.cancel()
        assert instance.context.cancelled is True


def test_instance_in_cycle_with_function_is_collected():
    class Reader:
        def __init__(self):
            self.instance = PullInstance(self.pull, close=self.close)

        def pull(self, context, writer):
            raise EOF

        def close(self):
            pass

    reader = weakref.ref(Reader())
    gc.collect()
    assert reader() is None
