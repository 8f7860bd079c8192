"""Exceptions: the signals of event sources, and the errors that this package raises.

All of them can also be imported from ``falco_plugin.source``, except :class:`NoJsonError`.
"""

from __future__ import annotations

__all__ = [
    "EOF",
    "BatchFullError",
    "ChannelClosedError",
    "ChannelFullError",
    "EventTooLargeError",
    "NoJsonError",
    "PluginError",
    "Timeout",
]


class PluginError(Exception):
    """Base class of the exceptions of this package."""

    taken: int
    """The number of items before the one that failed. Set by ``extend`` and ``send_many`` only."""


class EOF(PluginError, EOFError):
    """Signals that the source has ended. Raise it from a pull function or ``next_batch`` (``sdk.ErrEOF`` of the Go
    SDK).
    """


class Timeout(PluginError, TimeoutError):
    """Signals that there is no event now and that the source continues. Raise it from a pull function or
    ``next_batch`` (``sdk.ErrTimeout`` of the Go SDK).
    """


class EventTooLargeError(PluginError, ValueError):
    """An event's payload is longer than the event size. No part of the event is kept, and the source continues.

    Attributes:
        size: length of the payload in bytes.
        event_size: largest allowed length in bytes.
    """

    def __init__(self, size: int, event_size: int) -> None:
        super().__init__(size, event_size)
        self.size = size
        self.event_size = event_size

    def __str__(self) -> str:
        return (
            f"an event of {self.size} bytes is larger than the event size of {self.event_size} bytes: "
            "raise event_size, or cut the event"
        )


class NoJsonError(PluginError, ValueError):
    """An event's payload does not begin with a JSON value.

    If a field's method does not catch this error, the field is absent, and the payload is counted and reported as one
    that is not JSON.
    """


class BatchFullError(PluginError):
    """The batch is full. Check ``batch.full`` before you append an event."""


class ChannelClosedError(PluginError):
    """The sender was closed, or the source has ended. The event was not sent.

    Once the source has ended, a thread may end with this error; it is then not logged.
    """

    source_ended: bool = False
    """Whether the source has ended. If false, only this sender was closed."""


class ChannelFullError(PluginError):
    """The channel stayed full until the timeout of the send. The event was not sent."""
