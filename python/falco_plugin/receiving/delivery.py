"""Delivers the events of a request to Falco."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

from falco_plugin.errors import ChannelClosedError, ChannelFullError
from falco_plugin.receiving.request import Rejection

if TYPE_CHECKING:
    from falco_plugin.source import PushEvent, Sender

CLOSING = "the source is closing"
"""The reason to send a request again after the source was closed."""
_RETRY_AFTER = "5"


class Delivery:
    """The channel to Falco, and whether Falco is behind. The threads of all connections use it.

    Args:
        sender: sends the events. It is closed by its owner.
        timeout: seconds that a request waits for Falco.
        most_bytes: bytes of the bodies whose events are in memory together.
    """

    def __init__(self, sender: Sender, timeout: float, most_bytes: int) -> None:
        self.sender = sender
        self._timeout = timeout
        self._is_behind = False
        self._most_bytes = most_bytes
        self._bytes = 0
        self._changed = threading.Condition()

    @contextmanager
    def admit(self, size: int) -> Generator[None]:
        """Waits until the events of a body may be in memory, which they are until the end of the ``with`` block.

        The events of a body may need many times its memory: a body of 1 MiB can have half a million of them.

        Args:
            size: bytes of the body. One that is larger than the limit is admitted alone.

        Raises:
            Rejection: the other bodies were not delivered in time.
        """

        def is_admitted() -> bool:
            return not self._bytes or self._bytes + size <= self._most_bytes

        with self._changed:
            if not self._changed.wait_for(is_admitted, self._timeout):
                raise try_again("Falco is behind: no event was delivered")
            self._bytes += size
        try:
            yield
        finally:
            with self._changed:
                self._bytes -= size
                self._changed.notify_all()

    def deliver(self, sender: Sender, events: Sequence[bytes | PushEvent]) -> None:
        """Sends events, and returns when Falco has processed them and asks for more.

        Args:
            sender: the connection's clone. It can still flush after the server has closed its own sender.
            events: the events of one request.

        Raises:
            Rejection: Falco did not process all events in time, or the source is closing.
        """
        end = time.monotonic() + self._timeout
        try:
            # Do not queue while Falco is behind: each attempt of a client would add the same events again.
            if self._is_behind and not sender.flush(_seconds_until(end)):
                raise try_again("Falco is behind: no event was delivered")
            sender.send_many(events, timeout=_seconds_until(end))
            self._is_behind = not sender.flush(_seconds_until(end))
        except ChannelFullError as error:
            self._is_behind = True
            if error.taken:
                raise try_again("Falco is behind: some of the events may still be delivered") from None
            raise try_again("Falco is behind: no event was delivered") from None
        except ChannelClosedError:
            raise closing() from None
        if self._is_behind:
            raise try_again("Falco is behind: all of the events may still be delivered")


def closing() -> Rejection:
    return try_again(CLOSING)


def try_again(reason: str) -> Rejection:
    """Returns the answer to a request that the client should send again."""
    return Rejection(HTTPStatus.SERVICE_UNAVAILABLE, reason, Retry_After=_RETRY_AFTER)


def _seconds_until(end: float) -> float:
    return max(0.0, end - time.monotonic())
