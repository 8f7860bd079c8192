"""Runs the methods of a plugin that send async events, each on its own thread."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterable, Callable, Iterator
from typing import TYPE_CHECKING, Any

from falco_plugin import _core
from falco_plugin._declare import methods as signatures
from falco_plugin._runtime import failures, producer

if TYPE_CHECKING:
    from falco_plugin._declare.async_events import AsyncEvents

TIME_TO_STOP = 1.0
"""Seconds that the end of a capture waits for all methods to stop."""


class PluginAsyncEvents:
    """Runs the methods of a plugin from the beginning of a capture to its end, each on its own thread."""

    def __init__(self, plugin: Any, declared: AsyncEvents) -> None:
        self._plugin = plugin
        self._declared = declared
        self._context = _core.Context()
        self._threads: list[tuple[str, threading.Thread]] = []

    def start(self, sink: _core.AsyncSink) -> None:
        """Starts a thread for each method."""
        self._context = _core.Context()
        for name, declaration in self._declared.methods:
            method = getattr(self._plugin, name)
            named = sink.with_names(declaration.names)
            output = EventOutput(name, named)
            make: Callable[[_core.Context], Any] = method
            if signatures.takes_sender(method):
                make = _with_sender(method, named.sender())
            elif not signatures.takes_context(method, parameters=0):
                make = _without_context(method)
            thread = producer.start_thread(make, declaration.retry, output, self._context, f"falco-{name}")
            self._threads.append((name, thread))

    def stop(self) -> None:
        """Cancels the context of the methods, and waits for their threads. Logs which ones do not stop in time."""
        self._context.cancel()
        threads, self._threads = self._threads, []
        deadline = time.monotonic() + TIME_TO_STOP
        for _, thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if running := [name for name, thread in threads if thread.is_alive()]:
            failures.warn(
                f"{', '.join(running)} with @async_events did not stop within {TIME_TO_STOP:g} s after the end of the "
                "capture, and is left running: let it check its context"
            )

    def dump_state(self, sink: _core.AsyncSink) -> None:
        """Sends the events of the plugin's ``dump_state`` on this thread.

        Raises:
            Exception: the method failed, or did not catch the error of an event.
        """
        output = EventOutput("dump_state", sink.with_names(self._declared.names))
        items = self._plugin.dump_state()
        if isinstance(items, AsyncIterable):
            name = type(items).__name__
            raise TypeError(f"dump_state returned {name}, but Falco waits for its events: make it synchronous")
        producer.check_items(items, "dump_state")
        producer.send_items(items, output, _core.Context())


def _without_context(method: Callable[[], Any]) -> Callable[[_core.Context], Any]:
    def make(_: _core.Context) -> Any:
        return method()

    make.__qualname__ = getattr(method, "__qualname__", type(method).__name__)
    return make


def _with_sender(
    method: Callable[[_core.Context, _core.AsyncEventSender], Any], sender: _core.AsyncEventSender
) -> Callable[[_core.Context], Any]:
    def make(context: _core.Context) -> Any:
        items = method(context, sender)
        return _until_cancelled(context) if items is None else items

    make.__qualname__ = getattr(method, "__qualname__", type(method).__name__)
    return make


def _until_cancelled(context: _core.Context) -> Iterator[Any]:
    """Makes no events. Keeps the context of a method alive that leaves all events to its sender."""
    context.wait()
    yield from ()


class EventOutput:
    """Sends the items of a method to the host as async events."""

    def __init__(self, method: str, sink: _core.AsyncSink) -> None:
        self.subject = self.closed_subject = f"{method} with @async_events" if method != "dump_state" else method
        self._sink = sink

    @property
    def closed(self) -> bool:
        """Whether the host takes no events any more."""
        return self._sink.closed

    def position(self) -> int:
        """Returns how many events the host has taken."""
        return self._sink.sent

    def send_each(self, items: Iterator[Any]) -> BaseException | None:
        """Sends items until the end, or returns the error of one."""
        return self._sink.send_each(items)

    def send_all(self, items: AsyncIterable[Any], context: _core.Context) -> None:
        """Sends the items of an async iterable until its end."""
        # The import of asyncio takes as long as that of the rest of the SDK.
        from falco_plugin._runtime.async_producer import SinkSender, send_all

        send_all(items, lambda: SinkSender(self._sink, context))

    def flush(self) -> None:
        """Does nothing: the host has taken an event when it was sent."""

    def fail(self, error: BaseException) -> None:
        """Logs the exception that has ended the method."""
        failures.report(self.subject, error)

    def end(self, barriers: int) -> None:
        """Does nothing: a method may end, and the plugin continues."""

    def close(self) -> None:
        """Does nothing: the host closes the sink."""
