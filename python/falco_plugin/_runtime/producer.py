"""The producer of an ``IterInstance``: runs an iterable, or an async one, on a thread of its own."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from types import CoroutineType
from typing import Any

from falco_plugin import _core
from falco_plugin._runtime import failures as _failure
from falco_plugin.errors import EOF, PluginError, Timeout

MAX_WAIT = 300.0
"""Seconds up to which the wait between two attempts grows. An attempt that lasted as long was a good one."""

_ONE_EVENT = (str, bytes, bytearray, memoryview, Mapping)
"""What can be iterated over, but was meant to be one event, or its parts."""


def start(items: Any, retry: float | None, sender: _core.Sender, context: _core.Context) -> None:
    """Checks what it is given, then starts the thread.

    Raises:
        TypeError: the items are none of what an ``IterInstance`` takes, or cannot be asked for again.
        ValueError: retry is 0.
    """
    _check(items)
    if retry is not None:
        if _is_iterable(items):
            raise TypeError(
                f"retry needs a callable that makes the items anew, not {type(items).__name__}: give the function "
                "itself, without calling it"
            )
        if not retry:
            raise ValueError("retry must be more than 0 seconds, not 0")
    producer = _Producer(items, retry, sender, context)
    threading.Thread(target=producer.run, name="falco-source", daemon=True).start()


def _check(items: object) -> None:
    """Raises ``TypeError`` for what makes no events."""
    if _is_iterable(items):
        return
    _refuse(items)
    if not callable(items):
        raise TypeError(f"{type(items).__name__} is no iterable, no async iterable, and no callable that returns one")
    import inspect

    try:
        signature = inspect.signature(items)
    except ValueError:
        return
    try:
        signature.bind(None)
    except TypeError:
        name = getattr(items, "__qualname__", type(items).__name__)
        raise TypeError(
            f"{name}{signature} does not take the context as its one argument: define it with (context), or call it"
        ) from None


def _is_iterable(items: object) -> bool:
    """Whether it can be iterated over, event by event."""
    return isinstance(items, Iterable | AsyncIterable) and not isinstance(items, _ONE_EVENT)


def _refuse(items: object) -> None:
    """Raises ``TypeError``, with the remedy, for what is often given by mistake."""
    if isinstance(items, _ONE_EVENT):
        raise TypeError(f"{type(items).__name__} is no iterable of events: for a single event give [data]")
    if isinstance(items, CoroutineType):
        items.close()
        raise TypeError(
            f"the coroutine {items.__qualname__} makes no events: yield them in it, or define it without async"
        )


class _Producer:
    """Sends what an iterable gives, and ends the source as it ends."""

    def __init__(self, items: Any, retry: float | None, sender: _core.Sender, context: _core.Context) -> None:
        self._items = items
        self._retry = retry
        self._sender = sender
        self._context = context
        self._reported: set[tuple[str, str]] = set()
        self._plugin = _core.current_plugin()
        self._barriers = 0

    def run(self) -> None:
        """What the thread does."""
        _core.set_current_plugin(self._plugin)
        try:
            if _is_iterable(self._items):
                self._send(self._items, self._context)
            else:
                self._call(self._items)
            self._report_no_event()
        except BaseException as error:
            self._end_with(error)
        finally:
            self._sender.close()

    def _report_no_event(self) -> None:
        """Logs that a source has ended without an event, because the host does not report that."""
        if self._closed or _core.position(self._sender):
            return
        hint = ": it yielded only None, which is a barrier, and an event is bytes" if self._barriers else ""
        _failure.note(f"the source ended without an event{hint}")

    @property
    def _closed(self) -> bool:
        return self._context.cancelled or self._sender.closed

    def _end_with(self, error: BaseException) -> None:
        if isinstance(error, EOF) or (isinstance(error, SystemExit) and not error.code):
            return
        if not self._closed:
            _core.fail(self._sender, _with_remedy(error))
        elif not _failure.is_end_of_source(error) and not _is_cancellation(error):
            _failure.report("a source that was closed", error)

    def _call(self, make: Callable[[_core.Context], Any]) -> None:
        """Asks for the items, and again after an exception, where that is wanted."""
        wait = self._retry
        while True:
            before, started = _core.position(self._sender), time.monotonic()
            # What an attempt leaves on its context goes with it.
            attempt = _core.Context(self._context)
            try:
                items = make(attempt)
                if _is_iterable(items):
                    self._send(items, attempt)
            except EOF:
                return
            except BaseException as error:
                _core.end_child()
                can_retry = isinstance(error, Exception) or _is_cancellation(error)
                if not can_retry or wait is None or self._retry is None or self._closed or isinstance(error, Timeout):
                    raise
                # A source may be well and quiet.
                if _core.position(self._sender) > before or time.monotonic() - started >= MAX_WAIT:
                    wait = self._retry
                self._report(error, wait)
            else:
                if not _is_iterable(items):
                    _refuse(items)
                    name = getattr(make, "__qualname__", type(make).__name__)
                    raise TypeError(
                        f"{name} returned {type(items).__name__}: yield the events in it, or return an iterable of them"
                    )
                return
            finally:
                attempt.cancel()
            if self._context.wait(wait):
                return
            wait = max(wait, min(2 * wait, MAX_WAIT))

    def _report(self, error: BaseException, wait: float) -> None:
        """Logs a failure before a retry: with the traceback the first time, in one line if it is repeated.

        A failure is repeated if an exception of the same type came from the same line of the plugin before.
        """
        kind = type(error).__name__, _failure.place_of(error)
        if kind in self._reported:
            text = _failure.describe(error)
            _failure.warn(f"the source failed again: {text}; it is called again in {wait:g} s")
            return
        self._reported.add(kind)
        _failure.report("the source", error)
        _failure.warn(f"the source is called again in {wait:g} s")

    def _send(self, items: Any, context: _core.Context) -> None:
        if isinstance(items, AsyncIterable):
            # asyncio takes as long to import as all the rest of the SDK.
            from falco_plugin._runtime import async_producer as _async_producer

            _async_producer.send_all(items, self._sender, context)
        else:
            self._send_all(items)

    def _send_all(self, items: Iterable[Any]) -> None:
        with _closing(items):
            iterator = iter(items)
            with _closing(iterator) if iterator is not items else nullcontext():
                rest: Iterator[Any] | None = iterator
                while rest is not None:
                    rest = self._go_on(iterator, _core.send_each(self._sender, rest))

    def _go_on(self, iterator: Iterator[Any], stop: bool | Exception | None) -> Iterator[Any] | None:
        """What is to be sent after ``send_each`` has stopped; ``None`` at the end."""
        if stop is None or self._closed:
            return None
        if isinstance(stop, Exception):
            return _throw(iterator, stop)
        self._barriers += 1
        self._sender.flush()
        return iterator


def _is_cancellation(error: BaseException) -> bool:
    """Whether it is asyncio's, which then has been imported."""
    if "asyncio" not in sys.modules:
        return False
    import asyncio

    return isinstance(error, asyncio.CancelledError)


def _throw(items: Iterator[Any], error: Exception) -> Iterator[Any] | None:
    """Raises the error where the item was made, and returns what is to be sent next."""
    throw = getattr(items, "throw", None)
    if throw is None:
        raise error
    try:
        item = throw(error)
    except StopIteration:
        return None
    return itertools.chain((item,), items)


def _with_remedy(error: BaseException) -> BaseException:
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
