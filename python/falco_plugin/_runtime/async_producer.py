"""What the producer of an ``IterInstance`` does with an async iterable: runs it in an event loop on its thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from contextlib import aclosing, nullcontext
from typing import Any

from falco_plugin import _core
from falco_plugin.errors import ChannelClosedError


def send_all(items: AsyncIterable[Any], sender: _core.Sender, context: _core.Context) -> None:
    """Sends what an async iterable gives, to its end."""
    with asyncio.Runner() as runner:
        runner.run(_send(items, sender, context))


async def _send(items: AsyncIterable[Any], sender: _core.Sender, context: _core.Context) -> None:
    waiting = _AsyncSender(sender, context)
    try:
        async with _aclosing(items):
            iterator = aiter(items)
            async with _aclosing(iterator) if iterator is not items else nullcontext():
                await _send_each(waiting, iterator)
    finally:
        # It shares the event loop's descriptors with its parent.
        _core.end_child()
        waiting.close()


async def _send_each(sender: _AsyncSender, items: Any) -> None:
    stop: BaseException | None = None
    while True:
        try:
            item = await (anext(items) if stop is None else items.athrow(stop))
        except StopAsyncIteration:
            return
        stop = None
        try:
            await (sender.flush() if item is None else sender.send(item))
        except ChannelClosedError:
            raise
        except BaseException as error:
            # A cancellation too: to the generator, its `yield` is what waits.
            if not hasattr(items, "athrow"):
                raise
            stop = error


class _AsyncSender:
    """Waits on a channel without blocking the event loop; the task that makes it is cancelled with the context."""

    def __init__(self, sender: _core.Sender, context: _core.Context) -> None:
        self._sender = sender
        self._context = context
        self._core = _core.AsyncSender(sender, context)
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._loop.add_reader(self._core.fileno(), self._wake)

    def close(self) -> None:
        self._loop.remove_reader(self._core.fileno())
        # Its descriptor must not wait for the garbage collector: an exception that is on its way holds this object.
        del self._core

    async def send(self, item: Any) -> None:
        while not self._core.try_send(item):
            await self._change()

    async def flush(self) -> None:
        if self._context.cancelled or self._sender.closed:
            ended = ChannelClosedError("the source was closed: stop sending")
            ended.source_ended = True
            raise ended
        position = _core.position(self._sender)
        while not self._core.is_taken(position):
            await self._change()

    async def _change(self) -> None:
        await self._changed.wait()
        self._changed.clear()

    def _wake(self) -> None:
        self._core.clear()
        self._changed.set()
        if self._context.cancelled and self._task is not None:
            # Once: what the task does to clean up may wait.
            self._task.cancel()
            self._task = None


def _aclosing(items: Any) -> Any:
    return aclosing(items) if callable(getattr(items, "aclose", None)) else nullcontext()
