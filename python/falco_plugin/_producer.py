"""The producer of an ``IterInstance``: runs an iterable, or an async one, on a thread of its own."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import threading
import time
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, aclosing, closing, nullcontext
from typing import Any

from falco_plugin import _core, _failure
from falco_plugin.errors import EOF, ChannelClosedError, PluginError, Timeout

MAX_WAIT = 300.0
"""Seconds between two attempts, at most. An attempt that lasted as long was a good one."""


def start(items: Any, retry: float | None, sender: _core.Sender, context: _core.Context) -> None:
    """Checks what it is given, then starts the thread.

    Raises:
        TypeError: the items are none of what an ``IterInstance`` takes, or cannot be asked for again.
        ValueError: retry is 0.
    """
    check(items)
    if retry is not None:
        if not callable(items) or isinstance(items, Iterable | AsyncIterable):
            raise TypeError(
                f"retry needs a callable that makes the items anew, not {type(items).__name__}: give the function "
                "itself, without calling it"
            )
        if not retry:
            raise ValueError("retry must be more than 0 seconds, not 0")
    producer = _Producer(items, retry, sender, context)
    context.on_cancel(producer.interrupt)
    threading.Thread(target=producer.run, name="falco-source", daemon=True).start()


def check(items: object) -> None:
    """Raises ``TypeError`` for what makes no events."""
    kind = type(items).__name__
    if isinstance(items, str | bytes | bytearray | memoryview | Mapping):
        raise TypeError(f"{kind} is no iterable of events: for a single event give [data]")
    if inspect.iscoroutine(items):
        items.close()
        raise TypeError(
            f"the coroutine {items.__qualname__} makes no events: yield them in it, or define it without async"
        )
    if isinstance(items, Iterable | AsyncIterable):
        return
    if not callable(items):
        raise TypeError(f"{kind} is no iterable, no async iterable, and no callable that returns one")
    try:
        signature = inspect.signature(items)
    except ValueError:
        return
    try:
        signature.bind(None)
    except TypeError:
        name = getattr(items, "__qualname__", kind)
        raise TypeError(f"{name}{signature} does not take the context as its one argument") from None


class _Producer:
    """Sends what an iterable gives, and ends the source as it ends."""

    def __init__(self, items: Any, retry: float | None, sender: _core.Sender, context: _core.Context) -> None:
        self._items = items
        self._retry = retry
        self._sender = sender
        self._context = context
        self._lock = threading.Lock()
        self._task: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]] | None = None

    def run(self) -> None:
        """What the thread does."""
        try:
            if isinstance(self._items, Iterable | AsyncIterable):
                self._send(self._items)
            else:
                self._call(self._items)
        except BaseException as error:
            self._end_with(error)
        finally:
            self._sender.close()

    def interrupt(self) -> None:
        """Cancels the task of an async iterable."""
        with self._lock:
            if self._task is not None:
                loop, task = self._task
                loop.call_soon_threadsafe(task.cancel)

    @property
    def _closed(self) -> bool:
        return self._context.cancelled or self._sender.closed

    def _end_with(self, error: BaseException) -> None:
        if isinstance(error, EOF) or (isinstance(error, SystemExit) and not error.code):
            return
        if not self._closed:
            _core.fail(self._sender, _told(error))
        elif not isinstance(error, ChannelClosedError | asyncio.CancelledError):
            _failure.report("a source that was closed", error)

    def _call(self, make: Callable[[_core.Context], Any]) -> None:
        """Asks for the items, and again after an exception, where that is wanted."""
        wait = self._retry
        while True:
            before, started = _core.position(self._sender), time.monotonic()
            try:
                items = make(self._context)
                check(items)
                self._send(items)
            except EOF:
                return
            except Exception as error:
                if wait is None or self._retry is None or self._closed or isinstance(error, Timeout):
                    raise
                # A source may be well and quiet.
                if _core.position(self._sender) > before or time.monotonic() - started >= MAX_WAIT:
                    wait = self._retry
                _failure.report(f"the source, called again in {wait:g} seconds,", error)
            else:
                return
            if self._context.wait(wait):
                return
            wait = max(wait, min(2 * wait, MAX_WAIT))

    def _send(self, items: Any) -> None:
        if isinstance(items, AsyncIterable):
            with asyncio.Runner() as runner:
                runner.run(self._send_async(items))
        else:
            self._send_all(items)

    def _send_all(self, items: Iterable[Any]) -> None:
        with _closing(items):
            iterator = iter(items)
            with _closing(iterator) if iterator is not items else nullcontext():
                rest: Iterable[Any] = iterator
                while stop := _core.send_each(self._sender, rest):
                    rest = iterator
                    if stop is True:
                        self._sender.flush()
                    else:
                        rest = _refuse(iterator, stop)

    async def _send_async(self, items: AsyncIterable[Any]) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        with self._lock:
            self._task = loop, task
        try:
            if self._context.cancelled:
                return
            sender = _AsyncSender(self._sender, loop)
            try:
                async with _aclosing(items):
                    iterator = aiter(items)
                    async with _aclosing(iterator) if iterator is not items else nullcontext():
                        await _send_each(sender, iterator)
            finally:
                sender.close()
        finally:
            with self._lock:
                self._task = None


async def _send_each(sender: _AsyncSender, items: Any) -> None:
    refused: Exception | None = None
    while True:
        try:
            item = await (anext(items) if refused is None else items.athrow(refused))
        except StopAsyncIteration:
            return
        refused = None
        if item is None:
            await sender.flush()
            continue
        try:
            await sender.send(item)
        except ChannelClosedError:
            raise
        except Exception as error:
            if not hasattr(items, "athrow"):
                raise
            refused = error


class _AsyncSender:
    """Waits on a channel without blocking the event loop."""

    def __init__(self, sender: _core.Sender, loop: asyncio.AbstractEventLoop) -> None:
        self._sender = sender
        self._core = _core.AsyncSender(sender)
        self._loop = loop
        self._changed = asyncio.Event()
        loop.add_reader(self._core.fileno(), self._wake)

    def close(self) -> None:
        self._loop.remove_reader(self._core.fileno())

    async def send(self, item: Any) -> None:
        while not self._core.try_send(item):
            await self._change()

    async def flush(self) -> None:
        position = _core.position(self._sender)
        while not self._core.is_taken(position):
            await self._change()

    async def _change(self) -> None:
        await self._changed.wait()
        self._changed.clear()

    def _wake(self) -> None:
        self._core.clear()
        self._changed.set()


def _refuse(items: Iterator[Any], error: BaseException) -> Iterable[Any]:
    """Raises the error where the item was made, and returns what is to be sent next."""
    throw = getattr(items, "throw", None)
    if throw is None:
        raise error
    try:
        item = throw(error)
    except StopIteration:
        return ()
    return itertools.chain((item,), items)


def _told(error: BaseException) -> BaseException:
    if not isinstance(error, Timeout):
        return error
    told = PluginError(
        "Timeout cannot be raised in a generator: where there is no event for now, wait for one, such as with "
        "context.wait(seconds); to wait until the host has taken what there is, yield None"
    )
    told.__cause__ = error
    return told.with_traceback(error.__traceback__)


def _closing(items: Any) -> AbstractContextManager[object]:
    return closing(items) if callable(getattr(items, "close", None)) else nullcontext()


def _aclosing(items: Any) -> Any:
    return aclosing(items) if callable(getattr(items, "aclose", None)) else nullcontext()
