"""Event sources (package ``source`` of Falco's Go SDK).

An *item* is any buffer, a tuple ``(buffer, timestamp)`` or a :class:`PushEvent`. Durations are seconds or a
``timedelta``; timestamps are nanoseconds since the epoch or an aware ``datetime``.
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
from falco_plugin._declare.capabilities import register
from falco_plugin.errors import (
    EOF,
    BatchFullError,
    ChannelClosedError,
    ChannelFullError,
    EventTooLargeError,
    PluginError,
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
    "Instance",
    "IterInstance",
    "LinesInstance",
    "Opened",
    "ParsedTimestamp",
    "Plugin",
    "PluginError",
    "PullFunc",
    "PullInstance",
    "PushEvent",
    "PushInstance",
    "Receiver",
    "Sender",
    "Timeout",
    "channel",
    "parse_timestamp",
    "register",
    "split_json",
]

PullFunc: TypeAlias = Callable[[Context, EventWriter], object]
"""Writes one event, or raises ``EOF``, ``Timeout`` or anything else (``source.PullFunc`` of the Go SDK)."""


@runtime_checkable
class Instance(Protocol):
    """One open event source (``source.Instance`` of the Go SDK).

    It may also have ``close()`` and ``progress() -> (fraction 0 to 1, text)``.
    """

    @property
    def events(self) -> EventBatch:
        """The batch that the host reads. Outside of ``next_batch`` it belongs to the host."""
        ...

    def next_batch(self, batch: EventBatch, /) -> int:
        """Appends at least one event to the batch and returns how many; with none, raises ``Timeout``, ``EOF`` or the
        source's error.
        """
        ...


Opened: TypeAlias = "Instance | _Items | Callable[[Context], _Items]"
"""What a plugin's ``open`` returns: an instance, or what becomes an :class:`IterInstance`."""


class _Described(Protocol):
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


class Plugin(_Described, Protocol):
    """What :func:`register` asks of a plugin (``source.Plugin`` of the Go SDK).

    ``open`` may also take a second parameter, the context that is cancelled when the source is closed. What it returns
    is an instance, or whatever :class:`IterInstance` takes.
    """

    @property
    def open(self) -> Callable[[str], Opened] | Callable[[str, Context], Opened]:
        """Opens the event source."""
        ...


class BaseInstance:
    """Base of an instance of one's own: define ``next_batch`` (``source.BaseInstance`` of the Go SDK).

    Args:
        context: parent of the instance's context; cancelling it ends the source.
        batch_size: events in a batch, at least 1.
        event_size: largest payload of one event in bytes, 1 to 2**32 - 39.

    Raises:
        ValueError: a size is out of range.
    """

    context: Context
    events: EventBatch

    def __init__(self, *, context: Context | None = None, batch_size: int = 128, event_size: int = 262_144) -> None:
        self.context = Context(context)
        self.events = EventBatch(batch_size, event_size)

    def next_batch(self, batch: EventBatch, /) -> int:
        """Appends at least one event to the batch and returns how many; with none, raises ``Timeout``, ``EOF`` or the
        source's error. Where it appends and then raises, the events are delivered first.
        """
        raise PluginError(f"{type(self).__name__} must define next_batch(self, batch)")

    def progress(self) -> tuple[float, str]:
        """How much of the source has been read, 0 to 1, and the same as a text (``sdk.Progresser``)."""
        return 0.0, ""

    def close(self) -> None:
        """Called once when the source is closed, after the context was cancelled (``sdk.Closer``)."""


class ParsedTimestamp(NamedTuple):
    """A time that :func:`parse_timestamp` has read."""

    nanoseconds: int
    """Nanoseconds since the epoch, as events have it."""
    has_zone: bool
    """Whether the text has a time zone; a text without one is read as UTC. True for numbers, which are UTC by
    definition."""


def parse_timestamp(value: str | float, /) -> ParsedTimestamp:
    """Reads the time of an event from text or a number, as :class:`LinesInstance` and fields do.

    A text is a date, one of ``T``, ``t``, a space and ``_``, a time of day, and optionally a fraction after ``.`` or
    ``,`` and a time zone: ``Z``, ``+01:00``, ``+0100`` or ``+01``, maybe after a space. Without a time zone the time is
    read as UTC. A number, or a number as text, is a time since the epoch: in seconds if it is less than 1e11, in
    milliseconds if it is less than 1e14, in microseconds if it is less than 1e17, else in nanoseconds. Numbers as text
    are exact; a ``float`` in seconds is not finer than some 200 nanoseconds. Digits beyond nanoseconds are cut off.

    Args:
        value: the time, such as ``"2026-11-25T08:00:00.5+01:00"``, ``1795593600`` or ``"1795593600.123456789"``.

    Returns:
        The time in nanoseconds, and whether the value has a time zone.

    Raises:
        TypeError: the value is not a ``str``, an ``int`` or a ``float``.
        ValueError: the value is not a time, or it is before 1970 or after 2554.
    """
    return ParsedTimestamp(*_core.parse_timestamp(value))
