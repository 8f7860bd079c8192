"""Runs an async iterable in an event loop on the thread of the producer, and sends its items."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable
from contextlib import aclosing, nullcontext
from typing import Any, Protocol

from falco_plugin import _core
from falco_plugin.errors import ChannelClosedError


class LoopSender(Protocol):
    """Sends items without blocking the event loop in which it was made."""

    async def send(self, item: Any) -> None:
        """Sends an item."""
        ...

    async def flush(self) -> None:
        """Waits until the host has acknowledged all items."""
        ...

    def close(self) -> None:
        """Removes the sender from its event loop."""
        ...


def send_all(items: AsyncIterable[Any], make_sender: Callable[[], LoopSender]) -> None:
    """Sends the items of an async iterable until its end. ``make_sender`` is called in the event loop."""
    with asyncio.Runner() as runner:
        runner.run(_send(items, make_sender))


async def _send(items: AsyncIterable[Any], make_sender: Callable[[], LoopSender]) -> None:
    sender = make_sender()
    try:
        async with _aclosing(items):
            iterator = aiter(items)
            async with _aclosing(iterator) if iterator is not items else nullcontext():
                await _send_each(sender, iterator)
    finally:
        # End a forked child here: it shares the descriptors of the event loop with its parent, and must not clean up.
        _core.end_child()
        sender.close()


async def _send_each(sender: LoopSender, items: Any) -> None:
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


class ChannelSender:
    """Sends through a channel. When the context is cancelled, it cancels the task that made it."""

    def __init__(self, sender: _core.Sender, context: _core.Context) -> None:
        self._sender = sender
        self._context = context
        self._core = _core.AsyncSender(sender, context)
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._loop.add_reader(self._core.fileno(), self._wake)

    def close(self) -> None:
        """Removes the sender from its event loop."""
        self._loop.remove_reader(self._core.fileno())
        # Close the descriptor now. An exception that is being raised may keep this object for long.
        del self._core

    async def send(self, item: Any) -> None:
        """Sends an item, and waits while the channel is full."""
        while not self._core.try_send(item):
            await self._change()

    async def flush(self) -> None:
        """Waits until the host has acknowledged all items."""
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


class SinkSender:
    """Sends async events, which never waits. When the context is cancelled, it cancels the task that made it."""

    def __init__(self, sink: _core.AsyncSink, context: _core.Context) -> None:
        self._sink = sink
        self._context = context
        self._task = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        # The descriptor stays readable, so it is watched until then only.
        self._loop.add_reader(context.fileno(), self._cancel)

    def close(self) -> None:
        """Removes the sender from its event loop."""
        self._loop.remove_reader(self._context.fileno())

    async def send(self, item: Any) -> None:
        """Sends an item."""
        self._sink.send(item)

    async def flush(self) -> None:
        """Raises the error for ``None``, which is not an event."""
        self._sink.send(None)

    def _cancel(self) -> None:
        self.close()
        if self._task is not None:
            self._task.cancel()
            self._task = None


def _aclosing(items: Any) -> Any:
    return aclosing(items) if callable(getattr(items, "aclose", None)) else nullcontext()
