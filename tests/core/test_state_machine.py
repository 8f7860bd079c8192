"""Senders on threads of their own, clones, flushes, closes, cancels and the host, in any order that hypothesis finds:
nothing is lost, nothing comes twice, each sender's order stays, the bounds hold, nobody hangs, and the end is right."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, suppress
from queue import Queue

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from test_sequences import HANGS, Broken, nothing_left

from falco_plugin.source import (
    EOF,
    ChannelClosedError,
    ChannelFullError,
    Context,
    EventBatch,
    EventTooLargeError,
    PushEvent,
    PushInstance,
    Timeout,
    channel,
)

EVENT_SIZE = 24
HEAD = 3  # whose it is, and the how manyth
MAX_WORKERS = 4

sizes = st.integers(HEAD, EVENT_SIZE)
waits = st.sampled_from([None, None, 0, 0.001])
who = st.integers(0, MAX_WORKERS - 1)


class Worker:
    """A sender on a thread of its own, which does one command after the other."""

    def __init__(self, number, sender, seen_of):
        self.number, self.sender, self.seen_of = number, sender, seen_of
        self.offered = []  # what the host may see
        self.sent = []  # what it has to, unless it stops
        self.refused = False
        self.last_word = False
        self.problem = None
        self.commands = Queue()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def tell(self, command, *arguments):
        self.commands.put((command, arguments))

    def is_done(self, wait):
        done = self.commands.all_tasks_done
        with done:
            return done.wait_for(lambda: not self.commands.unfinished_tasks, wait)

    def run(self):
        while True:
            command, arguments = self.commands.get()
            try:
                if command is None:
                    return
                if not self.refused or command is Worker.close:
                    command(self, *arguments)
            except ChannelClosedError:
                # Another send would be held up for a second.
                self.refused = True
            except BaseException as problem:
                self.problem = problem
            finally:
                self.commands.task_done()

    def make(self, size):
        number = len(self.offered)
        self.offered.append(bytes([self.number, number >> 8, number & 255]).ljust(size, b"."))
        return self.offered[-1]

    def send(self, size, kind, timeout):
        data = self.make(size)
        try:
            self.sender.send(kind(data), timeout=timeout)
        except ChannelFullError:
            assert timeout is not None
            return
        self.sent.append(data)

    def send_many(self, sizes, timeout):
        items = [self.make(size) for size in sizes]
        try:
            taken = self.sender.send_many(items, timeout=timeout)
            assert taken == len(items)
        except (ChannelFullError, ChannelClosedError) as error:
            taken = error.taken
            self.refused = isinstance(error, ChannelClosedError)
        self.sent += items[:taken]

    def send_too_large(self):
        with pytest.raises(EventTooLargeError):
            self.sender.send(bytes(EVENT_SIZE + 1))

    def send_timeout(self):
        self.sender.send(PushEvent(error=Timeout()))

    def flush(self, timeout):
        if self.sender.flush(timeout):
            # What was sent has been handed over, and the host came back after it.
            assert self.seen_of(self.number) == self.sent
        else:
            assert timeout is not None

    def close(self):
        self.sender.close()

    def fail(self):
        was_closed = self.sender.closed
        self.sender.close(Broken("broken"))
        self.last_word = self.last_word or not was_closed


class Machine(RuleBasedStateMachine):
    @initialize(
        capacity=st.integers(1, 6),
        max_bytes=st.integers(1, 80),
        batch_size=st.integers(1, 5),
        timeout=st.sampled_from([0.001, 0.003]),
    )
    def start(self, capacity, max_bytes, batch_size, timeout):
        self.stack = ExitStack()
        self.dropped = self.stack.enter_context(nothing_left())
        self.capacity, self.max_bytes, self.batch_size = capacity, max_bytes, batch_size
        self.parent = Context()
        sender, receiver = channel(capacity, max_bytes=max_bytes, event_size=EVENT_SIZE)
        self.instance = PushInstance(receiver, context=self.parent, timeout=timeout, batch_size=batch_size)
        self.seen = []
        self.end = None
        self.stopped = False
        self.cancels = 0
        self.waiting = []
        self.workers = [Worker(0, sender, self.seen_of)]

    def seen_of(self, number):
        return [data for data in self.seen if data[0] == number]

    def tell(self, who, command, *arguments):
        self.workers[who % len(self.workers)].tell(command, *arguments)

    # What senders do

    @rule(who=who, size=sizes, kind=st.sampled_from([bytes, bytearray, memoryview, PushEvent]), timeout=waits)
    def send(self, who, size, kind, timeout):
        self.tell(who, Worker.send, size, kind, timeout)

    @rule(who=who, sizes=st.lists(sizes, max_size=9), timeout=waits)
    def send_many(self, who, sizes, timeout):
        self.tell(who, Worker.send_many, sizes, timeout)

    @rule(who=who, timeout=waits)
    def flush(self, who, timeout):
        self.tell(who, Worker.flush, timeout)

    @rule(who=who, command=st.sampled_from([Worker.send_too_large, Worker.send_timeout]))
    def send_no_event(self, who, command):
        self.tell(who, command)

    @precondition(lambda self: len(self.workers) < MAX_WORKERS)
    @rule(who=who)
    def clone(self, who):
        sender = self.workers[who % len(self.workers)].sender
        # A closed one has no clones, and may be shared.
        with suppress(ChannelClosedError):
            sender = sender.clone()
        self.workers.append(Worker(len(self.workers), sender, self.seen_of))

    @rule(who=who, command=st.sampled_from([Worker.close, Worker.close, Worker.fail]))
    def close(self, who, command):
        self.tell(who, command)

    # What the host and others do

    @rule(before=st.integers(0, 2))
    def next_batch(self, before):
        batch = EventBatch(before + self.batch_size, EVENT_SIZE)
        batch.extend([b"of another"] * before)
        try:
            count = self.instance.next_batch(batch)
        except Timeout:
            count = 0
            assert self.end is None
        except (EOF, Broken) as end:
            count = 0
            assert self.end is None or type(end) is EOF, "an error is told once"
            self.end = self.end or end
        else:
            assert count >= 1
            assert self.end is None
        assert len(batch) == before + count
        self.seen += [batch[before + index].data for index in range(count)]

    @rule()
    def catch_up(self):
        """The host goes on until every sender has done what it was told."""
        give_up = time.monotonic() + HANGS
        while self.end is None and not all(worker.is_done(0) for worker in self.workers):
            assert time.monotonic() < give_up, "a sender hangs"
            self.next_batch(0)
        assert all(worker.is_done(HANGS) for worker in self.workers), "a sender hangs"

    @rule(how=st.sampled_from(["cancel", "cancel the parent", "close"]), really=st.integers(0, 3))
    def stop(self, how, really):
        if really:
            return  # More happens where this is rare.
        self.stopped = True
        {"cancel": self.instance.context.cancel, "cancel the parent": self.parent.cancel, "close": self.instance.close}[
            how
        ]()

    @precondition(lambda self: len(self.waiting) < 3)
    @rule()
    def wait_for_the_end(self):
        context = Context(self.instance.context)
        lock = threading.Lock()

        def count():
            with lock:
                self.cancels += 1

        context.on_cancel(count)
        self.waiting.append(threading.Thread(target=context.wait, daemon=True))
        self.waiting[-1].start()

    # What must hold

    @invariant()
    def nobody_has_a_problem(self):
        for worker in self.workers:
            if worker.problem is not None:
                raise worker.problem

    @invariant()
    def the_bounds_hold(self):
        # What was seen is counted last, and so at least as high as when the others were.
        sent = [data for worker in self.workers for data in list(worker.sent)]
        inside = set(sent).difference(self.seen)
        if self.end is None and not self.stopped:
            assert len(inside) <= self.capacity
            assert len(inside) <= 1 or sum(map(len, inside)) <= self.max_bytes

    @invariant()
    def each_order_is_kept_and_nothing_comes_twice(self):
        for worker in self.workers:
            offers = iter(list(worker.offered))
            assert all(data in offers for data in self.seen_of(worker.number))

    def teardown(self):
        if not hasattr(self, "stack"):
            return
        with self.stack:
            for worker in self.workers:
                worker.tell(Worker.close)
            self.catch_up()
            while self.end is None:
                self.next_batch(0)
            self.instance.close()
            for worker in self.workers:
                worker.tell(None)
            for thread in [*self.waiting, *(worker.thread for worker in self.workers)]:
                thread.join(HANGS)
                assert not thread.is_alive(), "a thread hangs"
            self.nobody_has_a_problem()
            self.each_order_is_kept_and_nothing_comes_twice()
            self.the_end_is_right()

    def the_end_is_right(self):
        assert self.cancels == len(self.waiting)
        failed = type(self.end) is Broken
        assert failed or type(self.end) is EOF
        assert self.stopped or failed == any(worker.last_word for worker in self.workers)
        for worker in self.workers:
            seen = self.seen_of(worker.number)
            assert seen == worker.sent[: len(seen)]
            if not self.stopped and not failed:
                assert seen == worker.sent
        # Nothing that the channel took is neither seen nor counted.
        assert len(self.seen) + sum(self.dropped) == sum(len(worker.sent) for worker in self.workers)


TestMachine = Machine.TestCase
TestMachine.settings = settings(stateful_step_count=30)
