"""What a source signals, and what can go wrong. All of it is importable from ``falco_plugin.source`` too."""

from __future__ import annotations

__all__ = [
    "EOF",
    "BatchFullError",
    "ChannelClosedError",
    "ChannelFullError",
    "EventTooLargeError",
    "PluginError",
    "Timeout",
]


class PluginError(Exception):
    """Base of everything that this package raises on its own account."""

    taken: int
    """How many items went before the one that failed; set by ``extend`` and ``send_many`` only."""


class EOF(PluginError, EOFError):
    """The source has ended. Raise it from a pull function or ``next_batch`` (``sdk.ErrEOF`` of the Go SDK)."""


class Timeout(PluginError, TimeoutError):
    """There is no event for now, the source goes on. Raise it from a pull function or ``next_batch``
    (``sdk.ErrTimeout`` of the Go SDK).
    """


class EventTooLargeError(PluginError, ValueError):
    """An event's payload is longer than the event size. Nothing of the event is kept; the source goes on.

    Attributes:
        size: bytes of the event's payload.
        event_size: bytes that it may have.
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
    """The batch takes no further event. Check ``batch.full`` before adding one."""


class ChannelClosedError(PluginError):
    """The sender was closed, or the source has ended. The event is still the caller's.

    A thread may end with this error once the source has ended; it is then not logged.
    """

    source_ended: bool = False
    """Whether the source has ended. If false, only this sender was closed."""


class ChannelFullError(PluginError):
    """The channel was full for as long as the send was to wait. The event is still the caller's."""
