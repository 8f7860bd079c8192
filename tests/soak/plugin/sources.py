"""Each kind of source, as an author would write it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress

from falco_plugin import EOF, Context, Timeout, source

from .plan import event
from .wishes import Countdown, Meant, Wish

_SIZE = 2 << 20
"""Bytes of the largest event."""


def pull(wish: Wish, context: Context) -> source.PullInstance:
    events = wish.events()

    def pull(context: Context, writer: source.EventWriter) -> None:
        if wish.dice.random() < 1 / 64:
            raise Timeout
        payload = next(events, None)
        if payload is None:
            wish.end()
            raise EOF
        if len(payload) % 2:
            writer.write(payload)
        else:
            writer.reserve(len(payload))[:] = payload
            writer.commit(len(payload))

    return source.PullInstance(pull, context=context, event_size=_SIZE)


def generator(wish: Wish, context: Context) -> source.IterInstance:
    def events(context: Context) -> Iterator[bytes | None]:
        for payload in wish.events():
            yield payload
            if wish.dice.random() < 1 / 256:
                yield None
        wish.end()

    return source.IterInstance(events, context=context, event_size=_SIZE)


def async_generator(wish: Wish, context: Context) -> source.IterInstance:
    async def events(context: Context) -> AsyncIterator[bytes | None]:
        for number in range(wish.count):
            if wish.dice.random() < 1 / 16:
                await asyncio.sleep(wish.pause())
            yield event(wish.key, 0, number)
            if wish.dice.random() < 1 / 256:
                yield None
        wish.end()

    return source.IterInstance(events, context=context, event_size=_SIZE)


def retry(wish: Wish, context: Context) -> source.IterInstance:
    """Raises now and then, and goes on behind what it has made."""
    made = 0

    def events(context: Context) -> Iterator[bytes]:
        nonlocal made
        for payload in wish.events(first=made):
            made += 1
            yield payload
            if wish.dice.random() < 1 / 256:
                raise Meant

    return source.IterInstance(events, retry=0.001, context=context, event_size=_SIZE)


def push(wish: Wish, context: Context) -> source.PushInstance:
    sender, receiver = source.channel(wish.dice.choice([1, 16, 1024]), event_size=_SIZE)
    countdown = Countdown(wish.producers)

    def produce(producer: int, own: source.Sender) -> None:
        with suppress(source.ChannelClosedError):
            for batch in wish.batches(producer):
                if wish.dice.random() < 0.5:
                    own.send_many(batch)
                else:
                    for payload in batch:
                        own.send(bytearray(payload) if len(payload) % 2 else payload)
            if countdown.is_last() and wish.fails:
                own.close(Meant())
        own.close()

    for producer in range(wish.producers):
        threading.Thread(target=produce, args=(producer, sender.clone()), daemon=True).start()
    sender.close()
    return source.PushInstance(receiver, context=context)


class Own(source.BaseInstance):
    """Where it raises behind some events, these are delivered first."""

    def __init__(self, wish: Wish, context: Context) -> None:
        super().__init__(context=context, event_size=_SIZE)
        self._wish = wish
        self._events = wish.events()

    def next_batch(self, batch: source.EventBatch, /) -> int:
        for _ in range(self._wish.dice.randint(1, 100)):
            if batch.full:
                break
            payload = next(self._events, None)
            if payload is None:
                self._wish.end()
                raise EOF
            batch.append(payload)
        if self._wish.dice.random() < 1 / 16:
            raise Timeout
        return len(batch)

    def progress(self) -> tuple[float, str]:
        return 0.5, "half"


def file(wish: Wish, context: Context) -> source.LinesInstance:
    return source.LinesInstance(wish.path, follow=True, context=context, event_size=_SIZE)


def pipe(wish: Wish, context: Context) -> source.LinesInstance:
    return source.LinesInstance(wish.path, context=context, event_size=_SIZE)


KINDS: dict[str, Callable[[Wish, Context], source.Instance]] = {
    "pull": pull,
    "generator": generator,
    "async": async_generator,
    "retry": retry,
    "push": push,
    "own": Own,
    "file": file,
    "pipe": pipe,
}
