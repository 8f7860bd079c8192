"""One source of each kind, written as in typical user code."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress

from falco_plugin import EOF, Context, Timeout, source

from .plan import event
from .spec import Countdown, RequestedError, SourceSpec

_SIZE = 2 << 20
"""The size of the largest event, in bytes."""


def pull(spec: SourceSpec, context: Context) -> source.PullInstance:
    events = spec.events()

    def pull(context: Context, writer: source.EventWriter) -> None:
        if spec.dice.random() < 1 / 64:
            raise Timeout
        payload = next(events, None)
        if payload is None:
            spec.end()
            raise EOF
        if len(payload) % 2:
            writer.write(payload)
        else:
            writer.reserve(len(payload))[:] = payload
            writer.commit(len(payload))

    return source.PullInstance(pull, context=context, event_size=_SIZE)


def generator(spec: SourceSpec, context: Context) -> source.IterInstance:
    def events(context: Context) -> Iterator[bytes | None]:
        for payload in spec.events():
            yield payload
            if spec.dice.random() < 1 / 256:
                yield None
        spec.end()

    return source.IterInstance(events, context=context, event_size=_SIZE)


def async_generator(spec: SourceSpec, context: Context) -> source.IterInstance:
    async def events(context: Context) -> AsyncIterator[bytes | None]:
        for number in range(spec.count):
            if spec.dice.random() < 1 / 16:
                await asyncio.sleep(spec.pause())
            yield event(spec.key, 0, number)
            if spec.dice.random() < 1 / 256:
                yield None
        spec.end()

    return source.IterInstance(events, context=context, event_size=_SIZE)


def retry(spec: SourceSpec, context: Context) -> source.IterInstance:
    """Raises an exception at random, and continues after the last delivered event when it is retried."""
    delivered = 0

    def events(context: Context) -> Iterator[bytes]:
        nonlocal delivered
        for payload in spec.events(first=delivered):
            delivered += 1
            yield payload
            if spec.dice.random() < 1 / 256:
                raise RequestedError

    return source.IterInstance(events, retry=0.001, context=context, event_size=_SIZE)


def push(spec: SourceSpec, context: Context) -> source.PushInstance:
    sender, receiver = source.channel(spec.dice.choice([1, 16, 1024]), event_size=_SIZE)
    countdown = Countdown(spec.producers)

    def produce(producer: int, sender: source.Sender) -> None:
        with suppress(source.ChannelClosedError):
            for batch in spec.batches(producer):
                if spec.dice.random() < 0.5:
                    sender.send_many(batch)
                else:
                    for payload in batch:
                        sender.send(bytearray(payload) if len(payload) % 2 else payload)
            if countdown.is_last() and spec.fails:
                sender.close(RequestedError())
        sender.close()

    for producer in range(spec.producers):
        threading.Thread(target=produce, args=(producer, sender.clone()), daemon=True).start()
    sender.close()
    return source.PushInstance(receiver, context=context)


class Custom(source.BaseInstance):
    """A custom instance. It may raise after it has appended events, which the SDK then delivers first."""

    def __init__(self, spec: SourceSpec, context: Context) -> None:
        super().__init__(context=context, event_size=_SIZE)
        self._spec = spec
        self._events = spec.events()

    def next_batch(self, batch: source.EventBatch, /) -> int:
        for _ in range(self._spec.dice.randint(1, 100)):
            if batch.full:
                break
            payload = next(self._events, None)
            if payload is None:
                self._spec.end()
                raise EOF
            batch.append(payload)
        if self._spec.dice.random() < 1 / 16:
            raise Timeout
        return len(batch)

    def progress(self) -> tuple[float, str]:
        return 0.5, "half"


def file(spec: SourceSpec, context: Context) -> source.LinesInstance:
    return source.LinesInstance(spec.path, follow=True, context=context, event_size=_SIZE)


def pipe(spec: SourceSpec, context: Context) -> source.LinesInstance:
    return source.LinesInstance(spec.path, context=context, event_size=_SIZE)


KINDS: dict[str, Callable[[SourceSpec, Context], source.Instance]] = {
    "pull": pull,
    "generator": generator,
    "async": async_generator,
    "retry": retry,
    "push": push,
    "custom": Custom,
    "file": file,
    "pipe": pipe,
}
