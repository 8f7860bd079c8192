"""The native core. Its public names are imported from ``falco_plugin`` and ``falco_plugin.source``."""

from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Final, Literal, Never, Self, TypeAlias, final, overload

from _typeshed import HasFileno, ReadableBuffer, StrOrBytesPath
from typing_extensions import disjoint_base

__all__ = [
    "SDK_VERSION",
    "AsyncSender",
    "Context",
    "Event",
    "EventBatch",
    "EventWriter",
    "HostLog",
    "IterInstance",
    "JsonReader",
    "LinesInstance",
    "PullInstance",
    "PushEvent",
    "PushInstance",
    "Receiver",
    "Sender",
    "Watch",
    "after_fork_in_child",
    "before_fork",
    "channel",
    "current_plugin",
    "end_child",
    "fail",
    "host",
    "parse_timestamp",
    "position",
    "send_each",
    "set_current_plugin",
    "split_json",
    "stub",
]

_Timestamp: TypeAlias = int | datetime
"""Nanoseconds since the epoch, 0 to 2**64 - 2, or an aware ``datetime``."""
_Seconds: TypeAlias = float | timedelta
"""A duration, 0 seconds or more."""
_Item: TypeAlias = ReadableBuffer | tuple[ReadableBuffer, _Timestamp | None] | PushEvent
"""An event: its payload, its payload with a timestamp, or a ``PushEvent``."""
_Error: TypeAlias = BaseException | type[BaseException]
_Items: TypeAlias = Iterable[_Item | None] | AsyncIterable[_Item | None]
"""Events one after the other; ``None`` is a barrier."""
_File: TypeAlias = StrOrBytesPath | HasFileno
"""A path, or what has a descriptor."""

SDK_VERSION: Final[str]
"""The version of this package."""

@final
class Context:
    """Cancellation, passed from parent to child (``context.Context`` of the Go SDK). Safe to use from any thread.

    Args:
        parent: cancels this context too when it is cancelled; it is not cancelled by this one.
    """

    def __new__(cls, parent: Context | None = None) -> Self: ...
    @property
    def cancelled(self) -> bool:
        """Whether this context, or a parent of it, was cancelled."""

    def cancel(self) -> None:
        """Cancels this context and its children: waiters wake, callbacks run on this thread. Idempotent."""

    def wait(self, timeout: _Seconds | None = None) -> bool:
        """Waits until the context is cancelled. The GIL is free meanwhile, and Ctrl-C is noticed.

        Args:
            timeout: seconds or a ``timedelta``; ``None`` waits without limit.

        Returns:
            Whether the context was cancelled in time.

        Raises:
            TypeError: the timeout is no duration.
            ValueError: the timeout is negative.
        """

    def fileno(self) -> int:
        """A descriptor that becomes readable when the context, or a parent of it, is cancelled, and stays readable.

        For ``select``, ``poll``, ``selectors`` and event loops, which also take the context itself. The first call
        makes it; later calls return the same one. It is closed with this object, so keep the context while you wait. Do
        not read, write or close the descriptor.

        Raises:
            OSError: the descriptor cannot be made, such as when too many files are open.
        """

    def on_cancel(self, callback: Callable[[], object]) -> None:
        """Calls the callback once when the context is cancelled, at once where it was already.

        It runs on the thread that cancels, and must not wait for the source, which gets no further by then. What it
        raises is logged.

        Raises:
            TypeError: the callback is not callable.
        """

@disjoint_base
class Event:
    """One event as the host hands it to a plugin (``sdk.EventReader`` of the Go SDK). A copy: it can be kept.

    Args:
        data: the payload, any buffer.
        number: the event's number in the host's stream.
        timestamp: nanoseconds since the epoch.
        source: the name of its event source.
    """

    def __new__(cls, data: ReadableBuffer, /, *, number: int = 1, timestamp: int = 0, source: str = "") -> Self: ...
    @property
    def number(self) -> int:
        """The event's number in the host's stream, from 1 on (``evt.num`` in rules)."""

    @property
    def timestamp(self) -> int:
        """Nanoseconds since the epoch (``evt.time`` in rules)."""

    @property
    def source(self) -> str:
        """The name of its event source (``evt.source`` in rules)."""

    @property
    def data(self) -> bytes:
        """The payload."""

    @property
    def text(self) -> str:
        """The payload as text; what is not UTF-8 is replaced."""

    @property
    def type(self) -> int:
        """The type of plugin events, 322 (``PPME_PLUGINEVENT_E``)."""

    @property
    def json(self) -> Any:
        """The payload as JSON: ``dict``, ``list``, ``str``, ``int``, ``float``, ``bool`` or ``None``.

        Decoded once, and the same object each time: do not change it. Of duplicate keys the first counts, as for
        ``json_field``. An integer of more than 4,000 digits is a ``float``.

        A fault costs at most the value that contains it. Each byte that is not UTF-8 and each half of a surrogate pair
        becomes U+FFFD. An unknown escape stays as it is written. A word that JSON does not have is a ``str``. If the
        text ends early, the members before its end are there. Containers nested more deeply than 128 levels are
        ``None``.

        Raises:
            NoJsonError: the payload does not begin with a JSON value. If a field's method does not catch this error,
                the field is absent, and the payload is counted and reported as one that is not JSON.
        """

@final
class EventBatch:
    """Events on their way to the host (``sdk.EventWriters`` of the Go SDK).

    Bounded by count and, softly, by bytes: with 1 MiB it is full, and a larger event goes alone. Both are limits:
    memory follows use. The batch of an instance belongs to the host outside of ``next_batch``; its use then raises
    ``PluginError``.

    Args:
        batch_size: events that it takes, 1 to 2**32 - 1.
        event_size: bytes of the largest payload of one event, 1 to 2**32 - 39.

    Raises:
        TypeError: a size is no ``int``.
        ValueError: a size is out of range.
    """

    def __new__(cls, batch_size: int = 128, event_size: int = 262144) -> Self: ...
    @property
    def batch_size(self) -> int:
        """Events that it takes."""

    @property
    def event_size(self) -> int:
        """Bytes of the largest payload of one event."""

    @property
    def full(self) -> bool:
        """Whether it takes no further event. Look before adding one."""

    def append(self, item: _Item, timestamp: _Timestamp | None = None) -> None:
        """Adds one event. Its bytes are copied.

        Args:
            item: any buffer, ``(buffer, timestamp)`` or a ``PushEvent`` with data.
            timestamp: ns since the epoch or an aware ``datetime``; without one the host fills in its time.

        Raises:
            BatchFullError: the batch is full.
            EventTooLargeError: the payload is larger than the event size; the batch is as before.
            TypeError: the item is none, such as a ``str``; or it has a timestamp of its own and one is given.
            ValueError: the timestamp is out of range, or a naive ``datetime``.
        """

    def extend(self, items: Iterable[_Item]) -> int:
        """Adds events until the batch is full. No item is consumed that is not taken.

        Returns:
            How many were taken.

        Raises:
            Exception: as of :meth:`append`, or the iterable's own; its ``taken`` says how many went before it.
        """

    def writer(self) -> AbstractContextManager[EventWriter, None]:
        """A writer for one more event, for a ``with`` block. The event counts on a clean exit only.

        Raises:
            BatchFullError: the batch is full.
        """

    def clear(self) -> None:
        """Removes all events."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> PushEvent: ...

@final
class EventWriter:
    """Writes the payload of one event (``sdk.EventWriter`` of the Go SDK).

    Works only during the call that it was given to, and on its thread; elsewhere every use raises ``PluginError``.
    ``len()`` is the bytes written so far.
    """

    def __new__(cls, given_to_pull_function: Never, /) -> Self: ...
    @property
    def timestamp(self) -> int | None:
        """Nanoseconds since the epoch; ``None``: the host fills in its time. An aware ``datetime`` may be set too."""

    @timestamp.setter
    def timestamp(self, value: _Timestamp | None) -> None: ...
    def write(self, data: ReadableBuffer, /) -> int:
        """Adds bytes to the payload; several calls make one event.

        Returns:
            How many bytes were written: all.

        Raises:
            EventTooLargeError: the payload would be larger than the event size; nothing of the event is kept.
            TypeError: the data is no buffer.
        """

    def reserve(self, size: int, /) -> memoryview:
        """Memory to fill in place, such as with ``readinto``; :meth:`commit` then adds it to the payload.

        It is Python's own: a view that is kept can never touch what the host reads.

        Args:
            size: bytes.

        Raises:
            EventTooLargeError: the payload would be larger than the event size.
            ValueError: the size is negative or too large.
        """

    def commit(self, size: int, /) -> int:
        """Adds the first bytes of what was reserved to the payload.

        Args:
            size: bytes, at most what was reserved.

        Returns:
            How many bytes were written: all.

        Raises:
            PluginError: nothing is reserved.
            ValueError: the size is negative, or more than was reserved.
        """

    def __len__(self) -> int: ...
    def __bool__(self) -> bool: ...

@final
class PushEvent:
    """An event, or the error that takes its place (``source.PushEvent`` of the Go SDK). Immutable.

    Args:
        data: the payload, any buffer; ``bytes`` are kept by reference, others are copied.
        timestamp: ns since the epoch or an aware ``datetime``; without one the host fills in its time.
        error: ``Timeout`` says that there is no event for now; ``EOF`` and any other error end the source.

    Raises:
        TypeError: the data is no buffer, the error no exception, or the timestamp of a wrong type.
        ValueError: both data and an error are given, or neither; or the timestamp is out of range.
    """

    @overload
    def __new__(cls, data: ReadableBuffer, timestamp: _Timestamp | None = None, *, error: None = None) -> Self: ...
    @overload
    def __new__(cls, data: None = None, timestamp: None = None, *, error: _Error) -> Self: ...
    @property
    def data(self) -> bytes | None:
        """The payload; ``None`` where there is an error."""

    @property
    def timestamp(self) -> int | None:
        """Nanoseconds since the epoch; ``None``: the host fills in its time."""

    @property
    def error(self) -> BaseException | None:
        """The error; ``None`` where there is data."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

def channel(
    capacity: int = 1024,
    *,
    max_bytes: int = 67108864,
    event_size: int = 262144,
    on_error: Literal["raise", "log"] = "raise",
) -> tuple[Sender, Receiver]:
    """A channel from producer threads to a ``PushInstance`` (``chan source.PushEvent`` of the Go SDK).

    Args:
        capacity: events that wait in it at most.
        max_bytes: bytes that wait in it at most; a larger event passes alone.
        event_size: bytes of the largest payload of one event, 1 to 2**32 - 39.
        on_error: ``"raise"``: an item that cannot be an event raises when it is sent. ``"log"``: the item is left out
            and counted; the log reports each cause at most once a minute, and the rest when the source ends.

    Raises:
        TypeError: an option is not an ``int``, or ``on_error`` not a ``str``.
        ValueError: an option is out of range, or ``on_error`` is neither of the two.
    """

def split_json(payload: ReadableBuffer, /, *, lines: bool = False, items: str | None = None) -> list[bytes]:
    """Splits a payload that may hold several JSON documents, so that each of them can become an event.

    Fields are read from the first document of an event, so a second one would be invisible to rules. Documents may
    follow each other directly, or with white space, commas or byte order marks between them. An array whose elements
    are all objects is a batch, and each element is a record. Text behind a document belongs to it, up to the end of its
    line.

    The payload may be damaged. Only matching brackets outside of strings decide where a document ends. Only separators
    are left out. A damaged line does not hide the lines behind it, if one of these is a document by itself.

    Args:
        payload: any buffer.
        lines: whether each line is a record, as a sender of JSON lines declares. Several documents in a line are split
            too.
        items: name of a top-level member: the elements of its array are records instead of the document, as in
            ``{"kind": "EventList", "items": [...]}``.

    Returns:
        The records, in their order and without white space around them. A payload that does not hold several documents,
        such as text, is one record with all its bytes. A blank payload has no records.

    Raises:
        TypeError: the payload is not a buffer.
    """

@final
class Receiver:
    """The end of a channel that one ``PushInstance`` reads from."""

    def __new__(cls, made_by_channel: Never, /) -> Self: ...
    @property
    def event_size(self) -> int:
        """Bytes of the largest payload of one event."""

@final
class Sender:
    """The producers' end of a channel. Safe to use from any thread.

    The source ends when the last clone is closed. If the last one is dropped without ``close``, such as by a thread
    that raised, the source ends with an error. As a context manager a sender closes itself; an exception that leaves
    the block is the source's error.
    """

    def __new__(cls, made_by_channel: Never, /) -> Self: ...
    @property
    def event_size(self) -> int:
        """Bytes of the largest payload of one event.

        Raises:
            ChannelClosedError: this sender was closed.
        """

    @property
    def closed(self) -> bool:
        """Whether this sender was closed, or the source has ended."""

    def send(self, item: _Item, timestamp: _Timestamp | None = None, *, timeout: _Seconds | None = None) -> bool:
        """Sends one event, or the error of a ``PushEvent``; waits while the channel is full, with the GIL free.

        Args:
            item: any buffer, ``(buffer, timestamp)`` or a ``PushEvent``; ``bytes`` go by reference.
            timestamp: ns since the epoch or an aware ``datetime``; without one the host fills in its time.
            timeout: seconds or a ``timedelta``; ``None`` waits without limit, 0 not at all.

        Returns:
            Whether the event was sent. False only with ``on_error="log"``, for an item that was left out.

        Raises:
            ChannelClosedError: the sender was closed or the source has ended; the event is still the caller's.
            ChannelFullError: the channel was full until the timeout, or is full on a thread of the host's without one;
                the event is still the caller's.
            EventTooLargeError: the payload is larger than the event size. With ``on_error="log"`` this and the
                following are raised for the timeout alone.
            TypeError: the item is not an event, such as a ``str``; or it has a timestamp of its own and one is given.
            ValueError: the timestamp is out of range, or a naive ``datetime``; or the timeout is negative.
        """

    def send_many(self, items: Iterable[_Item], *, timeout: _Seconds | None = None) -> int:
        """Sends events, faster than one by one. Of an iterator no item is consumed before the one in front was sent.

        Args:
            items: each as in :meth:`send`.
            timeout: seconds or a ``timedelta`` for all of them; ``None`` waits without limit.

        Returns:
            How many were sent: all, except for those that were left out (``on_error="log"``).

        Raises:
            Exception: as of :meth:`send`, or the iterable's own; its ``taken`` is the number of items before the one
                that failed, whether they were sent or left out.
        """

    def flush(self, timeout: _Seconds | None = None) -> bool:
        """Waits until the host is done with all that was sent through the channel before: it took it, and came back for
        more. The GIL is free meanwhile. It does not wait for items that were left out.

        Args:
            timeout: seconds or a ``timedelta``; ``None`` waits without limit, 0 not at all.

        Returns:
            Whether the host was done in time.

        Raises:
            ChannelClosedError: the sender was closed, or the source ended before; what was not taken is dropped.
            PluginError: on a thread of the host's it would never return without a timeout.
            TypeError: the timeout is no duration.
            ValueError: the timeout is negative.
        """

    def clone(self) -> Sender:
        """A sender for another producer, closed on its own.

        Raises:
            ChannelClosedError: this sender was closed.
        """

    def close(self, error: _Error | None = None) -> None:
        """Closes this sender; the source ends when the last one is closed. Idempotent.

        Args:
            error: ends the source with this error, after the events that were sent before.

        Raises:
            TypeError: the error is no exception.
        """

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None, /
    ) -> None: ...

@final
class PullInstance:
    """An event source that a function fills, event by event (``source.NewPullInstance`` of the Go SDK).

    Args:
        function: is called with the instance's context and a writer and writes one event; or it raises ``Timeout`` for
            none for now, ``EOF`` for the end, or anything else, which ends the source with that error.
        context: parent of the instance's context (``WithInstanceContext``); cancelling it ends the source.
        timeout: seconds or a ``timedelta`` after which a batch is delivered as it is (``WithInstanceTimeout``); 0 takes
            what is there.
        close: is called once when the source is closed, after the context was cancelled (``WithInstanceClose``).
        batch_size: events in a batch, 1 to 2**32 - 1 (``WithInstanceBatchSize``).
        event_size: bytes of the largest payload of one event, 1 to 2**32 - 39 (``WithInstanceEventSize``).
        progress: returns how much has been read, 0 to 1, and a text (``WithInstanceProgress``).
        on_error: ``"raise"``: an event that the writer refuses ends the source if the function does not catch the
            exception; so does an event that is returned instead of written. ``"log"``: such an event is left out and
            counted; the log reports each cause at most once a minute, and the rest when the source ends. Any other
            exception of the function ends the source in both cases.

    Raises:
        TypeError: the function or a callback is not callable, or an option is of a wrong type.
        ValueError: an option is out of range.
    """

    def __new__(
        cls,
        function: Callable[[Context, EventWriter], object],
        /,
        *,
        context: Context | None = None,
        timeout: _Seconds = 0.03,
        close: Callable[[], object] | None = None,
        batch_size: int = 128,
        event_size: int = 262144,
        progress: Callable[[], tuple[float, str]] | None = None,
        on_error: Literal["raise", "log"] = "raise",
    ) -> Self: ...
    @property
    def context(self) -> Context:
        """The instance's context, cancelled when it is closed."""

    @property
    def events(self) -> EventBatch:
        """The batch that the host reads; another may be set before ``open`` returns (``sdk.Events``)."""

    @events.setter
    def events(self, events: EventBatch) -> None: ...
    def next_batch(self, batch: EventBatch, /) -> int:
        """Appends events to the batch until it is full or the timeout is over (``sdk.NextBatcher``).

        Returns:
            How many were appended, at least 1.

        Raises:
            Timeout: there is no event for now.
            EOF: the source has ended.
            BatchFullError: the batch was full already.
            Exception: what the function raised, once; ``EOF`` from then on. What stops a call that has events is
                raised by the next.
        """

    def progress(self) -> tuple[float, str]:
        """How much of the source has been read, 0 to 1, and the same as a text; 0.0 and "" without a callback."""

    def close(self) -> None:
        """Cancels the context, then calls the close callback. Idempotent."""

@disjoint_base
class PushInstance:
    """An event source that threads fill through a channel (``source.NewPushInstance`` of the Go SDK).

    What there is is delivered at once. The event size is the channel's.

    Args:
        receiver: the receiving end of a channel; one instance reads from it.
        context: parent of the instance's context (``WithInstanceContext``); cancelling it ends the source.
        timeout: seconds or a ``timedelta`` that ``next_batch`` waits for an event at most (``WithInstanceTimeout``); 0
            takes what is there.
        close: is called once when the source is closed, after context and channel (``WithInstanceClose``).
        batch_size: events in a batch, 1 to 2**32 - 1 (``WithInstanceBatchSize``).
        progress: returns how much has been read, 0 to 1, and a text (``WithInstanceProgress``).

    Raises:
        PluginError: another instance reads from the receiver.
        TypeError: a callback is not callable, or an option is of a wrong type.
        ValueError: an option is out of range.
    """

    def __new__(
        cls,
        receiver: Receiver,
        /,
        *,
        context: Context | None = None,
        timeout: _Seconds = 0.03,
        close: Callable[[], object] | None = None,
        batch_size: int = 128,
        progress: Callable[[], tuple[float, str]] | None = None,
    ) -> Self: ...
    @property
    def context(self) -> Context:
        """The instance's context, cancelled when it is closed."""

    @property
    def events(self) -> EventBatch:
        """The batch that the host reads; another may be set before ``open`` returns (``sdk.Events``).

        Raises:
            ValueError: the batch's event size is smaller than the channel's.
        """

    @events.setter
    def events(self, events: EventBatch) -> None: ...
    def next_batch(self, batch: EventBatch, /) -> int:
        """Appends events to the batch until it is full or the timeout is over (``sdk.NextBatcher``).

        Returns:
            How many were appended, at least 1.

        Raises:
            Timeout: there is no event for now.
            EOF: the source has ended.
            BatchFullError: the batch was full already.
            Exception: what a producer sent as the source's error, once; ``EOF`` from then on. What stops a call that
                has events is raised by the next.
        """

    def progress(self) -> tuple[float, str]:
        """How much of the source has been read, 0 to 1, and the same as a text; 0.0 and "" without a callback."""

    def close(self) -> None:
        """Cancels the context, closes the channel, which wakes its senders, then calls the close callback.

        Idempotent.
        """

@final
class IterInstance(PushInstance):
    """An event source that an iterable makes, on a thread of its own; what ``open`` makes of one.

    Each item is an event, as in :meth:`Sender.send`, and is delivered at once; where the host is slower, the iterable
    waits. ``None`` is a barrier: the iterable goes on when the host has taken all items before it, and came back for
    more. An item that is refused, such as one that is too large, raises at its ``yield``. The source ends with the
    iterable, and an exception that leaves it is the source's error.

    Closing cancels the context. A generator is closed at its next step, on its own thread; the task of an async
    generator is cancelled; any other iterable is closed where it has a ``close``, or an ``aclose`` where it is async.

    Args:
        items: an iterable, an async iterable, or a callable that takes a context and returns one of them. The context
            is cancelled with the instance's, and when the items have ended.
        retry: seconds or a ``timedelta``: after an exception the callable is called again, after this time, twice as
            much the next time, up to 5 minutes; an attempt that made an event, or lasted 5 minutes, starts anew.
            Without it an exception ends the source. What was sent after the last barrier comes again.
        context: parent of the instance's context; cancelling it ends the source.
        timeout: seconds or a ``timedelta`` that ``next_batch`` waits for an event at most.
        close: is called once when the source is closed, after context and channel.
        batch_size: events in a batch, 1 to 2**32 - 1.
        event_size: bytes of the largest payload of one event, 1 to 2**32 - 39.
        progress: returns how much has been read, 0 to 1, and a text.
        on_error: ``"raise"``: an item that cannot be an event raises at its ``yield``. ``"log"``: the item is left out
            and counted; the log reports each cause at most once a minute, and the rest when the source ends. An
            exception that leaves the iterable itself ends the source or, with ``retry``, starts another attempt, in
            both cases.

    Raises:
        TypeError: the items are none of these, retry is given without a callable, or an option is of a wrong type.
        ValueError: an option is out of range.
    """

    @overload
    def __new__(
        cls,
        items: Callable[[Context], _Items],
        /,
        *,
        retry: _Seconds | None = None,
        context: Context | None = None,
        timeout: _Seconds = 0.03,
        close: Callable[[], object] | None = None,
        batch_size: int = 128,
        event_size: int = 262144,
        progress: Callable[[], tuple[float, str]] | None = None,
        on_error: Literal["raise", "log"] = "raise",
    ) -> Self: ...
    @overload
    def __new__(
        cls,
        items: _Items,
        /,
        *,
        retry: None = None,
        context: Context | None = None,
        timeout: _Seconds = 0.03,
        close: Callable[[], object] | None = None,
        batch_size: int = 128,
        event_size: int = 262144,
        progress: Callable[[], tuple[float, str]] | None = None,
        on_error: Literal["raise", "log"] = "raise",
    ) -> Self: ...

@final
class LinesInstance:
    """Lines of a file, a pipe or a socket as events, without any Python: they are read and split while the GIL is free.

    An event is a line without its separator. An empty line is an empty event. If the separator is a newline, a carriage
    return in front of it belongs to the separator. At the end of the input, the bytes behind the last separator are an
    event too. A line longer than ``event_size`` is cut to it, however long it is, and the log reports it. Lines are
    delivered immediately.

    A UTF-8 byte order mark at the beginning of a file is left out. NULs at the beginning of a line are skipped, unless
    the separator contains a NUL: they are a hole, which ``copytruncate`` leaves if the writer does not append. UTF-16
    is reported in the log, and not converted.

    A regular file whose name ends with ``.gz`` or ``.zst`` is decompressed, and read once even with ``follow``. If it
    is cut off or damaged, the lines before the fault are events, and then an ``OSError`` ends the source.

    **Following** a path is like ``tail -F``. The path need not exist yet. If another file appears at the path, the old
    one is read to its end first. It is also read for as long as the new one is empty, because its writer may still use
    it. Files that appear and are renamed between two checks are read too, if they have the log's name with a number or
    a date. If the bytes that were read last are no longer in the file, it was truncated: it is read from its beginning,
    and the log reports it. Lines that are written between the last check and a truncation are lost. If a file cannot be
    read, that is logged and tried again. Files are checked every 20 ms. If ``file`` is an object with ``fileno()``,
    growth and truncation are noticed, but not another file with its name. A FIFO is read further after its writers have
    closed it; an unfinished line ends when they do. A file of ``/proc`` is read once.

    Args:
        file: a path, or an object with ``fileno()``, such as a pipe, a stream socket or an open file. Its descriptor is
            duplicated, so that it may be closed, and its flags are left alone. What the object has read into a buffer
            of its own is not seen; of a regular file the object's own place does not matter, only ``start`` does.
        separator: what ends a line, one byte or more.
        timestamp: a JSON pointer to the event's time in a line of JSON, such as ``"/time"``, in one of the forms that
            ``parse_timestamp`` reads. A line without such a time gets no timestamp, as if this option were not set. The
            log reports such lines at most once a minute for each cause, with a count.
        follow: whether to go on at the end of a file.
        start: where a regular file is begun: bytes from its beginning (of its content, if it is compressed); ``"end"``,
            behind its last separator; or the ``cursor`` of an instance before. A cursor also finds its file if the file
            was renamed in its folder or compressed since; the rest of that file is then read first. If the file is
            shorter than the position, or is not the cursor's file, it is read from its beginning, and the log reports
            how much is lost.
        context: parent of the instance's context; cancelling it ends the source.
        timeout: seconds or a ``timedelta`` that ``next_batch`` waits for a line at most; 0 takes what is there.
        close: is called once when the source is closed, after the context was cancelled.
        batch_size: events in a batch, 1 to 2**32 - 1.
        event_size: bytes of the largest payload of one event, 1 to 2**32 - 39.
        progress: returns how much has been read, 0 to 1, and a text, instead of what ``progress()`` says without it.

    Raises:
        OSError: the file cannot be opened or read; but a path that is followed need not exist.
        TypeError: the file is no path and has no ``fileno()``, or an option is of a wrong type.
        ValueError: the pointer is none, or leads to several values; an option is out of range, or has no meaning for
            such a file; a socket is one of datagrams, or is given by its path.
    """

    def __new__(
        cls,
        file: _File,
        /,
        *,
        separator: bytes = b"\n",
        timestamp: str | None = None,
        follow: bool = False,
        start: int | str = 0,
        context: Context | None = None,
        timeout: _Seconds = 0.03,
        close: Callable[[], object] | None = None,
        batch_size: int = 128,
        event_size: int = 262144,
        progress: Callable[[], tuple[float, str]] | None = None,
    ) -> Self: ...
    @property
    def context(self) -> Context:
        """The instance's context, cancelled when it is closed."""

    @property
    def events(self) -> EventBatch:
        """The batch that the host reads; another may be set before ``open`` returns (``sdk.Events``)."""

    @events.setter
    def events(self, events: EventBatch) -> None: ...
    @property
    def position(self) -> int:
        """Where the first line begins that the host is not done with, in bytes from the beginning of the file; of a
        stream, from where reading began.

        The host is done with a batch when it comes back for the next. A line that was cut counts when its end was read.
        After a rotation it is a place in the new file, from when the host has taken the rest of the old one.
        """

    @property
    def cursor(self) -> str | None:
        """The position as a text that ``start`` takes, for the plugin to keep; ``None`` for a stream, and as long as
        there is no file.

        It identifies its file by up to 256 bytes in front of the position, by inode and by path. Each line is delivered
        at least once, however often the plugin is restarted. If the file was rotated while the plugin did not run, the
        rest of it is read if it is found, as described for ``start``. The text is printable ASCII.
        """

    def next_batch(self, batch: EventBatch, /) -> int:
        """Appends lines to the batch until it is full, or there is none for now; waits for one (``sdk.NextBatcher``).

        Returns:
            How many were appended, at least 1.

        Raises:
            Timeout: there is no line for now.
            EOF: the source has ended.
            BatchFullError: the batch was full already.
            OSError: it cannot be read, once; ``EOF`` from then on. What stops a call that has events is raised by the
                next.
        """

    def progress(self) -> tuple[float, str]:
        """How much of the file the host is done with, 0 to 1, and as a text, such as "12.3 MiB of 40 MiB"; of a stream
        0.0, and how much was read. With a callback, what that says.
        """

    def close(self) -> None:
        """Cancels the context, closes a stream, then calls the close callback. Idempotent."""

@final
class AsyncSender:
    """A sender for an event loop: nothing here waits. Where something is not possible yet, ``fileno()`` becomes
    readable when it is worth another attempt, and when the context is cancelled. Not public.
    """

    def __new__(cls, sender: Sender, context: Context) -> Self: ...
    def fileno(self) -> int: ...
    def clear(self) -> None:
        """Makes ``fileno()`` unreadable again."""

    def try_send(self, item: _Item) -> bool:
        """Returns whether the item was sent or left out. Returns false if the channel is full."""

    def is_taken(self, position: int) -> bool:
        """Whether the host is done with all that was sent before the position."""

def send_each(sender: Sender, items: Iterator[Any]) -> bool | Exception | None:
    """Sends an iterator's items, each as soon as it is there.

    Returns:
        ``None`` at the end, ``True`` for a barrier, or the exception for an item that is refused. Not public.
    """

def end_child() -> None:
    """Ends a child process that the author's code made by ``fork``, where that code returns. Not public."""

def before_fork() -> None:
    """Prepares the process for a child that Python is about to fork. Not public."""

def after_fork_in_child() -> None:
    """Makes a child that Python has forked a process of its own: it has default signal handlers, ends with the host,
    and does not end as the host does. Not public.
    """

def position(sender: Sender) -> int:
    """How many items were sent through the channel so far. Not public."""

def fail(sender: Sender, error: BaseException) -> None:
    """Closes a sender with the source's error; one that comes before the first event is told as one of ``open``. Not
    public.
    """

@final
class HostLog:
    """The log of one initialised plugin, as the host takes it. Not public."""

    def __new__(cls, made_by_init: Never, /) -> Self: ...
    @property
    def open(self) -> bool:
        """Whether the host still takes lines: until destroy."""

    @property
    def number(self) -> int:
        """The number of the plugin, as ``current_plugin`` returns it."""

    def log(self, level: int, text: str) -> None:
        """Logs with a severity as Python's ``logging`` counts it."""

@final
class JsonReader:
    """Reads the values of a ``json_field``, without Python. Not public."""

    def __new__(cls, pointer: str, kind: str, is_list: bool, family: int | None = None) -> Self: ...
    @property
    def index(self) -> str:
        """``no``, ``optional`` or ``required``."""

    @property
    def key(self) -> str:
        """``no``, ``optional`` or ``required``."""

    def read(self, event: Event, index: int | None, key: str | None) -> Any:
        """The value, or the list of values; ``None`` where there is none."""

def parse_timestamp(value: str | float, /) -> tuple[int, bool]:
    """Nanoseconds since the epoch, and whether the value has a time zone. Not public: see ``falco_plugin.source``."""

@final
class Watch:
    """Calls ``report(seconds)`` on its own thread until it is stopped: first after the given seconds, then each time
    the waiting time has doubled, and at least once a minute. Not public.
    """

    def __new__(cls, seconds: float, report: Callable[[float], object]) -> Self: ...
    def stop(self) -> None:
        """Ends the reports. Does not wait for a report that is in progress."""

def current_plugin() -> int:
    """The number of the plugin whose code the calling thread runs, 0 if it is not known. Not public."""

def set_current_plugin(number: int) -> None:
    """Attributes the calling thread to a plugin, until the thread ends. Not public."""

def capability_symbols() -> dict[str, list[str]]:
    """Returns the symbols of each capability that a plugin library can export. Not public."""

def stub() -> bytes:
    """The library in front, before a plugin was put into it. Not public."""

def host() -> bytes:
    """The native host, a program. Not public."""
