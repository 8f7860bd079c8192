"""Tests how an iterable source ends: normally, with an exception, or because it is closed."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest
from support.iterables import HANGS, Broken, Host, drain, kinds, no_thread_left, wait_until

from falco_plugin.source import (
    EOF,
    IterInstance,
    Timeout,
)


@kinds
def test_timeout_is_rejected_with_advice_despite_retry(kind):
    def items(context):
        yield b"a"
        raise Timeout

    host = drain(kind(items), retry=0.001)
    assert host.data == [b"a"]
    assert "Timeout cannot be raised in a generator" in str(host.end)
    assert "yield None" in str(host.end)
    assert isinstance(host.end.__cause__, Timeout)


@kinds
def test_library_exception_is_reported_unchanged(kind):
    def items(context):
        yield b"a"
        raise TimeoutError("timed out")

    end = drain(kind(items)).end
    assert (type(end), str(end)) == (TimeoutError, "timed out")


@pytest.mark.parametrize(("code", "end"), [(0, EOF), (None, EOF), (3, SystemExit)])
def test_normal_return_ends_source(code, end):
    def items(context):
        yield b"a"
        raise SystemExit(code)

    assert type(drain(items).end) is end


@kinds
def test_close_ends_generator_on_its_thread(kind):
    finished = []

    def items(context):
        try:
            while True:
                yield b"x"
        finally:
            finished.append((threading.current_thread().name, context.cancelled))

    with no_thread_left():
        instance = IterInstance(kind(items))
        Host(instance).take()
        instance.close()
    assert finished == [("falco-source", True)]


def test_close_cancels_task_of_async_generator():
    finished = []

    async def items(context):
        try:
            yield b"x"
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0)
            finished.append(True)

    with no_thread_left():
        instance = IterInstance(items)
        Host(instance).take()
        instance.close()
    assert finished == [True]


def test_close_wakes_generator_waiting_on_context():
    def items(context):
        yield b"x"
        assert context.wait(3600)

    with no_thread_left():
        instance = IterInstance(items)
        Host(instance).take()
        instance.close()


@kinds
def test_close_wakes_barrier_without_passing_it(kind):
    passed, waiting = [], threading.Event()

    def items(context):
        yield b"x"
        waiting.set()
        yield None
        passed.append(True)

    with no_thread_left():
        instance = IterInstance(kind(items))
        assert waiting.wait(HANGS)
        instance.close()
    assert passed == []


def test_close_does_not_wait_for_blocked_generator():
    may_continue = threading.Event()

    def items(context):
        yield b"x"
        may_continue.wait()

    with no_thread_left():
        instance = IterInstance(items)
        Host(instance).take()
        instance.close()
        may_continue.set()


def test_dropped_instance_ends_its_generator():
    def items(context):
        context.wait()
        yield b"x"

    with no_thread_left():
        instance = IterInstance(items)
        del instance
        gc.collect()


def test_file_is_closed_at_end_and_at_close(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"one\n" * 5000)
    finished = log.open("rb")
    assert len(drain(finished).data) == 5000
    assert finished.closed
    unfinished = log.open("rb")
    with no_thread_left():
        instance = IterInstance(unfinished)
        Host(instance).take()
        instance.close()
    assert unfinished.closed


def test_error_in_close_is_logged(caplog):
    def items(context):
        try:
            while True:
                yield b"x"
        finally:
            raise Broken("the cursor is not saved")

    with no_thread_left():
        instance = IterInstance(items)
        Host(instance).take()
        instance.close()
    assert "the cursor is not saved" in caplog.text


def test_async_source_with_only_barriers_ends():
    async def items(context):
        while True:
            yield None

    with no_thread_left():
        instance = IterInstance(items)
        Host(instance).take()
        instance.close()


def test_barrier_does_not_restart_iterator():
    class RestartsOnIter:
        def __iter__(self):
            self.items = [b"a", None, b"b"]
            return self

        def __next__(self):
            if not self.items:
                raise StopIteration
            return self.items.pop(0)

    assert drain(RestartsOnIter()).data == [b"a", b"b"]


def test_iterator_without_iter_is_accepted():
    class OnlyNext:
        def __init__(self):
            self.items = [b"a", None, b"b"]

        def __next__(self):
            if not self.items:
                raise StopIteration
            return self.items.pop(0)

    class Items:
        def __iter__(self):
            return OnlyNext()

    assert drain(Items()).data == [b"a", b"b"]


def test_cancellation_is_raised_at_waiting_yield():
    caught = []

    async def items(context):
        yield b"first"
        try:
            async with asyncio.timeout(0.01):
                yield None
        except TimeoutError as error:
            caught.append(type(error))
        yield b"second"

    with no_thread_left():
        instance = IterInstance(items)
        wait_until(lambda: caught)
        host = Host(instance).take_all()
        instance.close()
    assert host.data == [b"first", b"second"]
    assert caught == [TimeoutError]


def test_dropped_instance_keeps_exception():
    def fail_while_dropping():
        def items(context):
            context.on_cancel(lambda: None)
            yield b"x"
            context.wait()

        return len(IterInstance(items))

    with no_thread_left(), pytest.raises(TypeError, match="has no len"):
        fail_while_dropping()


def test_cancelled_task_may_await_cleanup():
    finished = []

    async def items(context):
        try:
            yield b"x"
            await asyncio.sleep(3600)
        finally:
            for _ in range(20):
                await asyncio.sleep(0.001)
            finished.append(True)

    with no_thread_left():
        instance = IterInstance(items)
        Host(instance).take()
        instance.context.cancel()
        instance.close()
    assert finished == [True]
