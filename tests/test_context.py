from __future__ import annotations

import gc
import logging
import time
import weakref
from datetime import timedelta

import pytest

from falco_plugin import Context


def test_a_new_context_is_not_cancelled_until_it_is():
    context = Context()
    assert context.cancelled is False
    context.cancel()
    assert context.cancelled is True
    context.cancel()
    assert context.cancelled is True


def test_cancelling_the_parent_cancels_all_below_it():
    parent = Context()
    child = Context(parent)
    grandchild = Context(parent=child)
    parent.cancel()
    assert (child.cancelled, grandchild.cancelled) == (True, True)


def test_cancelling_a_child_leaves_parent_and_siblings():
    parent = Context()
    child, sibling = Context(parent), Context(parent)
    child.cancel()
    assert (parent.cancelled, child.cancelled, sibling.cancelled) == (False, True, False)


def test_a_child_of_a_cancelled_context_is_cancelled():
    parent = Context()
    parent.cancel()
    assert Context(parent).cancelled is True


def test_a_child_stays_below_its_grandparent_when_nobody_holds_its_parent():
    # Otherwise an instance would outlive the cancelling of a context that it was derived from in two steps.
    top = Context()
    child = Context(Context(top))
    gc.collect()
    top.cancel()
    assert child.cancelled is True


def test_a_parent_keeps_no_child_alive():
    parent = Context()
    child = weakref.ref(Context(parent))
    gc.collect()
    assert child() is None


@pytest.mark.parametrize("timeout", [0, 0.01, timedelta(milliseconds=10)])
def test_wait_says_false_when_the_time_is_up(timeout):
    assert Context().wait(timeout) is False


@pytest.mark.parametrize("timeout", [0, 60, None])
def test_wait_says_true_at_once_where_it_is_cancelled(timeout):
    context = Context()
    context.cancel()
    assert context.wait(timeout) is True


@pytest.mark.parametrize("timeout", [60, None])
def test_cancel_wakes_a_waiter_on_the_context_and_on_its_child(in_thread, timeout):
    context = Context()
    child = Context(context)
    waiters = [in_thread(lambda: context.wait(timeout)), in_thread(lambda: child.wait(timeout=timeout))]
    time.sleep(0.02)
    assert not any(waiter.ended for waiter in waiters)
    started = time.monotonic()
    context.cancel()
    assert [waiter.result() for waiter in waiters] == [True, True]
    assert time.monotonic() - started < 10


def test_callbacks_run_once_on_the_cancelling_thread_in_order():
    context = Context()
    seen = []
    context.on_cancel(lambda: seen.append(("first", context.cancelled)))
    context.on_cancel(lambda: seen.append(("second", context.cancelled)))
    assert seen == []
    context.cancel()
    context.cancel()
    assert seen == [("first", True), ("second", True)]


def test_a_callback_on_a_child_runs_when_the_parent_is_cancelled():
    parent = Context()
    child = Context(parent)
    seen = []
    child.on_cancel(lambda: seen.append("child"))
    parent.cancel()
    child.cancel()
    assert seen == ["child"]


def test_a_callback_that_comes_too_late_runs_at_once():
    context = Context()
    context.cancel()
    seen = []
    context.on_cancel(lambda: seen.append(1))
    assert seen == [1]


def test_a_callback_may_use_its_context():
    # No lock may be held while it runs.
    context = Context()
    seen = []

    def callback():
        context.cancel()
        context.on_cancel(lambda: seen.append("inner"))
        seen.append(context.wait(10))
        seen.append(Context(context).cancelled)

    context.on_cancel(callback)
    context.cancel()
    assert seen == ["inner", True, True]


def test_a_callback_that_raises_is_logged_and_the_next_one_runs(caplog):
    context = Context()
    seen = []

    def broken():
        raise ValueError("broken callback")

    context.on_cancel(broken)
    context.on_cancel(lambda: seen.append(1))
    with caplog.at_level(logging.ERROR, "falco_plugin"):
        context.cancel()
    assert seen == [1]
    assert "ValueError: broken callback" in caplog.text


def test_repr_says_whether_it_is_cancelled():
    context = Context()
    assert repr(context) == "Context(cancelled=False)"
    context.cancel()
    assert repr(context) == "Context(cancelled=True)"


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: Context("parent"), TypeError, "parent"),
        (lambda: Context().on_cancel(1), TypeError, "callable"),
        (lambda: Context().wait(-1), ValueError, "timeout must be 0 seconds or more"),
        (lambda: Context().wait("1"), TypeError, "timeout must be seconds"),
    ],
)
def test_bad_arguments_are_refused_by_name(call, error, text):
    with pytest.raises(error, match=text):
        call()
