"""Tests a channel with concurrent senders, clones, flushes, closes, cancels and the host, in any order.

No event is lost or delivered twice, and the order of each sender is kept. The limits of the channel hold, no thread
hangs, and the source ends with the expected result.
"""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, suppress
from queue import Queue

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from test_sequences import HANGS, Broken, check_cleanup

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
HEAD = 3  # bytes of the worker's number and the event's number
MAX_WORKERS = 4

sizes = st.integers(HEAD, EVENT_SIZE)
waits = st.sampled_from([None, None, 0, 0.001])
worker_index = st.integers(0, MAX_WORKERS - 1)


class Worker:
    """A sender on a separate thread, which runs queued commands in order."""

    def __init__(self, number, sender, received_from):
        self.number, self.sender, self.received_from = number, sender, received_from
        self.offered = []  # events that the host may receive
        self.sent = []  # events that the host must receive unless it stops
        self.is_rejected = False
        self.failed_source = False
        self.problem = None
        self.commands = Queue()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def enqueue(self, command, *arguments):
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
                if not self.is_rejected or command is Worker.close:
                    command(self, *arguments)
            except ChannelClosedError:
                # The channel would delay another send by a second.
                self.is_rejected = True
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
            count = self.sender.send_many(items, timeout=timeout)
            assert count == len(items)
        except (ChannelFullError, ChannelClosedError) as error:
            count = error.taken
            self.is_rejected = isinstance(error, ChannelClosedError)
        self.sent += items[:count]

    def send_too_large(self):
        with pytest.raises(EventTooLargeError):
            self.sender.send(bytes(EVENT_SIZE + 1))

    def send_timeout(self):
        self.sender.send(PushEvent(error=Timeout()))

    def flush(self, timeout):
        if self.sender.flush(timeout):
            # All sent events were delivered and acknowledged by a later call of the host.
            assert self.received_from(self.number) == self.sent
        else:
            assert timeout is not None

    def close(self):
        self.sender.close()

    def fail(self):
        was_closed = self.sender.closed
        self.sender.close(Broken("broken"))
        self.failed_source = self.failed_source or not was_closed


class ChannelMachine(RuleBasedStateMachine):
    @initialize(
        capacity=st.integers(1, 6),
        max_bytes=st.integers(1, 80),
        batch_size=st.integers(1, 5),
        timeout=st.sampled_from([0.001, 0.003]),
    )
    def start(self, capacity, max_bytes, batch_size, timeout):
        self.stack = ExitStack()
        self.dropped = self.stack.enter_context(check_cleanup())
        self.capacity, self.max_bytes, self.batch_size = capacity, max_bytes, batch_size
        self.parent = Context()
        sender, receiver = channel(capacity, max_bytes=max_bytes, event_size=EVENT_SIZE)
        self.instance = PushInstance(receiver, context=self.parent, timeout=timeout, batch_size=batch_size)
        self.received = []
        self.end = None
        self.stopped = False
        self.cancels = 0
        self.waiting = []
        self.workers = [Worker(0, sender, self.received_from)]

    def received_from(self, number):
        return [data for data in self.received if data[0] == number]

    def enqueue(self, worker_index, command, *arguments):
        self.workers[worker_index % len(self.workers)].enqueue(command, *arguments)

    # Actions of senders

    @rule(
        worker_index=worker_index,
        size=sizes,
        kind=st.sampled_from([bytes, bytearray, memoryview, PushEvent]),
        timeout=waits,
    )
    def send(self, worker_index, size, kind, timeout):
        self.enqueue(worker_index, Worker.send, size, kind, timeout)

    @rule(worker_index=worker_index, sizes=st.lists(sizes, max_size=9), timeout=waits)
    def send_many(self, worker_index, sizes, timeout):
        self.enqueue(worker_index, Worker.send_many, sizes, timeout)

    @rule(worker_index=worker_index, timeout=waits)
    def flush(self, worker_index, timeout):
        self.enqueue(worker_index, Worker.flush, timeout)

    @rule(worker_index=worker_index, command=st.sampled_from([Worker.send_too_large, Worker.send_timeout]))
    def send_invalid_or_timeout(self, worker_index, command):
        self.enqueue(worker_index, command)

    @precondition(lambda self: len(self.workers) < MAX_WORKERS)
    @rule(worker_index=worker_index)
    def clone(self, worker_index):
        sender = self.workers[worker_index % len(self.workers)].sender
        # A closed sender cannot be cloned. The new worker then shares it.
        with suppress(ChannelClosedError):
            sender = sender.clone()
        self.workers.append(Worker(len(self.workers), sender, self.received_from))

    @rule(worker_index=worker_index, command=st.sampled_from([Worker.close, Worker.close, Worker.fail]))
    def close(self, worker_index, command):
        self.enqueue(worker_index, command)

    # Actions of the host and of other threads

    @rule(before=st.integers(0, 2))
    def next_batch(self, before):
        batch = EventBatch(before + self.batch_size, EVENT_SIZE)
        batch.extend([b"other"] * before)
        try:
            count = self.instance.next_batch(batch)
        except Timeout:
            count = 0
            assert self.end is None
        except (EOF, Broken) as end:
            count = 0
            assert self.end is None or type(end) is EOF, "the error was raised twice"
            self.end = self.end or end
        else:
            assert count >= 1
            assert self.end is None
        assert len(batch) == before + count
        self.received += [batch[before + index].data for index in range(count)]

    @rule()
    def catch_up(self):
        """Reads batches until every worker has run its queued commands."""
        deadline = time.monotonic() + HANGS
        while self.end is None and not all(worker.is_done(0) for worker in self.workers):
            assert time.monotonic() < deadline, "a sender hangs"
            self.next_batch(0)
        assert all(worker.is_done(HANGS) for worker in self.workers), "a sender hangs"

    @rule(method=st.sampled_from(["cancel", "cancel the parent", "close"]), skip=st.integers(0, 3))
    def stop(self, method, skip):
        if skip:
            return  # Stop rarely, so that more actions happen before the end.
        self.stopped = True
        {"cancel": self.instance.context.cancel, "cancel the parent": self.parent.cancel, "close": self.instance.close}[
            method
        ]()

    @precondition(lambda self: len(self.waiting) < 3)
    @rule()
    def wait_for_end(self):
        context = Context(self.instance.context)
        lock = threading.Lock()

        def count():
            with lock:
                self.cancels += 1

        context.on_cancel(count)
        self.waiting.append(threading.Thread(target=context.wait, daemon=True))
        self.waiting[-1].start()

    # Invariants

    @invariant()
    def workers_have_no_error(self):
        for worker in self.workers:
            if worker.problem is not None:
                raise worker.problem

    @invariant()
    def channel_limits_hold(self):
        # Read the received events last, so that no event counts as queued after its delivery.
        sent = [data for worker in self.workers for data in list(worker.sent)]
        queued = set(sent).difference(self.received)
        if self.end is None and not self.stopped:
            assert len(queued) <= self.capacity
            assert len(queued) <= 1 or sum(map(len, queued)) <= self.max_bytes

    @invariant()
    def events_are_ordered_and_unique(self):
        for worker in self.workers:
            offers = iter(list(worker.offered))
            assert all(data in offers for data in self.received_from(worker.number))

    def teardown(self):
        if not hasattr(self, "stack"):
            return
        with self.stack:
            for worker in self.workers:
                worker.enqueue(Worker.close)
            self.catch_up()
            while self.end is None:
                self.next_batch(0)
            self.instance.close()
            for worker in self.workers:
                worker.enqueue(None)
            for thread in [*self.waiting, *(worker.thread for worker in self.workers)]:
                thread.join(HANGS)
                assert not thread.is_alive(), "a thread hangs"
            self.workers_have_no_error()
            self.events_are_ordered_and_unique()
            self.check_end()

    def check_end(self):
        assert self.cancels == len(self.waiting)
        failed = type(self.end) is Broken
        assert failed or type(self.end) is EOF
        assert self.stopped or failed == any(worker.failed_source for worker in self.workers)
        for worker in self.workers:
            received = self.received_from(worker.number)
            assert received == worker.sent[: len(received)]
            if not self.stopped and not failed:
                assert received == worker.sent
        # Each event that the channel accepted is either delivered or counted as dropped.
        assert len(self.received) + sum(self.dropped) == sum(len(worker.sent) for worker in self.workers)


TestChannelMachine = ChannelMachine.TestCase
TestChannelMachine.settings = settings(stateful_step_count=30)
