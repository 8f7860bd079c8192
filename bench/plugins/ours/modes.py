"""The ways in which a plugin can make events, each as a plugin author would write it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

from falco_plugin import Context, source

from .workload import event_size, lists, payloads


def pull(workload: str, context: Context) -> source.PullInstance:
    if workload == "empty":
        return source.PullInstance(lambda context, writer: None)
    next_payload = payloads(workload).__next__

    def pull(context: Context, writer: source.EventWriter) -> None:
        writer.write(next_payload())

    return source.PullInstance(pull, event_size=event_size(workload))


def generator(workload: str, context: Context) -> Iterator[bytes | memoryview]:
    for payload in payloads(workload):  # noqa: UP028 - the loop of a real plugin has a body
        yield payload


class Extending(source.BaseInstance):
    def __init__(self, workload: str) -> None:
        super().__init__()
        self._lists = lists(workload)

    def next_batch(self, batch: source.EventBatch, /) -> int:
        return batch.extend(next(self._lists))


def extend(workload: str, context: Context) -> source.BaseInstance:
    return Extending(workload)


def send(workload: str, context: Context, threads: int = 1) -> source.PushInstance:
    sender, receiver = source.channel(event_size=event_size(workload))

    def produce(sender: source.Sender) -> None:
        with sender, suppress(source.ChannelClosedError):
            for payload in payloads(workload):
                sender.send(payload)

    with sender:
        for _ in range(threads):
            threading.Thread(target=produce, args=(sender.clone(),), daemon=True).start()
    return source.PushInstance(receiver)


def send_many(workload: str, context: Context) -> source.PushInstance:
    sender, receiver = source.channel()

    def produce() -> None:
        with sender, suppress(source.ChannelClosedError):
            for items in lists(workload):
                sender.send_many(items)

    threading.Thread(target=produce, daemon=True).start()
    return source.PushInstance(receiver)


def lines(workload: str, context: Context) -> source.OpenResult:
    return source.LinesInstance(workload.removeprefix("file:"))


def busy(workload: str, context: Context) -> Iterator[bytes]:
    """Computes without pause, about 30 us between two events."""
    while not context.cancelled:
        _compute()
        yield b"event"


def beside(workload: str, context: Context) -> source.OpenResult:
    """Reads lines of a file, which takes no Python, while a thread computes and never sends."""

    def compute() -> None:
        while not context.cancelled:
            _compute()

    threading.Thread(target=compute, daemon=True).start()
    return lines(workload, context)


def _compute() -> None:
    sum(number * number for number in range(1000))


def live(workload: str, context: Context) -> source.PushInstance:
    """Sends 1,000 events a second, one at a time; the timestamp of each is the time of its send."""
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


def idle(workload: str, context: Context) -> source.PushInstance:
    """Never sends an event."""
    sender, receiver = source.channel()
    return source.PushInstance(receiver, close=sender.close)


def burst(workload: str, context: Context) -> source.PushInstance:
    """Sends 128 events of 1 MiB at one time, then 1,000 times 128 small events, and ends."""
    sender, receiver = source.channel(max_bytes=256 << 20, event_size=1 << 20)

    def produce() -> None:
        with sender, suppress(source.ChannelClosedError):
            sender.send_many([b"1" * (1 << 20) for _ in range(128)])
            for _ in range(1000):
                sender.send_many([b"event"] * 128)

    threading.Thread(target=produce, daemon=True).start()
    return source.PushInstance(receiver)


MODES: dict[str, Callable[[str, Context], source.OpenResult]] = {
    "pull": pull,
    "generator": generator,
    "extend": extend,
    "send": send,
    "send-2": partial(send, threads=2),
    "send-4": partial(send, threads=4),
    "send_many": send_many,
    "lines": lines,
    "busy": busy,
    "beside": beside,
    "live": live,
    "idle": idle,
    "burst": burst,
}
