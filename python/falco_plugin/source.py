"""Event sources (package ``source`` of Falco's Go SDK).

An *item* is an event to be: a bytes-like object, a tuple ``(buffer, timestamp)`` or a :class:`PushEvent`. A duration
is a number of seconds or a ``timedelta``. A timestamp is a number of nanoseconds since the epoch or an aware
``datetime``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias, runtime_checkable

from falco_plugin import _core
from falco_plugin._core import (
    Context,
    EventBatch,
    EventWriter,
    IterInstance,
    LinesInstance,
    PullInstance,
    PushEvent,
    PushInstance,
    Receiver,
    Sender,
    channel,
    split_json,
)
from falco_plugin._declare import attributes, registry
from falco_plugin.errors import (
    EOF,
    BatchFullError,
    ChannelClosedError,
    ChannelFullError,
    EventTooLargeError,
    Fatal,
    PluginError,
    RetryLater,
    Timeout,
)

if TYPE_CHECKING:
    from falco_plugin._core import _Items

__all__ = [
    "EOF",
    "BaseInstance",
    "BatchFullError",
    "ChannelClosedError",
    "ChannelFullError",
    "Context",
    "EventBatch",
    "EventTooLargeError",
    "EventWriter",
    "Fatal",
    "Instance",
    "IterInstance",
    "LinesInstance",
    "OpenResult",
    "ParsedTimestamp",
    "Plugin",
    "PluginError",
    "PullFunc",
    "PullInstance",
    "PushEvent",
    "PushInstance",
    "Receiver",
    "RetryLater",
    "Sender",
    "Timeout",
    "channel",
    "parse_timestamp",
    "register",
    "split_json",
]

PullFunc: TypeAlias = Callable[[Context, EventWriter], object]
"""A function that writes one event, or raises ``EOF``, ``Timeout`` or an error (``source.PullFunc`` of the Go SDK)."""


@runtime_checkable
class Instance(Protocol):
    """An open event source (``source.Instance`` of the Go SDK).

    An instance may also define ``close()`` and ``progress()``, as :class:`BaseInstance` does.
    """

    @property
    def events(self) -> EventBatch:
        """The batch that the host reads. Only ``next_batch`` may change it; at other times it belongs to the host."""
        ...

    def next_batch(self, batch: EventBatch, /) -> int:
        """Appends at least one event to the batch, and returns the number of events.

        Raises:
            Timeout: there is no event now.
            RetryLater: there is no event now, and the next call is to be made after a time.
            EOF: the source has ended.
            Exception: any other exception ends the source with an error.
        """
        ...


OpenResult: TypeAlias = "Instance | _Items | Callable[[Context], _Items]"
"""The return value of a plugin's ``open``: an instance, or events from which the SDK makes an
:class:`IterInstance`."""


class _Metadata(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def id(self) -> int: ...
    @property
    def event_source(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def contact(self) -> str: ...


class Plugin(_Metadata, Protocol):
    """The attributes that :func:`register` requires of a plugin (``source.Plugin`` of the Go SDK).

    ``open`` may take the context as a second parameter. The context is cancelled when the source is closed. ``open``
    returns an instance, or events as :class:`IterInstance` takes them.
    """

    @property
    def open(self) -> Callable[[str], OpenResult] | Callable[[str, Context], OpenResult]:
        """Opens the event source."""
        ...


def register(plugin: Plugin) -> None:
    """Registers an object as an event source (``source.Register`` of the Go SDK).

    A factory function calls it before it returns an object that is not a :class:`falco_plugin.Plugin`. A subclass of
    ``Plugin`` that defines ``open`` is registered already. Calling it again has no effect.

    Args:
        plugin: any object that has the attributes of :class:`Plugin`.

    Raises:
        TypeError: an attribute is missing or has a wrong value. The message names it.

    Example:
        ```python
        def make_plugin():
            plugin = AuditPlugin()
            source.register(plugin)
            return plugin
        ```
    """
    missing = [name for name in (*attributes.REQUIRED, "open") if getattr(plugin, name, None) is None]
    if missing:
        raise TypeError(f"{attributes.class_name(plugin)} is not an event source: it lacks {', '.join(missing)}")
    for problem in attributes.problems(plugin):
        raise TypeError(problem)
    registry.add_object(plugin)


class BaseInstance:
    """Base class of a custom instance. A subclass defines ``next_batch`` (``source.BaseInstance`` of the Go SDK).

    Args:
        context: parent of the instance's context. Cancelling it ends the source.
        batch_size: largest number of events in a batch, at least 1.
        event_size: largest payload of an event in bytes, 1 to 2**32 - 39.

    Raises:
        ValueError: a size is out of range.
    """

    context: Context
    events: EventBatch

    def __init__(self, *, context: Context | None = None, batch_size: int = 128, event_size: int = 262_144) -> None:
        self.context = Context(context)
        self.events = EventBatch(batch_size, event_size)

    def next_batch(self, batch: EventBatch, /) -> int:
        """Appends at least one event to the batch, and returns the number of events, as :meth:`Instance.next_batch`.

        If it appends events and then raises, the events are delivered, and the next call reports the exception.
        """
        raise PluginError(f"{type(self).__name__} must define next_batch(self, batch)")

    def progress(self) -> tuple[float, str]:
        """Returns how much of the source has been read: a fraction from 0 to 1, and a string with the same meaning
        (``sdk.Progresser`` of the Go SDK).
        """
        return 0.0, ""

    def close(self) -> None:
        """Called once when the source is closed, after its context was cancelled (``sdk.Closer`` of the Go SDK)."""


class ParsedTimestamp(NamedTuple):
    """The result of :func:`parse_timestamp`."""

    nanoseconds: int
    """The time in nanoseconds since the epoch, as events have it."""
    has_zone: bool
    """Whether the string has a time zone. A string without one is read as UTC. Always true for numbers, which count
    from the epoch."""


def parse_timestamp(value: str | float, /) -> ParsedTimestamp:
    """Reads the time of an event from a string or a number, as :class:`LinesInstance` and fields do.

    A string is a date and a time of day, separated by ``T``, ``t``, a space or ``_``. A fraction of a second may follow
    after ``.`` or ``,``, and then a time zone: ``Z``, ``+01:00``, ``+0100`` or ``+01``, with or without a space before
    it. Without a time zone the time is read as UTC.

    A number, also as a string, is a time since the epoch. It is in seconds if it is less than 1e11, in milliseconds if
    less than 1e14, in microseconds if less than 1e17, and else in nanoseconds. A number in a string is read exactly. A
    ``float`` in seconds has a resolution of about 200 nanoseconds. Digits beyond nanoseconds are dropped.

    Args:
        value: the time, such as ``"2026-11-25T08:00:00.5+01:00"``, ``1795593600`` or ``"1795593600.123456789"``.

    Returns:
        The time in nanoseconds, and whether the value has a time zone.

    Raises:
        TypeError: the value is not a ``str``, an ``int`` or a ``float``.
        ValueError: the value is not a time, or it is before 1970 or after 2554.
    """
    return ParsedTimestamp(*_core.parse_timestamp(value))
