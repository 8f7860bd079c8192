"""Async events: events that a plugin sends beside those of an event source."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from falco_plugin._core import AsyncEvent, AsyncEventSender
from falco_plugin._declare import async_events as _declarations

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

    from falco_plugin._core import Context

    _Event: TypeAlias = AsyncEvent | ReadableBuffer | tuple[ReadableBuffer, Any]
    _Events: TypeAlias = Iterable[_Event] | AsyncIterable[_Event]
    _Sending: TypeAlias = (
        Callable[[Any], _Events]
        | Callable[[Any, Context], _Events]
        | Callable[[Any, Context, AsyncEventSender], _Events | None]
    )

_Method = TypeVar("_Method", bound="_Sending")

__all__ = ["AsyncEvent", "AsyncEventSender", "async_events"]


def async_events(
    *names: str, sources: Sequence[str] = (), retry: float | timedelta | None = None
) -> Callable[[_Method], _Method]:
    """Makes a method send async events while Falco captures.

    The method is a generator, an async generator, or returns an iterable. It takes ``self``, or ``self`` and a
    :class:`falco_plugin.Context`, which is cancelled when the capture ends. It runs on its own thread, which the SDK
    starts and stops. Each item is an :class:`AsyncEvent` with a declared name. If one name is declared, an item may
    also be the payload, or a ``(payload, timestamp)`` tuple.

    A method that takes ``self``, a context and a sender may also send from other threads, such as those on which a
    library calls back: :meth:`AsyncEventSender.send` works until the capture ends, also after the method has returned.
    Such a method need not make events itself, so it may return ``None``.

    When a ``yield`` continues, Falco has taken the event into its queue. If Falco refuses the event, the ``yield``
    raises :class:`falco_plugin.PluginError` with the reason. Falco does not report that its queue is full: it then
    drops the event, and logs a warning itself.

    An exception that leaves the method is logged and ends this method only. When the capture ends, a generator is
    closed at its next ``yield``, and the task of an async generator is cancelled.

    A ``dump_state`` with this decorator only declares names: Falco calls it when it begins to write a capture file.

    Args:
        names: the names of the events that the method sends. Each has 1 to 31 letters, digits, ``_`` and ``-``, and
            begins with a letter. In rules, ``evt.type`` has this name.
        sources: the event sources beside whose events these are shown, such as ``["syscall"]``. The sources of all
            methods apply to the whole plugin. Without any, they are shown beside the plugin's own source, or beside
            every source if it has none (``plugin_get_async_event_sources``).
        retry: seconds or a ``timedelta``. After an exception the method is called again when this time has passed. The
            time doubles with each failure, up to 5 minutes.

    Raises:
        TypeError: a name is not a ``str``, there is none, or ``sources`` or ``retry`` has a wrong type.
        ValueError: a name or a source is not one that Falco accepts, or ``retry`` is not more than 0 seconds.

    Example:
        ```python
        class Owners(Plugin):
            name = "owners"

            @async_events("owner_changed", sources=["syscall"])
            def changes(self, context):
                while not context.wait(timeout=60):
                    yield AsyncEvent("owner_changed", self.read_owners())
        ```
    """
    declaration = _declarations.declare(names, sources, retry)

    def decorate(method: _Method) -> _Method:
        _declarations.attach(method, declaration)
        return method

    return decorate
