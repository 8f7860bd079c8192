"""Runs an async iterable in an event loop on the thread of the producer, and sends its items."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from contextlib import aclosing, nullcontext
from typing import Any

from falco_plugin import _core
from falco_plugin.errors import ChannelClosedError


def send_all(items: AsyncIterable[Any], sender: _core.Sender, context: _core.Context) -> None:
    """Sends the items of an async iterable until its end."""
    with asyncio.Runner() as runner:
        runner.run(_send(items, sender, context))


async def _send(items: AsyncIterable[Any], sender: _core.Sender, context: _core.Context) -> None:
    async_sender = _AsyncSender(sender, context)
    try:
        async with _aclosing(items):
            iterator = aiter(items)
            async with _aclosing(iterator) if iterator is not items else nullcontext():
                await _send_each(async_sender, iterator)
    finally:
        # End a forked child here: it shares the descriptors of the event loop with its parent, and must not clean up.
        _core.end_child()
        async_sender.close()


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
            # Also pass a cancellation to the generator, which sees it at its `yield`.
            if not hasattr(items, "athrow"):
                raise
            stop = error


class _AsyncSender:
    """Sends without blocking the event loop. When the context is cancelled, it cancels the task that made it."""

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
        # Close the descriptor now. An exception that is being raised may keep this object for long.
        del self._core

    async def send(self, item: Any) -> None:
        while not self._core.try_send(item):
            await self._change()

    async def flush(self) -> None:
        if self._context.cancelled or self._sender.closed:
            error = ChannelClosedError("the source was closed: stop sending")
            error.source_ended = True
            raise error
        position = _core.position(self._sender)
        while not self._core.is_acknowledged(position):
            await self._change()

    async def _change(self) -> None:
        await self._changed.wait()
        self._changed.clear()

    def _wake(self) -> None:
        self._core.clear()
        self._changed.set()
        if self._context.cancelled and self._task is not None:
            # Cancel the task only once, so that it can wait while it cleans up.
            self._task.cancel()
            self._task = None


def _aclosing(items: Any) -> Any:
    return aclosing(items) if callable(getattr(items, "aclose", None)) else nullcontext()
