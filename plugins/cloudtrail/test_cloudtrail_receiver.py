"""Tests that messages stay invisible until they are settled, with a queue in memory."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any, cast

import pytest
from plugins.cloudtrail.client import ClosedError
from plugins.cloudtrail.config import Config
from plugins.cloudtrail.message_queue import Message
from plugins.cloudtrail.plugin import CloudTrail
from plugins.cloudtrail.receiver import Receiver
from support.aws_server import wait_until

from falco_plugin import Context


class MemoryQueue:
    """A queue whose messages are visible again after a moment."""

    visibility = 0.04

    def __init__(self, count: int) -> None:
        body = json.dumps({"s3Bucket": "b", "s3ObjectKey": ["a.json"]})
        self.waiting = [Message(str(number), f"receipt {number}", body) for number in range(count)]
        self.extended: Counter[str] = Counter()
        self.released: list[str] = []
        self.error: Exception | None = None
        self._closed = threading.Event()

    def receive(self, context: Context, count: int) -> list[Message]:
        if self.error is not None:
            raise self.error
        found, self.waiting = self.waiting[:count], self.waiting[count:]
        if not found and context.wait(0.01):
            raise ClosedError
        return found

    def extend(self, _: Context, messages: list[Message]) -> None:
        self.extended.update(message.id for message in messages)

    def release(self, message: Message) -> None:
        self.released.append(message.id)


class NoDownloads:
    def start(self, bucket: str, key: str) -> Future[Any]:
        return Future()


@pytest.fixture
def context() -> Iterator[Context]:
    context = Context()
    yield context
    context.cancel()


@pytest.fixture
def receive(context: Context) -> Iterator[Callable[..., Receiver]]:
    with ExitStack() as stack:

        def receive(queue: MemoryQueue, concurrency: int = 1, plugin: CloudTrail | None = None) -> Receiver:
            config = Config(s3_download_concurrency=concurrency)
            receiver = Receiver(cast("Any", queue), cast("Any", NoDownloads()), context, plugin or CloudTrail(), config)
            return stack.enter_context(receiver)

        yield receive


def take(receiver: Receiver, count: int) -> list[Message]:
    found: list[Message] = []
    while len(found) < count:
        if received := receiver.next():
            found.append(received.message)
    return found


def test_visibility_is_extended_until_a_message_is_settled(receive: Callable[..., Receiver]) -> None:
    queue = MemoryQueue(2)
    receiver = receive(queue)
    settled, held = take(receiver, 2)
    wait_until(lambda: queue.extended[settled.id] > 1 and queue.extended[held.id] > 1)
    receiver.settle([settled])
    after = queue.extended[settled.id]
    before = queue.extended[held.id]
    wait_until(lambda: queue.extended[held.id] > before + 3)
    # One extension may have been under way.
    assert queue.extended[settled.id] <= after + 1


def test_number_of_messages_in_flight_is_limited(receive: Callable[..., Receiver]) -> None:
    queue, plugin = MemoryQueue(100), CloudTrail()
    receiver = receive(queue, concurrency=5, plugin=plugin)
    first = take(receiver, 15)
    time.sleep(0.05)
    assert len(queue.waiting) == 85
    assert plugin.messages_in_flight.value == 15
    receiver.settle(first[:3])
    take(receiver, 3)
    assert len(queue.waiting) == 82


def test_messages_that_are_not_settled_are_released_at_the_end(
    receive: Callable[..., Receiver], context: Context
) -> None:
    queue = MemoryQueue(3)
    receiver = receive(queue)
    first, *_ = take(receiver, 3)
    receiver.settle([first])
    context.cancel()
    with pytest.raises(ClosedError):
        receiver.next()
    receiver.__exit__(None, None, None)
    wait_until(lambda: sorted(queue.released) == ["1", "2"])


def test_failure_of_the_queue_ends_the_source(receive: Callable[..., Receiver]) -> None:
    queue = MemoryQueue(0)
    queue.error = ValueError("the queue is gone")
    with pytest.raises(ValueError, match="the queue is gone"):
        receive(queue).next()


def test_empty_queue_is_reported(receive: Callable[..., Receiver]) -> None:
    assert receive(MemoryQueue(0)).next() is None
