"""Repeats the five tests of the Go package with this API.

In Go, one call may return events together with a reason to stop. In this API, a call returns events or raises the
reason, never both. A timeout after events is a success. An end after events is raised by the next call. A comment that
begins with "Go:" marks each difference.
"""

from __future__ import annotations

import threading
import time

import pytest

from falco_plugin.source import EOF, Context, EventBatch, PullInstance, PushEvent, PushInstance, Timeout, channel

DATA = bytes(100)


def test_pull():
    written = 0

    def pull(context, writer):
        nonlocal written
        if written == 0:
            time.sleep(0.05)
        if written == 3:
            raise EOF
        written += 1
        writer.write(DATA)

    closed = []
    instance = PullInstance(pull, timeout=0.01, close=lambda: closed.append(True))
    batch = instance.events

    # Go: returns 1 event and the timeout. Here the call returns the event.
    assert instance.next_batch(batch) == 1
    assert batch[0] == PushEvent(DATA)
    batch.clear()

    # Go: returns 2 events and the end. Here the next call raises the end. A busy machine may need two calls for the
    # two events, because the timeout of this test is 10 ms.
    assert instance.next_batch(batch) + (instance.next_batch(batch) if len(batch) < 2 else 0) == 2
    assert [batch[0].data, batch[1].data] == [DATA, DATA]
    with pytest.raises(EOF):
        instance.next_batch(batch)

    instance.close()
    assert closed == [True]
    with pytest.raises(EOF):
        instance.next_batch(batch)
    assert (len(batch), written) == (2, 3)


def test_pull_with_a_cancelled_context():
    def pull(context, writer):
        raise Timeout

    context = Context()
    instance = PullInstance(pull, context=context)
    batch = instance.events
    with pytest.raises(Timeout):
        instance.next_batch(batch)
    context.cancel()
    with pytest.raises(EOF):
        instance.next_batch(batch)
    assert len(batch) == 0


def test_push(in_thread):
    sender, receiver = channel()
    may_continue = threading.Event()

    def produce():
        sender.send(DATA)
        may_continue.wait(10)
        sender.send(DATA)
        sender.send(DATA)
        sender.send(PushEvent(error=EOF()))

    closed = []
    instance = PushInstance(receiver, timeout=0.1, close=lambda: closed.append(True))
    batch = instance.events
    producing = in_thread(produce)

    # Go: returns 1 event and the timeout. Here the call returns the event.
    # A producer that starts late causes timeouts first.
    for _ in range(100):
        try:
            assert instance.next_batch(batch) == 1
            break
        except Timeout:
            continue
    assert batch[0] == PushEvent(DATA)
    batch.clear()
    may_continue.set()
    producing.result()

    # Go: returns 2 events and the end. Here the next call raises the end.
    assert instance.next_batch(batch) == 2
    assert [batch[0].data, batch[1].data] == [DATA, DATA]
    with pytest.raises(EOF):
        instance.next_batch(batch)

    instance.close()
    assert closed == [True]
    with pytest.raises(EOF):
        instance.next_batch(batch)
    assert len(batch) == 2


def test_push_with_a_closed_channel():
    sender, receiver = channel()
    instance = PushInstance(receiver)
    batch = EventBatch()
    with pytest.raises(Timeout):
        instance.next_batch(batch)
    sender.close()
    with pytest.raises(EOF):
        instance.next_batch(batch)
    assert len(batch) == 0


def test_push_with_a_cancelled_context():
    _sender, receiver = channel()
    context = Context()
    instance = PushInstance(receiver, context=context)
    batch = EventBatch()
    with pytest.raises(Timeout):
        instance.next_batch(batch)
    context.cancel()
    with pytest.raises(EOF):
        instance.next_batch(batch)
    assert len(batch) == 0
