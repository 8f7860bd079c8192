"""Tests `Context`: cancellation, waiting, callbacks and the file descriptor."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import select
import threading
import time
import weakref
from datetime import timedelta

import pytest

from falco_plugin import Context


def test_new_context_is_not_cancelled():
    context = Context()
    assert context.cancelled is False
    context.cancel()
    assert context.cancelled is True
    context.cancel()
    assert context.cancelled is True


def test_cancelled_parent_cancels_descendants():
    parent = Context()
    child = Context(parent)
    grandchild = Context(parent=child)
    parent.cancel()
    assert (child.cancelled, grandchild.cancelled) == (True, True)


def test_cancelled_child_keeps_parent_and_siblings():
    parent = Context()
    child, sibling = Context(parent), Context(parent)
    child.cancel()
    assert (parent.cancelled, child.cancelled, sibling.cancelled) == (False, True, False)


def test_child_of_cancelled_context_is_cancelled():
    parent = Context()
    parent.cancel()
    assert Context(parent).cancelled is True


def test_grandchild_is_cancelled_after_parent_is_dropped():
    # Otherwise an instance would continue after its grandparent context is cancelled.
    top = Context()
    child = Context(Context(top))
    gc.collect()
    top.cancel()
    assert child.cancelled is True


def test_parent_does_not_keep_children_alive():
    parent = Context()
    child = weakref.ref(Context(parent))
    gc.collect()
    assert child() is None


@pytest.mark.parametrize("timeout", [0, 0.01, timedelta(milliseconds=10)])
def test_wait_returns_false_after_timeout(timeout):
    assert Context().wait(timeout) is False


@pytest.mark.parametrize("timeout", [0, 60, None])
def test_wait_returns_true_if_already_cancelled(timeout):
    context = Context()
    context.cancel()
    assert context.wait(timeout) is True


@pytest.mark.parametrize("timeout", [3600, None])
def test_cancel_wakes_waiters_on_context_and_child(in_thread, timeout):
    context = Context()
    child = Context(context)
    waiters = [in_thread(lambda: context.wait(timeout)), in_thread(lambda: child.wait(timeout=timeout))]
    time.sleep(0.02)
    assert not any(waiter.ended for waiter in waiters)
    context.cancel()
    assert [waiter.result() for waiter in waiters] == [True, True]


def test_callbacks_run_once_in_order_on_cancelling_thread():
    context = Context()
    calls = []
    context.on_cancel(lambda: calls.append(("first", context.cancelled)))
    context.on_cancel(lambda: calls.append(("second", context.cancelled)))
    assert calls == []
    context.cancel()
    context.cancel()
    assert calls == [("first", True), ("second", True)]


def test_callback_of_child_runs_on_cancelled_parent():
    parent = Context()
    child = Context(parent)
    calls = []
    child.on_cancel(lambda: calls.append("child"))
    parent.cancel()
    child.cancel()
    assert calls == ["child"]


def test_late_callback_runs_immediately():
    context = Context()
    context.cancel()
    calls = []
    context.on_cancel(lambda: calls.append(1))
    assert calls == [1]


def test_callback_may_use_its_context():
    # No lock may be held while a callback runs.
    context = Context()
    calls = []

    def callback():
        context.cancel()
        context.on_cancel(lambda: calls.append("inner"))
        calls.append(context.wait(10))
        calls.append(Context(context).cancelled)

    context.on_cancel(callback)
    context.cancel()
    assert calls == ["inner", True, True]


def test_failing_callback_is_logged_and_next_runs(caplog):
    context = Context()
    calls = []

    def broken():
        raise ValueError("broken callback")

    context.on_cancel(broken)
    context.on_cancel(lambda: calls.append(1))
    with caplog.at_level(logging.ERROR, "falco_plugin"):
        context.cancel()
    assert calls == [1]
    assert "ValueError: broken callback" in caplog.text


def test_repr_shows_whether_cancelled():
    context = Context()
    assert repr(context) == "Context(cancelled=False)"
    context.cancel()
    assert repr(context) == "Context(cancelled=True)"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Context("parent"), TypeError, "parent"),
        (lambda: Context().on_cancel(1), TypeError, "callable"),
        (lambda: Context().wait(-1), ValueError, "timeout must be 0 seconds or more"),
        (lambda: Context().wait("1"), TypeError, "timeout must be a number of seconds"),
    ],
    ids=["parent", "callback", "negative timeout", "str timeout"],
)
def test_invalid_arguments_are_rejected_by_name(call, error, message):
    with pytest.raises(error, match=message):
        call()


def is_readable(descriptor, timeout=0):
    return bool(select.select([descriptor], [], [], timeout)[0])


class TestFileno:
    def test_fileno_is_readable_after_cancel(self):
        context = Context()
        number = context.fileno()
        assert not is_readable(context)
        context.cancel()
        assert [is_readable(context), is_readable(number), context.fileno()] == [True, True, number]

    @pytest.mark.parametrize("opened", ["before", "after"])
    def test_fileno_is_readable_after_cancel_of_parent(self, opened):
        parent = Context()
        child = Context(Context(parent))
        if opened == "before":
            assert not is_readable(child)
        parent.cancel()
        assert is_readable(child)

    def test_fileno_of_parent_ignores_cancelled_child(self):
        parent = Context()
        child = Context(parent)
        assert parent.fileno() != child.fileno()
        child.cancel()
        assert (is_readable(child), is_readable(parent)) == (True, False)

    def test_fileno_wakes_select(self, in_thread):
        context = Context()
        waiting = in_thread(lambda: is_readable(context, 60))
        context.cancel()
        assert waiting.result() is True

    def test_fileno_is_readable_before_callbacks(self):
        # A callback may wait for a thread that waits on the descriptor.
        context = Context()
        calls = []
        context.on_cancel(lambda: calls.append(is_readable(context)))
        context.fileno()
        context.cancel()
        assert calls == [True]

    def test_fileno_works_in_event_loop(self):
        async def main(context):
            loop = asyncio.get_running_loop()
            cancelled = asyncio.Event()
            loop.add_reader(context, cancelled.set)
            threading.Thread(target=context.cancel).start()
            await asyncio.wait_for(cancelled.wait(), 60)
            loop.remove_reader(context)

        asyncio.run(main(Context()))

    def test_fileno_is_opened_once_and_closed_with_context(self):
        def is_open(number):
            try:
                os.fstat(number)
            except OSError:
                return False
            return True

        def count():
            return len(os.listdir("/proc/self/fd"))

        # Garbage of other tests may have open descriptors, too.
        gc.collect()
        before = count()
        contexts = [Context() for _ in range(20)]
        assert count() == before
        parent = Context()
        for context in contexts:
            context.fileno()
        child = Context(parent)
        number = child.fileno()
        assert count() == before + 21
        del contexts, context, child
        gc.collect()
        assert count() == before
        assert not is_open(number)
        parent.cancel()

    def test_fileno_is_not_inherited(self):
        assert os.get_inheritable(Context().fileno()) is False

    # pytest-xdist has a second thread. Only Python 3.15 makes an exception of the warning.
    @pytest.mark.filterwarnings("ignore:.*is multi-threaded, use of fork:DeprecationWarning")
    def test_cancel_in_forked_child_keeps_parent(self):
        context = Context()
        context.fileno()
        child = os.fork()
        if not child:
            context.cancel()
            os._exit(is_readable(context))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1, "the child's own descriptor is readable"
        assert not is_readable(context)

    def test_fileno_raises_without_free_descriptor(self):
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        context = Context()
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, limit[1]))
            with pytest.raises(OSError, match="Too many open files"):
                context.fileno()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        assert context.fileno() > 0
