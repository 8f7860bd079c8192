"""The producer: a thread that runs an iterable or an async iterable, and sends its items."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from types import CoroutineType
from typing import Any, Protocol

from falco_plugin import _core
from falco_plugin._runtime import failures
from falco_plugin.errors import EOF, Fatal, PluginError, RetryLater, Timeout

MAX_WAIT = 300.0
"""Longest wait between two attempts, in seconds. An attempt that lasts at least as long resets the wait."""

_ONE_EVENT = (str, bytes, bytearray, memoryview, Mapping)
"""Types of iterables that are not iterables of events: users mean them as one event."""


def start(items: Any, retry: float | None, sender: _core.Sender, context: _core.Context) -> None:
    """Checks the arguments of an ``IterInstance``, and starts its thread.

    Args:
        items: an iterable, an async iterable, or a callable that takes the context and returns one of the two.
        retry: seconds to wait after an exception before the callable is called again. ``None`` means that an exception
            ends the source.
        sender: the sender to which the items go.
        context: the context of the instance.

    Raises:
        TypeError: items has a wrong type, or is not a callable although retry is set.
        ValueError: retry is 0.
    """
    _check_items(items)
    if retry is not None:
        if is_iterable(items):
            raise TypeError(
                f"retry requires a function that makes the items again, not {type(items).__name__}: pass the function "
                "itself, without calling it"
            )
        if not retry:
            raise ValueError("retry must be more than 0 seconds, not 0")
    start_thread(items, retry, _SourceOutput(sender), context, "falco-source")


def start_thread(
    items: Any, retry: float | None, output: Output, context: _core.Context, name: str
) -> threading.Thread:
    """Starts the thread of a producer.

    Args:
        items: an iterable, an async iterable, or a callable that takes the context and returns one of the two.
        retry: seconds to wait after an exception before the callable is called again. ``None`` means that an exception
            ends the producer.
        output: receives the items.
        context: ends the producer when it is cancelled.
        name: the name of the thread.
    """
    producer = _Producer(items, retry, output, context)
    thread = threading.Thread(target=producer.run, name=name, daemon=True)
    thread.start()
    return thread


class Output(Protocol):
    """The receiver of a producer's items."""

    @property
    def subject(self) -> str:
        """The subject of messages about the producer."""
        ...

    @property
    def closed_subject(self) -> str:
        """The subject of a failure after the output was closed."""
        ...

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""
        ...

    def position(self) -> int:
        """Returns how many items were sent."""
        ...

    def send_each(self, items: Iterator[Any]) -> bool | BaseException | None:
        """Sends items: ``None`` at the end, ``True`` for a barrier, or the error of an item that was refused."""
        ...

    def send_all(self, items: AsyncIterable[Any], context: _core.Context) -> None:
        """Sends the items of an async iterable until its end."""
        ...

    def flush(self) -> None:
        """Waits until the host has acknowledged all items."""
        ...

    def fail(self, error: BaseException) -> None:
        """Reports the exception that has ended the producer."""
        ...

    def end(self, barriers: int) -> None:
        """Ends the output after the last item. ``barriers`` is the number of barriers among the items."""
        ...

    def close(self) -> None:
        """Closes the output. This is the last call."""
        ...


class _SourceOutput:
    """Sends items through the channel of an ``IterInstance``."""

    subject = "the source"
    closed_subject = "a closed source"

    def __init__(self, sender: _core.Sender) -> None:
        self._sender = sender

    @property
    def closed(self) -> bool:
        return self._sender.closed

    def position(self) -> int:
        return _core.position(self._sender)

    def send_each(self, items: Iterator[Any]) -> bool | BaseException | None:
        return _core.send_each(self._sender, items)

    def send_all(self, items: AsyncIterable[Any], context: _core.Context) -> None:
        # The import of asyncio takes as long as that of the rest of the SDK.
        from falco_plugin._runtime.async_producer import ChannelSender, send_all

        send_all(items, lambda: ChannelSender(self._sender, context))

    def flush(self) -> None:
        self._sender.flush()

    def fail(self, error: BaseException) -> None:
        _core.fail(self._sender, error)

    def end(self, barriers: int) -> None:
        """Logs that a source has ended without an event. The host does not report this."""
        if not _core.position(self._sender):
            hint = ": it yielded only None, which is a barrier: yield bytes for an event" if barriers else ""
            failures.note(f"the source ended without an event{hint}")

    def close(self) -> None:
        self._sender.close()


def _check_items(items: object) -> None:
    """Raises ``TypeError`` for an object that makes no events."""
    if is_iterable(items):
        return
    _refuse_mistakes(items)
    if not callable(items):
        found = type(items).__name__
        raise TypeError(f"expected an iterable, an async iterable, or a function that returns one of them, got {found}")
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
            f"{name}{signature} must take the context as its only argument: define it with (context), or call it"
        ) from None


def is_iterable(items: object) -> bool:
    """Returns whether the object is an iterable of events, or an async one."""
    return isinstance(items, Iterable | AsyncIterable) and not isinstance(items, _ONE_EVENT)


def check_items(items: object, function: str) -> None:
    """Raises ``TypeError`` if a function returned something else than an iterable of events."""
    if not is_iterable(items):
        _refuse_mistakes(items)
        found = type(items).__name__
        raise TypeError(f"{function} returned {found}: yield the events in it, or return an iterable of them")


def _refuse_mistakes(items: object) -> None:
    """Raises ``TypeError`` with a remedy for objects that users often pass by mistake."""
    if isinstance(items, _ONE_EVENT):
        raise TypeError(f"{type(items).__name__} is not an iterable of events: for a single event pass [data]")
    if isinstance(items, CoroutineType):
        items.close()
        raise TypeError(
            f"the coroutine {items.__qualname__} makes no events: yield them in it, or define it without async"
        )


class _Producer:
    """Sends the items of an iterable, and ends the output when the iterable ends or raises."""

    def __init__(self, items: Any, retry: float | None, output: Output, context: _core.Context) -> None:
        self._items = items
        self._retry = retry
        self._output = output
        self._context = context
        self._reported: set[tuple[str, str]] = set()
        self._plugin = _core.current_plugin()
        self._barriers = 0

    def run(self) -> None:
        """Sends all items, and ends the output. This is the function of the thread."""
        _core.set_current_plugin(self._plugin)
        try:
            if is_iterable(self._items):
                self._send(self._items, self._context)
            else:
                self._send_attempts(self._items)
            if not self._is_closed:
                self._output.end(self._barriers)
        except BaseException as error:
            self._end_with(error)
        finally:
            self._output.close()

    @property
    def _is_closed(self) -> bool:
        return self._context.cancelled or self._output.closed

    def _end_with(self, error: BaseException) -> None:
        if isinstance(error, EOF) or (isinstance(error, SystemExit) and not error.code):
            return
        if not self._is_closed:
            self._output.fail(_with_remedy(error))
        elif not failures.is_end_of_source(error) and not _is_cancellation(error):
            failures.report(self._output.closed_subject, error)

    def _send_attempts(self, make: Callable[[_core.Context], Any]) -> None:
        """Calls the function that makes the items, and sends them.

        If retry is set, repeats this after an exception. The wait before each attempt is twice the wait before, unless
        ``RetryLater`` gives another one.
        """
        wait = self._retry
        while True:
            before, started = self._output.position(), time.monotonic()
            # Callbacks that an attempt adds to its context must not be kept by the next attempt.
            attempt = _core.Context(self._context)
            try:
                items = make(attempt)
                if is_iterable(items):
                    self._send(items, attempt)
            except EOF:
                return
            except BaseException as error:
                _core.end_child()
                if wait is None or self._retry is None or self._is_closed or not _can_retry(error):
                    raise
                # Reset the wait after an attempt that made events, or that lasted long without any.
                if self._output.position() > before or time.monotonic() - started >= MAX_WAIT:
                    wait = self._retry
                if (pause := _requested_wait(error)) is not None:
                    failures.report_retry_later(self._output.subject, error, pause)
                else:
                    pause, wait = wait, max(wait, min(2 * wait, MAX_WAIT))
                    self._report_before_retry(error, pause)
            else:
                check_items(items, getattr(make, "__qualname__", type(make).__name__))
                return
            finally:
                attempt.cancel()
            if wait_for_attempt(self._context, pause):
                return

    def _report_before_retry(self, error: BaseException, wait: float) -> None:
        """Logs a failure before a retry: with the traceback the first time, in one line if it occurred before.

        Two failures are the same if their exceptions have the same type and the same line of user code.
        """
        kind = type(error).__name__, failures.location_of(error)
        if kind in self._reported:
            text = failures.describe(error)
            failures.warn(f"{self._output.subject} failed again: {text}; it is called again in {wait:g} s")
            return
        self._reported.add(kind)
        failures.report(self._output.subject, error)
        failures.warn(f"{self._output.subject} is called again in {wait:g} s")

    def _send(self, items: Any, context: _core.Context) -> None:
        if isinstance(items, AsyncIterable):
            self._output.send_all(items, context)
        else:
            self._barriers += send_items(items, self._output, self._context)


def send_items(items: Iterable[Any], output: Output, context: _core.Context) -> int:
    """Sends the items of an iterable on this thread, until its end or until the context is cancelled.

    Returns:
        The number of barriers among the items.
    """
    barriers = 0
    with _closing(items):
        iterator = iter(items)
        with _closing(iterator) if iterator is not items else nullcontext():
            rest: Iterator[Any] | None = iterator
            while rest is not None:
                stop = output.send_each(rest)
                if stop is None or context.cancelled or output.closed:
                    break
                if isinstance(stop, Exception):
                    rest = _throw(iterator, stop)
                    continue
                barriers += 1
                output.flush()
                rest = iterator
    return barriers


def wait_for_attempt(context: _core.Context, seconds: float) -> bool:
    """Waits before another attempt. Returns whether the source has ended instead."""
    return context.wait(seconds)


def _can_retry(error: BaseException) -> bool:
    """Returns whether another attempt may succeed after this exception. ``Timeout`` is a mistake in user code."""
    if any(isinstance(each, Fatal) for each in _each(error)):
        return False
    return (isinstance(error, Exception) and not isinstance(error, Timeout)) or _is_cancellation(error)


def _requested_wait(error: BaseException) -> float | None:
    """Returns the seconds of ``RetryLater``; ``None`` if the exception is another one, or a group with another one."""
    waits = [each.seconds if isinstance(each, RetryLater) else None for each in _each(error)]
    return None if None in waits else max(wait for wait in waits if wait is not None)


def _each(error: BaseException) -> Iterator[BaseException]:
    """Yields the exceptions of a group, such as one of ``asyncio.TaskGroup``, or else the exception itself."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _each(each)
    else:
        yield error


def _is_cancellation(error: BaseException) -> bool:
    """Returns whether the exception is a cancellation of asyncio. It cannot be if asyncio was not imported."""
    if "asyncio" not in sys.modules:
        return False
    import asyncio

    return isinstance(error, asyncio.CancelledError)


def _throw(items: Iterator[Any], error: Exception) -> Iterator[Any] | None:
    """Raises the error in the generator that made the item, and returns the items to send next."""
    throw = getattr(items, "throw", None)
    if throw is None:
        raise error
    try:
        item = throw(error)
    except StopIteration:
        return None
    return itertools.chain((item,), items)


def _with_remedy(error: BaseException) -> BaseException:
    if isinstance(error, Timeout):
        explained = PluginError(
            "Timeout cannot be raised in a generator: if there is no event now, wait, such as with "
            "context.wait(seconds); to wait until the host has consumed all events, yield None"
        )
    elif isinstance(error, RetryLater):
        reason = f" ({error})" if str(error) else ""
        explained = PluginError(
            f"RetryLater{reason} requires the option retry, with which the function is called again: give it, such as "
            "in return source.IterInstance(self.records, retry=5)"
        )
    else:
        return error
    explained.__cause__ = error
    return explained.with_traceback(error.__traceback__)


def _closing(items: Any) -> AbstractContextManager[object]:
    return closing(items) if callable(getattr(items, "close", None)) else nullcontext()
