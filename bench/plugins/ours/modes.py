"""The ways in which a plugin can make events, each as an author would write it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from falco_plugin import Context, source

from .work import event_size, lists, payloads


def pull(work: str, context: Context) -> source.PullInstance:
    if work == "empty":
        return source.PullInstance(lambda context, writer: None)
    next_payload = payloads(work).__next__

    def pull(context: Context, writer: source.EventWriter) -> None:
        writer.write(next_payload())

    return source.PullInstance(pull, event_size=event_size(work))


def generator(work: str, context: Context) -> Iterator[bytes | memoryview]:
    for payload in payloads(work):  # noqa: UP028 - an author's loop does something
        yield payload


class Extending(source.BaseInstance):
    def __init__(self, work: str) -> None:
        super().__init__()
        self._lists = lists(work)

    def next_batch(self, batch: source.EventBatch, /) -> int:
        return batch.extend(next(self._lists))


def extend(work: str, context: Context) -> source.BaseInstance:
    return Extending(work)


def send(work: str, context: Context) -> source.PushInstance:
    sender, receiver = source.channel(event_size=event_size(work))

    def produce() -> None:
        with sender, suppress(source.ChannelClosedError):
            for payload in payloads(work):
                sender.send(payload)

    threading.Thread(target=produce, daemon=True).start()
    return source.PushInstance(receiver)


def send_many(work: str, context: Context) -> source.PushInstance:
    sender, receiver = source.channel()

    def produce() -> None:
        with sender, suppress(source.ChannelClosedError):
            for items in lists(work):
                sender.send_many(items)

    threading.Thread(target=produce, daemon=True).start()
    return source.PushInstance(receiver)


def lines(work: str, context: Context) -> source.Opened:
    return source.LinesInstance(work.removeprefix("file:"))


def busy(work: str, context: Context) -> Iterator[bytes]:
    """Computes without pause: some 30 us between two events."""
    while not context.cancelled:
        _compute()
        yield b"event"


def beside(work: str, context: Context) -> source.Opened:
    """Lines of a file, which need no Python, beside a thread that computes and never sends."""

    def compute() -> None:
        while not context.cancelled:
            _compute()

    threading.Thread(target=compute, daemon=True).start()
    return lines(work, context)


def _compute() -> None:
    sum(number * number for number in range(1000))


def live(work: str, context: Context) -> source.PushInstance:
    """1,000 events a second, one at a time, each with the time of its send."""
    sender, receiver = source.channel()

    def produce() -> None:
        due = time.monotonic()
        with sender, suppress(source.ChannelClosedError):
            while not context.cancelled:
                due += 0.001
                time.sleep(max(0, due - time.monotonic()))
                sender.send(b"event", time.time_ns())

    threading.Thread(target=produce, daemon=True).start()
    return source.PushInstance(receiver)


def idle(work: str, context: Context) -> source.PushInstance:
    """Nothing ever comes."""
    sender, receiver = source.channel()
    return source.PushInstance(receiver, close=sender.close)


def burst(work: str, context: Context) -> source.PushInstance:
    """128 events of 1 MiB at once, then 1,000 batches of 128 small ones, and the end."""
    sender, receiver = source.channel(max_bytes=256 << 20, event_size=1 << 20)

    def produce() -> None:
        with sender, suppress(source.ChannelClosedError):
            sender.send_many([b"1" * (1 << 20) for _ in range(128)])
            for _ in range(1000):
                sender.send_many([b"event"] * 128)

    threading.Thread(target=produce, daemon=True).start()
    return source.PushInstance(receiver)


MODES: dict[str, Callable[[str, Context], source.Opened]] = {
    "pull": pull,
    "generator": generator,
    "extend": extend,
    "send": send,
    "send_many": send_many,
    "lines": lines,
    "busy": busy,
    "beside": beside,
    "live": live,
    "idle": idle,
    "burst": burst,
}
