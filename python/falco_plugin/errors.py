"""Exceptions: the signals of event sources, and the errors that this package raises.

All of them can also be imported from ``falco_plugin.source``, except :class:`NoJsonError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta

__all__ = [
    "EOF",
    "BatchFullError",
    "ChannelClosedError",
    "ChannelFullError",
    "EventTooLargeError",
    "Fatal",
    "NoJsonError",
    "PluginError",
    "RetryLater",
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


class RetryLater(PluginError):
    """Signals that the source continues after a time, such as the one that an API asks for in ``Retry-After``.

    In a generator with ``retry`` this time replaces the wait before the next attempt. The waits after other exceptions
    do not change. A pull function or ``next_batch`` that raises it is called again after this time. It cannot be raised
    elsewhere, because nothing would be called again. It is logged in one line.

    Args:
        seconds: a number of seconds, or a ``timedelta``. From 0.1 seconds to an hour; the nearest of the two replaces
            any other time. After an hour it is right to try, whatever a server asks for.
        reason: why to wait, for the log.

    Raises:
        TypeError: the time is neither a number nor a ``timedelta``.
        ValueError: the time is not a number (NaN).

    Attributes:
        seconds: the time as a ``float``, within these bounds.

    Example:
        ```python
        if response.status == 429:
            raise RetryLater(int(response.headers["Retry-After"]), "the rate limit is reached")
        ```
    """

    SHORTEST, LONGEST = 0.1, 3600.0

    def __init__(self, seconds: float | timedelta, reason: str = "") -> None:
        # Not by their class: most plugins do not import datetime.
        total_seconds = getattr(seconds, "total_seconds", None)
        number = total_seconds() if total_seconds else seconds
        if not isinstance(number, int | float) or isinstance(number, bool):
            raise TypeError(f"seconds must be a number of seconds or a timedelta, got {type(seconds).__name__}")
        if number != number:  # noqa: PLR0124 - only NaN is not equal to itself
            raise ValueError("seconds must be a number, got NaN")
        super().__init__(*(reason,) if reason else ())
        self.seconds: float = float(min(max(number, self.SHORTEST), self.LONGEST))


class Fatal(PluginError):
    """Ends the source with this error, although it has ``retry``.

    Raise it for what another attempt cannot repair, such as a token that the API rejects. Falco ends, so that its
    operator notices. Without ``retry``, any exception has this effect.

    Example:
        ```python
        if response.status == 401:
            raise Fatal("the API rejects the token: write a valid one into token_file")
        ```
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
