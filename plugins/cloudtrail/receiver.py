"""Receives the messages of a queue, and keeps them invisible to other consumers until they are settled."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from types import TracebackType
from typing import NamedTuple, Self

from falco_plugin import Context

from .client import ClosedError
from .config import Config
from .downloads import Downloaded, Downloads
from .message_queue import MOST_MESSAGES, Message, Queue
from .metrics import DeliveryMetrics
from .notifications import NotificationError, ObjectName, parse_notification
from .trails import is_log_file

_MOST_UNREADABLE = 10_000
"""Messages that are remembered because they cannot be read."""


class Received(NamedTuple):
    """A message, and the downloads of the log files that it announces."""

    message: Message
    files: list[tuple[ObjectName, Future[Downloaded]]]
    fault: str = ""
    """The reason why the message cannot be read; empty if it can."""


class Receiver:
    """Receives messages on one thread, and extends their visibility on another one.

    Use it as a context manager. Leaving it releases the messages that are not settled, so that another consumer gets
    them soon.

    Args:
        messages: the queue.
        downloads: downloads the log files.
        context: of the source.
        metrics: the plugin.
        config: of the plugin.
        now: returns the time in seconds, from any start.
    """

    def __init__(
        self,
        messages: Queue,
        downloads: Downloads,
        context: Context,
        metrics: DeliveryMetrics,
        config: Config,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = messages
        self._downloads = downloads
        self._context = context
        self._metrics = metrics
        self._now = now
        self._capacity = config.s3_download_concurrency + MOST_MESSAGES
        self._received: queue.SimpleQueue[Received | BaseException | None] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._held: dict[str, tuple[Message, float]] = {}
        """The messages that are not settled, and when they become visible, by their receipts."""
        self._unreadable: dict[str, None] = {}

    def __enter__(self) -> Self:
        self._context.on_cancel(self._wake)
        for name, function in (("receive", self._receive), ("extend", self._extend)):
            threading.Thread(target=function, name=f"cloudtrail-{name}", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._changed:
            held = [message for message, _ in self._held.values()]
        self.settle(held)
        # The source must end now, and the answers of the queue do not matter.
        threading.Thread(target=self._release, args=(held,), name="cloudtrail-release", daemon=True).start()

    @property
    def is_empty(self) -> bool:
        """Whether the next message must be waited for."""
        return self._received.empty()

    def next(self) -> Received | None:
        """Returns the next message, or ``None`` if the queue had none for some seconds.

        Raises:
            AwsError: the queue cannot be read, and another attempt would fail too.
            ClosedError: the source was closed.
        """
        received = self._received.get()
        if self._context.cancelled:
            raise ClosedError
        if isinstance(received, BaseException):
            raise received
        return received

    def settle(self, messages: Iterable[Message]) -> None:
        """Stops extending the visibility of messages, which were deleted or are left to the queue."""
        with self._changed:
            for message in messages:
                self._held.pop(message.receipt, None)
            self._metrics.messages_in_flight.set(len(self._held))
            self._changed.notify_all()

    def mark_unreadable(self, message: Message) -> None:
        """Remembers a message that cannot be read, so that it is not read again when it returns."""
        self._unreadable[message.id] = None
        if len(self._unreadable) > _MOST_UNREADABLE:
            del self._unreadable[next(iter(self._unreadable))]

    def _receive(self) -> None:
        """Receives messages until the source is closed. This is the function of a thread."""
        try:
            while capacity := self._wait_for_capacity():
                found = self._queue.receive(self._context, min(capacity, MOST_MESSAGES))
                if self._context.cancelled:
                    self._release(found)
                    return
                for message in self._readable(found):
                    self._received.put(self._begin(message))
                if not found:
                    self._received.put(None)
        except ClosedError:
            return
        except BaseException as error:
            # The source ends with it.
            self._received.put(error)

    def _readable(self, messages: list[Message]) -> list[Message]:
        """Returns the messages that are not known to be unreadable, and holds them."""
        readable = [message for message in messages if message.id not in self._unreadable]
        self._hold(readable)
        return readable

    def _begin(self, message: Message) -> Received:
        """Begins to download the log files of a message."""
        try:
            names = parse_notification(message.body)
        except NotificationError as error:
            return Received(message, [], str(error))
        files = [name for name in names if is_log_file(name.key)]
        return Received(message, [(name, self._downloads.start(name.bucket, name.key)) for name in files])

    def _extend(self) -> None:
        """Extends the visibility of messages before it ends. This is the function of a thread."""
        while not self._context.wait(self._queue.visibility / 4):
            limit = self._now() + self._queue.visibility / 2
            with self._changed:
                due = [message for message, end in self._held.values() if end < limit]
            if due:
                try:
                    self._queue.extend(self._context, due)
                except ClosedError:
                    return
                self._hold(due, only_known=True)

    def _hold(self, messages: list[Message], *, only_known: bool = False) -> None:
        """Remembers when messages become visible. With ``only_known``, those that are settled are left out."""
        end = self._now() + self._queue.visibility
        with self._changed:
            for message in messages:
                if not only_known or message.receipt in self._held:
                    self._held[message.receipt] = message, end
            self._metrics.messages_in_flight.set(len(self._held))

    def _wait_for_capacity(self) -> int:
        """Returns how many messages may be received now; 0 if the source is closed."""
        with self._changed:
            while not self._context.cancelled:
                if (capacity := self._capacity - len(self._held)) > 0:
                    return capacity
                self._changed.wait()
            return 0

    def _release(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self._queue.release(message)

    def _wake(self) -> None:
        """Ends all waits. The thread that closes the source calls it."""
        self._received.put(None)
        with self._changed:
            self._changed.notify_all()
