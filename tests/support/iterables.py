"""Iterables as sources, and a host that drives them, for tests."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager

import pytest

from falco_plugin.source import (
    EventTooLargeError,
    IterInstance,
    Timeout,
)

HANGS = 20
EVENT_SIZE = 24


class Broken(Exception):
    """An error that user code raises."""


def wait_until(condition: Callable[[], object]) -> None:
    """Waits until a condition is true."""
    give_up = time.monotonic() + HANGS
    while not condition():
        assert time.monotonic() < give_up, "the condition did not become true"
        time.sleep(0.001)


@contextmanager
def no_thread_left():
    before = set(threading.enumerate())
    yield
    wait_until(lambda: set(threading.enumerate()) <= before)


class Host:
    """Reads batches as Falco does."""

    def __init__(self, instance):
        self.instance = instance
        self.seen = []
        self.done = 0
        """The number of events that the host has acknowledged by its next call."""
        self.end = None

    def take(self):
        """Reads one batch."""
        batch = self.instance.events
        batch.clear()
        self.done = len(self.seen)
        try:
            count = self.instance.next_batch(batch)
        except Timeout:
            return
        except (Exception, SystemExit) as error:
            assert len(batch) == 0
            self.end = error
            return
        assert count == len(batch) >= 1
        self.seen += [(batch[index].data, batch[index].timestamp) for index in range(count)]

    def take_all(self):
        give_up = time.monotonic() + HANGS
        while self.end is None:
            assert time.monotonic() < give_up, "the source does not end"
            self.take()
        return self

    @property
    def data(self):
        return [data for data, _ in self.seen]


def drain(items, **options) -> Host:
    """Reads all events of items that end by themselves."""
    with no_thread_left():
        instance = IterInstance(items, **options)
        host = Host(instance).take_all()
        instance.close()
    return host


def make_async(make):
    """Makes an async generator function of the same steps, which yields to the event loop before each step."""

    async def items(context):
        steps = make(context)
        try:
            step = next(steps)
            while True:
                await asyncio.sleep(0)
                try:
                    yield step
                except EventTooLargeError as error:
                    step = steps.throw(error)
                else:
                    step = next(steps)
        except StopIteration:
            return
        finally:
            steps.close()

    return items


KINDS = {"generator": lambda make: make, "async generator": make_async}
kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
