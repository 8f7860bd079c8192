"""The native core. Its public names are imported from ``falco_plugin`` and ``falco_plugin.source``."""

from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from types import CodeType, GenericAlias, ModuleType, TracebackType
from typing import (
    Any,
    Final,
    Generic,
    Literal,
    Never,
    Self,
    SupportsFloat,
    SupportsIndex,
    TypeAlias,
    TypeVar,
    final,
    overload,
)

from _typeshed import HasFileno, ReadableBuffer, StrOrBytesPath
from typing_extensions import disjoint_base

__all__ = [
    "SDK_VERSION",
    "AsyncEvent",
    "AsyncEventSender",
    "AsyncSender",
    "AsyncSink",
    "Attribute",
    "BaseEntry",
    "Bundle",
    "Context",
    "Counter",
    "Event",
    "EventBatch",
    "EventWriter",
    "Gauge",
    "HostLog",
    "HostTables",
    "IterInstance",
    "JsonReader",
    "LinesInstance",
    "Params",
    "PullInstance",
    "PushEvent",
    "PushInstance",
    "Receiver",
    "Sender",
    "Table",
    "TableReader",
    "Watch",
    "after_fork_in_child",
    "before_fork",
    "blake3",
    "capability_symbols",
    "channel",
    "current_plugin",
    "end_child",
    "event_codes",
    "event_names",
    "fail",
    "is_meta_event",
    "make_table",
    "parse_timestamp",
    "position",
    "remove_at_exit",
    "send_each",
    "set_current_plugin",
    "split_json",
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
_Number: TypeAlias = SupportsFloat | SupportsIndex
"""The value of a gauge: an ``int``, a ``float``, or a number of another library."""
_GaugeMethod = TypeVar("_GaugeMethod", bound=Callable[[Any], _Number])

SDK_VERSION: Final[str]
"""The version of this package."""

@final
class Bundle:
    """The bundle of a self-contained library: what Python imports from instead of files. Not public."""

    def __new__(cls, made_by_init: Never, /) -> Self: ...
    @property
    def id(self) -> str:
        """The 16 hexadecimal digits that make the names of native code unique."""

    @property
    def root(self) -> str:
        """The path of the library. The ``__file__`` of each module is below it."""

    @property
    def libpython(self) -> str:
        """The SONAME of libpython, for ``ctypes.PyDLL``."""

    def find(self, name: str) -> tuple[int, int] | None:
        """Returns the kind of a module and the number of its entry.

        The kinds are 0 for a module, 1 for a package and 2 for an extension module.
        """

    def code(self, entry: int) -> CodeType:
        """Returns the code of a module or a package."""

    def create_extension(self, entry: int, name: str) -> ModuleType:
        """Loads an extension module from memory, and the libraries that it needs.

        Returns the module before its execution. The ``__file__`` that it may have is a path in memory.
        """

    def file(self, path: str) -> int | None:
        """Returns the number of the entry of a data file."""

    def read(self, entry: int) -> bytes:
        """Returns the content of an entry."""

    def files(self, prefix: str) -> list[str]:
        """Returns the paths of the data files that begin with a prefix, sorted."""

    def modules(self, prefix: str) -> list[tuple[str, int]]:
        """Returns the names of the modules that begin with a prefix, each with its kind, sorted."""

    def memory_file(self, entry: int) -> int:
        """Returns the descriptor of a file in memory with the content of a data file.

        Nothing can change the file. The caller has to close the descriptor.

        Raises:
            OSError: the system refuses files in memory.
        """

@final
class Context:
    """Cancels work, and passes the cancellation to child contexts (``context.Context`` of the Go SDK).

    A context can be used from any thread.

    Args:
        parent: cancels this context too when it is cancelled. Cancelling this context does not cancel the parent.
    """

    def __new__(cls, parent: Context | None = None) -> Self: ...
    @property
    def cancelled(self) -> bool:
        """Whether this context or a parent of it was cancelled."""

    def cancel(self) -> None:
        """Cancels this context and its children. Calling it again does nothing.

        Wakes their waiters, and runs their callbacks on this thread.
        """

    def wait(self, timeout: _Seconds | None = None) -> bool:
        """Waits until the context is cancelled, with the GIL released. Ctrl-C interrupts the wait.

        Args:
            timeout: seconds or a ``timedelta``. ``None`` waits without limit.

        Returns:
            Whether the context was cancelled before the timeout.

        Raises:
            TypeError: the timeout is neither a number nor a ``timedelta``.
            ValueError: the timeout is negative.
        """

    def fileno(self) -> int:
        """Returns a descriptor that becomes readable when this context or a parent of it is cancelled.

        It stays readable. It is for ``select``, ``poll``, ``selectors`` and event loops, which also accept the context
        itself. The first call makes the descriptor; later calls return the same one. It is closed when the context is
        dropped, so keep the context while you wait. Do not read, write or close the descriptor.

        Raises:
            OSError: the descriptor cannot be made, for example because too many files are open.
        """

    def on_cancel(self, callback: Callable[[], object]) -> None:
        """Registers a callback, which is called once when the context is cancelled.

        If the context was cancelled already, the callback is called immediately. It runs on the thread that cancels, so
        it must not wait for the source. An exception of the callback is logged.

        Args:
            callback: a callable without arguments.

        Raises:
            TypeError: the callback is not callable.
        """

@final
class Counter:
    """A metric that only increases, such as a number of requests (``SS_PLUGIN_METRIC_TYPE_MONOTONIC``).

    Declare it in the class of the plugin. Each object of the class has its own value, which begins with 0 and wraps
    around after 2**64 - 1. Any thread may use it, and the host reads it without Python.

    Args:
        name: the name in Falco's metrics, after that of the plugin: lower-case letters, digits and ``_``, such as
            ``"lookups"``.
        desc: the meaning, for readers of the code. The plugin API does not pass it on.

    Raises:
        TypeError: the name or the description is not a ``str``.

    Example:
        ```python
        class Audit(Plugin):
            name = "audit"
            lookups = Counter("lookups", desc="Lookups of a user")

            def find(self, user):
                self.lookups.add()
        ```
    """

    def __new__(cls, name: str, *, desc: str = "") -> Self: ...
    def __set_name__(self, owner: type, name: str, /) -> None: ...
    def __get__(self, instance: object, owner: type | None = None, /) -> Self: ...
    def add(self, n: SupportsIndex = 1, /) -> None:
        """Adds a number.

        Args:
            n: 0 or more.

        Raises:
            PluginError: this is the declaration of the class and not the counter of an object.
            TypeError: the number is not an ``int``.
            ValueError: the number is negative, or larger than 2**64 - 1.
        """

    @property
    def value(self) -> int:
        """The number so far."""

    @property
    def name(self) -> str:
        """The name in Falco's metrics, without that of the plugin."""

    @property
    def desc(self) -> str:
        """The meaning."""

@final
class Gauge:
    """A metric that can increase and decrease, such as a number of open connections
    (``SS_PLUGIN_METRIC_TYPE_NON_MONOTONIC``).

    Declare it in the class of the plugin. Each object of the class has its own value, which begins with 0. Any thread
    may use it, and the host reads it without Python. The host gets an ``int`` as such (64 bits), and a ``float`` as a
    double.

    Args:
        name: the name in Falco's metrics, after that of the plugin: lower-case letters, digits and ``_``, such as
            ``"connections"``.
        desc: the meaning, for readers of the code. The plugin API does not pass it on.

    Raises:
        TypeError: the name or the description is not a ``str``.
    """

    def __new__(cls, name: str, *, desc: str = "") -> Self: ...
    @staticmethod
    def computed(name: str, *, desc: str = "", every: _Seconds = 10) -> Callable[[_GaugeMethod], _GaugeMethod]:
        """Declares a gauge whose value a method returns. The method itself is not changed.

        The SDK calls the method at the end of init, and then every few seconds on its own thread. So the host never
        waits for it, and reads a value that is at most ``every`` seconds old, plus the duration of the call. If the
        method raises, or returns something else than a number, the last value stays. The first exception of each cause
        is logged, and further ones are counted.

        Args:
            name: the name in Falco's metrics, as in :class:`Gauge`.
            desc: the meaning.
            every: seconds or a ``timedelta`` between two calls, more than 0.

        Raises:
            TypeError: the decorated object is not a function, or an argument has a wrong type.
            ValueError: ``every`` is 0 or less.

        Example:
            ```python
            @Gauge.computed("cached_users", desc="Users in the cache", every=30)
            def cached_users(self) -> int:
                return len(self.users)
            ```
        """

    def __set_name__(self, owner: type, name: str, /) -> None: ...
    def __get__(self, instance: object, owner: type | None = None, /) -> Self: ...
    def set(self, value: _Number, /) -> None:
        """Sets the value.

        Raises:
            PluginError: this is the declaration of the class and not the gauge of an object.
            TypeError: the value is not a number.
            ValueError: an ``int`` is not from -2**63 to 2**63 - 1.
        """

    def add(self, n: _Number = 1, /) -> None:
        """Adds a number, which may be negative. Adding a ``float`` to an ``int`` makes the value a ``float``.

        Raises:
            PluginError: this is the declaration of the class and not the gauge of an object.
            TypeError: it is not a number.
            ValueError: an ``int`` is not from -2**63 to 2**63 - 1.
        """

    @property
    def value(self) -> float:
        """The current value, an ``int`` or a ``float`` as it was set."""

    @property
    def name(self) -> str:
        """The name in Falco's metrics, without that of the plugin."""

    @property
    def desc(self) -> str:
        """The meaning."""

@disjoint_base
class Event:
    """An event that the host passes to the plugin (``sdk.EventReader`` of the Go SDK). The object may be kept.

    Args:
        data: the payload of an event that a plugin makes, any buffer.
        number: the number of the event in the host's stream, from 1.
        timestamp: nanoseconds since the epoch.
        source: the name of the event source.
        raw: instead of data and timestamp, a whole event as drivers encode it, any buffer.

    Raises:
        ValueError: ``raw`` is not a whole event.
    """

    def __new__(
        cls,
        data: ReadableBuffer | None = None,
        /,
        *,
        number: int = 1,
        timestamp: int = 0,
        source: str = "",
        raw: ReadableBuffer | None = None,
    ) -> Self: ...
    @property
    def number(self) -> int:
        """The number of the event in the host's stream, from 1 (``evt.num`` in rules)."""

    @property
    def timestamp(self) -> int:
        """Nanoseconds since the epoch (``evt.time`` in rules)."""

    @property
    def source(self) -> str:
        """The name of the event source (``evt.source`` in rules)."""

    @property
    def data(self) -> bytes:
        """The payload of a plugin event, or the data of an async event. Empty for all other events, which have
        :attr:`params`.
        """

    @property
    def text(self) -> str:
        """The payload as text. Each byte that is not UTF-8 is replaced by U+FFFD."""

    @property
    def type(self) -> int:
        """The code of the event's type, such as 293 for the end of ``execve``. The code of a plugin event is 322
        (``ppm_event_code``).
        """

    @property
    def name(self) -> str:
        """The name of the event as rules have it, such as ``"execve"`` (``evt.type`` in rules).

        It is ``"pluginevent"`` for the events of plugins, and an async event has its own name. If the type is newer
        than the SDK, the name is its code in digits.
        """

    @property
    def thread_id(self) -> int | None:
        """The id of the thread that made the event (``thread.tid`` in rules).

        It is ``None`` if the event belongs to no thread, such as the events of plugins.
        """

    @property
    def params(self) -> Params:
        """The parameters of the event by name and by position, as ``evt.arg`` and ``evt.rawarg`` name them in rules."""

    @property
    def json(self) -> Any:
        """The payload as JSON: a ``dict``, ``list``, ``str``, ``int``, ``float``, ``bool`` or ``None``.

        The payload is decoded once, and each access returns the same object, so do not change it. If a key occurs more
        than once in an object, its first value counts, as for ``json_field``. An integer of more than 4,000 digits
        becomes a ``float``.

        A fault costs at most the value that contains it. Each byte that is not UTF-8, and each half of a surrogate
        pair, becomes U+FFFD. An unknown escape is kept as it is written. A word that JSON does not have becomes a
        ``str``. If the payload ends early, the members before its end are present. A container nested more deeply than
        128 levels becomes ``None``.

        Raises:
            NoJsonError: the payload does not begin with a JSON value. If a field's method does not catch this error,
                the field is absent, and the payload is counted and reported as one that is not JSON.
        """

    @property
    def cache(self) -> dict[Any, Any]:
        """A ``dict`` for values that several methods of the plugin make of this event, such as a decoded payload.

        It is empty when the first method is called for an event. All fields, methods with ``@parse`` and
        ``event_to_string`` that are called for this event on the same thread share it, because they get the same event.
        An event that is kept also keeps its ``dict``. An event whose ``cache`` is not used costs nothing.

        Example:
            ```python
            def message(self, event):
                if "message" not in event.cache:
                    event.cache["message"] = Message.FromString(event.data)
                return event.cache["message"]
            ```
        """

@final
class Params(Mapping[str, Any]):
    """The parameters of an event (``evt.arg`` in rules): a mapping of names to values. Positions are keys, too.

    A value is decoded when it is read. It is ``None`` if the driver could not read it, or if it is NULL. A parameter
    that the event does not have, because an older driver made it, is not in the mapping: use :meth:`get`. A parameter
    that is newer than the SDK has its position as its name, such as ``"5"``, and is ``bytes``.
    """

    def __len__(self) -> int: ...
    def __getitem__(self, key: str | int, /) -> Any: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __iter__(self) -> Iterator[str]: ...
    def get(self, key: str | int, default: Any = None, /) -> Any:
        """Returns the value of a parameter, or ``default`` if the event does not have it.

        Args:
            key: the name or the position.
            default: the result for a parameter that the event does not have.
        """

    def raw(self, key: str | int, /) -> bytes:
        """Returns the bytes of a parameter as the driver encoded them.

        Args:
            key: the name or the position.

        Raises:
            KeyError: the event does not have the parameter.
        """

    # Lists, because an event has few parameters and a list can be indexed. `Mapping` declares views.
    def keys(self) -> list[str]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        """Returns the names of the event's parameters in their order."""

    def values(self) -> list[Any]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        """Returns the values in their order."""

    def items(self) -> list[tuple[str, Any]]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        """Returns pairs of name and value in their order."""

    def __eq__(self, other: object, /) -> bool: ...

@final
class EventBatch:
    """A batch: the events that are delivered to the host together (``sdk.EventWriters`` of the Go SDK).

    A batch is full with ``batch_size`` events, or with 1 MiB of events. An event that is larger than 1 MiB is in a
    batch alone. Both sizes are limits, not allocations: the memory grows with use. Outside of ``next_batch`` the batch
    of an instance belongs to the host, and using it raises ``PluginError``.

    Args:
        batch_size: the number of events that the batch holds at most, 1 to 2**32 - 1.
        event_size: bytes of the largest payload of one event, 1 to 2**32 - 39.

    Raises:
        TypeError: a size is not an ``int``.
        ValueError: a size is out of range.
    """

    def __new__(cls, batch_size: int = 128, event_size: int = 262144) -> Self: ...
    @property
    def batch_size(self) -> int:
        """The number of events that the batch holds at most."""

    @property
    def event_size(self) -> int:
        """Bytes of the largest payload of one event."""

    @property
    def full(self) -> bool:
        """Whether the batch is full. Check it before you append an event."""

    def append(self, item: _Item, timestamp: _Timestamp | None = None) -> None:
        """Appends one event. Its bytes are copied.

        Args:
            item: any buffer, a ``(buffer, timestamp)`` tuple, or a ``PushEvent`` with data.
            timestamp: nanoseconds since the epoch, or an aware ``datetime``; without one the host fills in its time.

        Raises:
            BatchFullError: the batch is full.
            EventTooLargeError: the payload is larger than the event size. The batch is unchanged.
            TypeError: the item cannot be an event, such as a ``str``; or there is a timestamp both in the item and as
                an argument.
            ValueError: the timestamp is out of range, or a naive ``datetime``.
        """

    def extend(self, items: Iterable[_Item]) -> int:
        """Appends events until the batch is full. Items that are not appended are not consumed from an iterator.

        Args:
            items: an iterable of items, each as in :meth:`append`.

        Returns:
            The number of appended events.

        Raises:
            Exception: an exception of :meth:`append` or of the iterable. Its attribute ``taken`` is the number of
                events that were appended before it.
        """

    def writer(self) -> AbstractContextManager[EventWriter, None]:
        """Returns a writer for one more event, for a ``with`` block. An exception in the block discards the event.

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

    A writer works only during the call that it was passed to, or in the ``with`` block that made it, and only on that
    thread. Elsewhere every use raises ``PluginError``. ``len(writer)`` is the number of bytes written so far.
    """

    def __new__(cls, given_to_pull_function: Never, /) -> Self: ...
    @property
    def timestamp(self) -> int | None:
        """Nanoseconds since the epoch; with ``None`` the host sets its time. An aware ``datetime`` may be set too."""

    @timestamp.setter
    def timestamp(self, value: _Timestamp | None) -> None: ...
    def write(self, data: ReadableBuffer, /) -> int:
        """Appends bytes to the payload. Several calls make one event.

        Returns:
            The number of bytes written, which is always all of them.

        Raises:
            EventTooLargeError: the payload would be larger than the event size. All of the event is discarded.
            TypeError: the data is not a buffer.
        """

    def reserve(self, size: int, /) -> memoryview:
        """Returns memory to fill in place, such as with ``readinto``. Then :meth:`commit` appends it to the payload.

        The memory belongs to Python: a view that is kept can never change what the host reads.

        Args:
            size: bytes.

        Raises:
            EventTooLargeError: the payload would be larger than the event size.
            ValueError: the size is negative or too large.
        """

    def commit(self, size: int, /) -> int:
        """Appends the first bytes of the reserved memory to the payload.

        Args:
            size: bytes, at most as many as were reserved.

        Returns:
            The number of bytes written, which is always all of them.

        Raises:
            PluginError: no memory is reserved.
            ValueError: the size is negative, or larger than the reserved memory.
        """

    def __len__(self) -> int: ...
    def __bool__(self) -> bool: ...

@final
class PushEvent:
    """An event, or an error in its place (``source.PushEvent`` of the Go SDK). Immutable.

    Args:
        data: the payload, any buffer. ``bytes`` are kept by reference, other buffers are copied.
        timestamp: nanoseconds since the epoch, or an aware ``datetime``; without one the host fills in its time.
        error: ``Timeout`` reports that there is no event for now; ``EOF`` and any other error end the source.

    Raises:
        TypeError: the data is not a buffer, the error is not an exception, or the timestamp has a wrong type.
        ValueError: both data and an error are given, or neither; or the timestamp is out of range, or is given with an
            error.
    """

    @overload
    def __new__(cls, data: ReadableBuffer, timestamp: _Timestamp | None = None, *, error: None = None) -> Self: ...
    @overload
    def __new__(cls, data: None = None, timestamp: None = None, *, error: _Error) -> Self: ...
    @property
    def data(self) -> bytes | None:
        """The payload; ``None`` if there is an error instead."""

    @property
    def timestamp(self) -> int | None:
        """Nanoseconds since the epoch; with ``None`` the host sets its time."""

    @property
    def error(self) -> BaseException | None:
        """The error; ``None`` if there is data instead."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

def channel(
    capacity: int = 1024,
    *,
    max_bytes: int = 67108864,
    event_size: int = 262144,
    on_error: Literal["raise", "log"] = "raise",
) -> tuple[Sender, Receiver]:
    """Makes a channel from producer threads to a ``PushInstance`` (``chan source.PushEvent`` of the Go SDK).

    Args:
        capacity: the number of events that are queued at most.
        max_bytes: bytes of payload that are queued at most. A larger event is queued only alone.
        event_size: bytes of the largest payload of one event, 1 to 2**32 - 39.
        on_error: with ``"raise"``, sending an item that cannot be an event raises. With ``"log"``, the item is skipped
            and counted. The log reports each cause at most once a minute, and the remaining counts when the source
            ends.

    Returns:
        The two ends of the channel: a ``Sender`` for the producers, and a ``Receiver`` for the ``PushInstance``.

    Raises:
        TypeError: a size is not an ``int``, or ``on_error`` is not a ``str``.
        ValueError: a size is out of range, or ``on_error`` is neither ``"raise"`` nor ``"log"``.
    """

@overload
def split_json(
    payload: ReadableBuffer, /, *, lines: bool = False, items: str | None = None, timestamp: None = None
) -> list[bytes]:
    """Splits a payload that may hold several JSON documents, so that each of them can become an event.

    Fields are read from the first document of an event, so rules would not see a second one. Documents may follow each
    other directly, or with white space, commas or byte order marks between them. An array whose elements are all
    objects is split into its elements. Text after a document belongs to that document, up to the end of the line.

    The payload may be damaged. Only matching brackets outside of strings decide where a document ends, and only
    separators are left out. A damaged line does not hide the lines after it, if one of them is a document by itself.

    Args:
        payload: any buffer.
        lines: whether each line is a record, which is so if the sender declares JSON lines. Several documents in a line
            are split too.
        items: the name of a top-level member. The elements of its array are records instead of the document, as in
            ``{"kind": "EventList", "items": [...]}``.
        timestamp: a JSON pointer to the time of a record, such as ``"/time"``. The time has one of the forms that
            ``parse_timestamp`` reads.

    Returns:
        The records, in their order and without white space around them. A payload that does not hold several documents,
        such as text, is one record with all its bytes. A blank payload has no records. With ``timestamp``, each record
        is a tuple with its time in nanoseconds since the epoch, or with ``None`` if it has no such time. These tuples
        can be sent or appended as events.

    Raises:
        TypeError: the payload is not a buffer.
        ValueError: the pointer is not valid, or leads to several values.
    """

@overload
def split_json(
    payload: ReadableBuffer, /, *, lines: bool = False, items: str | None = None, timestamp: str
) -> list[tuple[bytes, int | None]]:
    """Splits a payload that may hold several JSON documents, so that each of them can become an event.

    Fields are read from the first document of an event, so rules would not see a second one. Documents may follow each
    other directly, or with white space, commas or byte order marks between them. An array whose elements are all
    objects is split into its elements. Text after a document belongs to that document, up to the end of the line.

    The payload may be damaged. Only matching brackets outside of strings decide where a document ends, and only
    separators are left out. A damaged line does not hide the lines after it, if one of them is a document by itself.

    Args:
        payload: any buffer.
        lines: whether each line is a record, which is so if the sender declares JSON lines. Several documents in a line
            are split too.
        items: the name of a top-level member. The elements of its array are records instead of the document, as in
            ``{"kind": "EventList", "items": [...]}``.
        timestamp: a JSON pointer to the time of a record, such as ``"/time"``. The time has one of the forms that
            ``parse_timestamp`` reads.

    Returns:
        The records, in their order and without white space around them. A payload that does not hold several documents,
        such as text, is one record with all its bytes. A blank payload has no records. With ``timestamp``, each record
        is a tuple with its time in nanoseconds since the epoch, or with ``None`` if it has no such time. These tuples
        can be sent or appended as events.

    Raises:
        TypeError: the payload is not a buffer.
        ValueError: the pointer is not valid, or leads to several values.
    """

@final
class Receiver:
    """The receiving end of a channel. One ``PushInstance`` reads from it."""

    def __new__(cls, made_by_channel: Never, /) -> Self: ...
    @property
    def event_size(self) -> int:
        """Bytes of the largest payload of one event."""

@final
class Sender:
    """The producers' end of a channel. Safe to use from any thread.

    The source ends when the last clone of a sender is closed. If the last one is dropped without ``close``, for example
    by a thread that raised, the source ends with an error. As a context manager, a sender closes itself at the end of
    the block; an exception that leaves the block ends the source with that error.
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
        """Sends one event, or the error of a ``PushEvent``. Waits while the channel is full, with the GIL released.

        Args:
            item: any buffer, a ``(buffer, timestamp)`` tuple, or a ``PushEvent``. ``bytes`` are sent by reference.
            timestamp: nanoseconds since the epoch, or an aware ``datetime``; without one the host fills in its time.
            timeout: seconds or a ``timedelta``. ``None`` waits without limit, 0 does not wait.

        Returns:
            Whether the event was sent. With ``on_error="log"`` it is false for an item that was skipped.

        Raises:
            ChannelClosedError: the sender was closed, or the source has ended. The event was not sent.
            ChannelFullError: the channel was full until the timeout; or it is full, there is no timeout, and this is a
                thread of the host. The event was not sent.
            EventTooLargeError: the payload is larger than the event size. With ``on_error="log"``, this and the
                following errors are raised for the timeout only.
            TypeError: the item cannot be an event, such as a ``str``; or there is a timestamp both in the item and as
                an argument.
            ValueError: the timestamp is out of range, or a naive ``datetime``; or the timeout is negative.
        """

    def send_many(self, items: Iterable[_Item], *, timeout: _Seconds | None = None) -> int:
        """Sends many events, which is faster than one by one.

        An item of an iterator is consumed only after the preceding one was sent.

        Args:
            items: an iterable of items, each as in :meth:`send`.
            timeout: seconds or a ``timedelta`` for all of them together. ``None`` waits without limit.

        Returns:
            The number of events that were sent: all, except those that were skipped (``on_error="log"``).

        Raises:
            Exception: an exception of :meth:`send` or of the iterable. Its attribute ``taken`` is the number of items
                before the one that failed, whether they were sent or skipped.
        """

    def flush(self, timeout: _Seconds | None = None) -> bool:
        """Waits until the host has acknowledged all events that were sent through the channel before, with the GIL
        released.

        The host acknowledges a batch when it asks for the next one. Items that were skipped are not waited for.

        Args:
            timeout: seconds or a ``timedelta``. ``None`` waits without limit, 0 does not wait.

        Returns:
            Whether the host has acknowledged them before the timeout.

        Raises:
            ChannelClosedError: the sender was closed, or the source has ended. Events that were not delivered by then
                are dropped.
            PluginError: there is no timeout, and this is a thread of the host: the call would never return.
            TypeError: the timeout is neither a number nor a ``timedelta``.
            ValueError: the timeout is negative.
        """

    def clone(self) -> Sender:
        """Returns a sender for another producer, which is closed separately.

        Raises:
            ChannelClosedError: this sender was closed.
        """

    def close(self, error: _Error | None = None) -> None:
        """Closes this sender. The source ends when the last sender is closed. Idempotent.

        Args:
            error: ends the source with this error, after the events that were sent before.

        Raises:
            TypeError: the error is not an exception.
        """

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None, /
    ) -> None: ...

@final
class PullInstance:
    """An event source whose events a function writes, one per call (``source.NewPullInstance`` of the Go SDK).

    Args:
        function: is called with the instance's context and a writer, and writes one event. It raises ``Timeout`` if
            there is no event for now, ``RetryLater`` so that it is called again after a pause, and ``EOF`` at the end.
            Any other exception ends the source with that error.
        context: the parent of the instance's context (``WithInstanceContext``). Cancelling it ends the source.
        timeout: seconds or a ``timedelta`` after which a batch is delivered even if it is not full
            (``WithInstanceTimeout``). With 0 the function is called once per batch.
        close: is called once when the source is closed, after the context was cancelled (``WithInstanceClose``).
        batch_size: the number of events in a batch at most, 1 to 2**32 - 1 (``WithInstanceBatchSize``).
        event_size: bytes of the largest payload of one event, 1 to 2**32 - 39 (``WithInstanceEventSize``).
        progress: returns how much has been read: a fraction from 0 to 1, and a string (``WithInstanceProgress``).
        on_error: with ``"raise"``, an event that the writer refuses ends the source, unless the function catches the
            exception; so does an event that is returned instead of written. With ``"log"``, such an event is skipped
            and counted. The log reports each cause at most once a minute, and the remaining counts when the source
            ends. In both cases any other exception of the function ends the source.

    Raises:
        TypeError: the function or a callback is not callable, or an option has a wrong type.
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
        """The instance's context, cancelled when the instance is closed."""

    @property
    def events(self) -> EventBatch:
        """The batch that the host reads. Another batch may be set before ``open`` returns (``sdk.Events``)."""

    @events.setter
    def events(self, events: EventBatch) -> None: ...
    def next_batch(self, batch: EventBatch, /) -> int:
        """Appends events to the batch until it is full or the timeout has passed (``sdk.NextBatcher``).

        Returns:
            The number of appended events, at least 1.

        Raises:
            Timeout: there is no event for now.
            EOF: the source has ended.
            BatchFullError: the batch was full already.
            PluginError: ``open`` has returned this instance, so only the host may call this method; or another call is
                in progress.
            Exception: the exception of the function, raised once; later calls raise ``EOF``. If the call has appended
                events before the exception, the next call raises it.
        """

    def progress(self) -> tuple[float, str]:
        """Returns how much of the source has been read: a fraction from 0 to 1, and a string that describes it.

        Without a ``progress`` callback both are empty: 0.0 and "".
        """

    def close(self) -> None:
        """Cancels the context, then calls the ``close`` callback. Idempotent."""

@disjoint_base
class PushInstance:
    """An event source whose events threads send through a channel (``source.NewPushInstance`` of the Go SDK).

    Batches are delivered immediately: ``next_batch`` returns as soon as the channel is empty, and does not wait for a
    full batch. The event size is the channel's.

    Args:
        receiver: the receiving end of a channel. Only one instance can read from it.
        context: the parent of the instance's context (``WithInstanceContext``). Cancelling it ends the source.
        timeout: seconds or a ``timedelta`` that ``next_batch`` waits for a first event (``WithInstanceTimeout``). With
            0 it takes the queued events and does not wait.
        close: is called once when the source is closed, after context and channel (``WithInstanceClose``).
        batch_size: the number of events in a batch at most, 1 to 2**32 - 1 (``WithInstanceBatchSize``).
        progress: returns how much has been read: a fraction from 0 to 1, and a string (``WithInstanceProgress``).

    Raises:
        PluginError: another instance reads from the receiver.
        TypeError: a callback is not callable, or an option has a wrong type.
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
        """The instance's context, cancelled when the instance is closed."""

    @property
    def events(self) -> EventBatch:
        """The batch that the host reads. Another batch may be set before ``open`` returns (``sdk.Events``).

        Raises:
            ValueError: the batch's event size is smaller than the channel's.
        """

    @events.setter
    def events(self, events: EventBatch) -> None: ...
    def next_batch(self, batch: EventBatch, /) -> int:
        """Appends the queued events to the batch until it is full; waits for a first event (``sdk.NextBatcher``).

        Returns:
            The number of appended events, at least 1.

        Raises:
            Timeout: there is no event for now.
            EOF: the source has ended.
            BatchFullError: the batch was full already.
            PluginError: ``open`` has returned this instance, so only the host may call this method; or another call is
                in progress.
            Exception: the error that a producer sent, raised once; later calls raise ``EOF``. If the call has appended
                events before the error, the next call raises it.
        """

    def progress(self) -> tuple[float, str]:
        """Returns how much of the source has been read: a fraction from 0 to 1, and a string that describes it.

        Without a ``progress`` callback both are empty: 0.0 and "".
        """

    def close(self) -> None:
        """Cancels the context, closes the channel, which wakes its senders, then calls the ``close`` callback.

        Calling it again does nothing.
        """

@final
class IterInstance(PushInstance):
    """An event source whose events an iterable makes, on its own thread. ``open`` makes one of an iterable that it
    returns.

    Each item is an event, as in :meth:`Sender.send`, and is delivered immediately. If the host is slower than the
    iterable, the iterable waits. ``None`` is a barrier: the iterable continues once the host has acknowledged all items
    before it. An item that is refused, for example because it is too large, raises at its ``yield``. The source ends
    with the iterable; an exception that leaves the iterable ends the source with that error.

    Closing the source cancels the context. A generator is then closed at its next step, on its own thread, and the task
    of an async generator is cancelled. Any other iterable is closed with its method ``close``, or ``aclose`` if it is
    async, unless it has none.

    Args:
        items: an iterable, an async iterable, or a callable that takes a context and returns one of them. The context
            is cancelled with the instance's context, and when the items have ended.
        retry: seconds or a ``timedelta``. After an exception, the callable is called again when this time has passed.
            The time doubles with each failure, up to 5 minutes. It starts over after an attempt that made an event or
            lasted 5 minutes. Items that were sent after the last barrier are sent again. Without ``retry`` an exception
            ends the source.
        context: the parent of the instance's context. Cancelling it ends the source.
        timeout: seconds or a ``timedelta`` that ``next_batch`` waits for a first event.
        close: is called once when the source is closed, after context and channel.
        batch_size: the number of events in a batch at most, 1 to 2**32 - 1.
        event_size: bytes of the largest payload of one event, 1 to 2**32 - 39.
        progress: returns how much has been read: a fraction from 0 to 1, and a string.
        on_error: with ``"raise"``, an item that cannot be an event raises at its ``yield``. With ``"log"``, the item is
            skipped and counted. The log reports each cause at most once a minute, and the remaining counts when the
            source ends. In both cases an exception that leaves the iterable ends the source, or starts another attempt
            if there is ``retry``.

    Raises:
        TypeError: the items are not iterable, ``retry`` is given without a callable, or an option has a wrong type.
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
    """An event source that makes an event of each line of a file, a pipe or a socket.

    The lines are read and split in Rust, with the GIL released. They are delivered immediately. A line is an event
    without its separator, and an empty line is an empty event. If the separator is a newline, a carriage return before
    it belongs to the separator. At the end of the input, the bytes after the last separator are an event too. A line
    that is longer than ``event_size`` is cut to that size, and the log reports it.

    A UTF-8 byte order mark at the beginning of a file is left out. NULs at the beginning of a line are skipped, unless
    the separator contains a NUL: they are a hole, which ``copytruncate`` leaves if the writer does not append. UTF-16
    is reported in the log, and not converted.

    A regular file whose name ends with ``.gz`` or ``.zst`` is decompressed. It is read once, even with ``follow``. If
    such a file is cut off or damaged, the lines before the fault are events, and then an ``OSError`` ends the source.

    **Following** a path is like ``tail -F``:

    - The path need not exist yet. The file is checked every 20 ms.
    - If another file appears at the path, the old file is read to its end first. The old file is also read as long as
      the new one is empty, because its writer may still use it.
    - Files that appear and are renamed between two checks are read too, if their name is the log's name with a number
      or a date.
    - If the bytes that were read last are no longer in the file, it was truncated. It is then read from its beginning,
      and the log reports it. Lines that are written between the last check and a truncation are lost.
    - If the file cannot be read, the log reports it, and reading is tried again.
    - If ``file`` is an object with ``fileno()``, growth and truncation are noticed, but another file at its path is
      not.
    - A FIFO is read further after its writers have closed it. An unfinished line ends when they do.
    - A file of ``/proc`` is read once.

    Args:
        file: a path, or an object with ``fileno()``, such as a pipe, a stream socket or an open file. The descriptor is
            duplicated, so the object may be closed; its flags are not changed. Bytes that the object has already read
            into a buffer are not seen. The current position of a regular file does not matter: reading begins at
            ``start``.
        separator: the bytes that end a line, one or more.
        timestamp: a JSON pointer to the event's time in a line of JSON, such as ``"/time"``. The time has one of the
            forms that ``parse_timestamp`` reads. A line without such a time gets no timestamp, as if this option were
            not set. The log reports such lines with a count, at most once a minute for each cause.
        follow: whether to continue at the end of a file.
        start: the position at which to begin in a regular file: a number of bytes from its beginning (of its content,
            if it is compressed); ``"end"``, which is after its last separator; or the ``cursor`` of an earlier
            instance. A cursor also finds its file if that was renamed in its folder or compressed in the meantime. The
            rest of that file is then read first. If the file is shorter than the position, or is not the cursor's file,
            it is read from its beginning, and the log reports how much is lost.
        context: the parent of the instance's context. Cancelling it ends the source.
        timeout: seconds or a ``timedelta`` that ``next_batch`` waits for a first line. With 0 it does not wait.
        close: is called once when the source is closed, after the context was cancelled.
        batch_size: the number of events in a batch at most, 1 to 2**32 - 1.
        event_size: bytes of the largest payload of one event, 1 to 2**32 - 39.
        progress: returns how much has been read: a fraction from 0 to 1, and a string. It replaces the result of the
            method ``progress``.

    Raises:
        OSError: the file cannot be opened or read. A path that is followed need not exist.
        TypeError: the file is neither a path nor an object with ``fileno()``, or an option has a wrong type.
        ValueError: the pointer is malformed, or leads to several values; an option is out of range, or does not apply
            to such a file; a socket is a datagram socket, or is given by its path.
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
        """The instance's context, cancelled when the instance is closed."""

    @property
    def events(self) -> EventBatch:
        """The batch that the host reads. Another batch may be set before ``open`` returns (``sdk.Events``)."""

    @events.setter
    def events(self, events: EventBatch) -> None: ...
    @property
    def position(self) -> int:
        """The position of the first line that the host has not acknowledged, in bytes from the beginning of the file.

        For a stream, it counts from where reading began. The host acknowledges a batch when it asks for the next one. A
        line that was cut to ``event_size`` counts once its end was read. After a rotation the position refers to the
        new file as soon as the host has acknowledged the rest of the old one.
        """

    @property
    def cursor(self) -> str | None:
        """The position as a string for the option ``start``, which your plugin can save; ``None`` for a stream, and as
        long as there is no file.

        A cursor identifies its file by up to 256 bytes before the position, by inode and by path. Each line is
        delivered at least once, however often the plugin is restarted. If the file was rotated while the plugin did not
        run, the rest of it is read if it is found, as described for ``start``. The string is printable ASCII.
        """

    def next_batch(self, batch: EventBatch, /) -> int:
        """Appends the available lines to the batch until it is full; waits for a first line (``sdk.NextBatcher``).

        Returns:
            The number of appended events, at least 1.

        Raises:
            Timeout: there is no line for now.
            EOF: the source has ended.
            BatchFullError: the batch was full already.
            PluginError: ``open`` has returned this instance, so only the host may call this method; or another call is
                in progress.
            OSError: the input cannot be read, raised once; later calls raise ``EOF``. If the call has appended events
                before the error, the next call raises it.
        """

    def progress(self) -> tuple[float, str]:
        """Returns how much of the file the host has acknowledged: a fraction from 0 to 1, and a string such as
        "12.3 MiB of 40 MiB".

        For a stream, the fraction is 0.0 and the string contains how much was read. If there is a ``progress``
        callback, it returns the result of the callback instead.
        """

    def close(self) -> None:
        """Cancels the context, closes the input, then calls the ``close`` callback. Idempotent."""

@final
class AsyncEvent:
    """An async event, which a method of :func:`falco_plugin.async_events` or ``dump_state`` yields. Immutable.

    Args:
        name: the name, which the method declares.
        data: the payload, any buffer; empty by default. ``bytes`` are kept by reference, other buffers are copied.
        timestamp: nanoseconds since the epoch, or an aware ``datetime``. Without one the host sets the time at which it
            takes the event from its queue. Falco drops an event whose time is more than 10 seconds in the future, and
            reports that in its log only.

    Raises:
        TypeError: the name is not a ``str``, the data is not a buffer, or the timestamp has a wrong type.
        ValueError: the timestamp is out of range, or a naive ``datetime``.
    """

    def __new__(cls, name: str, data: ReadableBuffer = b"", timestamp: _Timestamp | None = None) -> Self: ...
    @property
    def name(self) -> str:
        """The name."""

    @property
    def data(self) -> bytes:
        """The payload."""

    @property
    def timestamp(self) -> int | None:
        """Nanoseconds since the epoch; with ``None`` the host sets its time."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class AsyncEventSender:
    """Sends the async events of a method with :func:`falco_plugin.async_events`, which gets it as its second argument.

    Safe to use from any thread, such as that of a library that calls back, until the capture ends.
    """

    @property
    def closed(self) -> bool:
        """Whether the capture has ended: no event can be sent any more."""

    def send(self, event: AsyncEvent | _Item) -> None:
        """Sends one event. When this returns, Falco has taken the event into its queue. Does not wait.

        Args:
            event: an ``AsyncEvent`` with a name that the method declares. If it declares one name, the event may also
                be the payload, any buffer, or a ``(payload, timestamp)`` tuple.

        Raises:
            ChannelClosedError: the capture has ended. The event was not sent.
            PluginError: Falco refused the event. It does not report that its queue is full: it then drops the event.
            TypeError: the object is not an event.
            ValueError: the name is not declared, or the timestamp is out of range.
        """

@final
class AsyncSink:
    """Passes async events to the host until the host stops it. Not public.

    It takes an ``AsyncEvent`` with a declared name. If there is one declared name only, it also takes what an event
    source sends: a buffer, or a ``(buffer, timestamp)`` tuple.
    """

    def with_names(self, names: Sequence[str]) -> AsyncSink:
        """Returns a sink for events with these names."""

    def sender(self) -> AsyncEventSender:
        """Returns a sender of the same events for user code."""

    @property
    def closed(self) -> bool:
        """Whether the host has stopped it."""

    @property
    def sent(self) -> int:
        """How many events the host has taken from this sink."""

    def send(self, item: object) -> None:
        """Sends one event. Does not wait."""

    def send_each(self, items: Iterator[Any]) -> BaseException | None:
        """Sends the items of an iterator, each as soon as it is available.

        Returns:
            ``None`` at the end, or the exception for an item that was refused.
        """

@final
class AsyncSender:
    """A sender for an event loop. Its methods never wait. Not public.

    If a method returns false, ``fileno()`` becomes readable when another attempt is worthwhile, and when the context is
    cancelled.
    """

    def __new__(cls, sender: Sender, context: Context) -> Self: ...
    def fileno(self) -> int:
        """Returns the descriptor that becomes readable."""
    def clear(self) -> None:
        """Makes the descriptor unreadable again."""

    def try_send(self, item: _Item) -> bool:
        """Returns whether the item was sent or skipped. Returns false if the channel is full."""

    def is_acknowledged(self, position: int) -> bool:
        """Returns whether the host has acknowledged all that was sent before the position."""

def send_each(sender: Sender, items: Iterator[Any]) -> bool | Exception | None:
    """Sends the items of an iterator, each as soon as it is available. Not public.

    Returns:
        ``None`` at the end, ``True`` for a barrier, or the exception for an item that is refused.
    """

def remove_at_exit(folder: str) -> None:
    """Removes a folder with everything in it when the process exits, although Python is not finalised. Not public."""

def end_child() -> None:
    """Ends the process if it is a child that user code has forked. Called when that code returns. Not public."""

def before_fork() -> None:
    """Prepares the process for a child, which Python is about to fork. Not public."""

def after_fork_in_child() -> None:
    """Separates a child that Python has forked from the host. Not public.

    The child gets default signal handlers, ends when the host ends, and skips the host's exit handlers.
    """

def position(sender: Sender) -> int:
    """Returns how many items were sent through the channel so far. Not public."""

def fail(sender: Sender, error: BaseException) -> None:
    """Closes a sender and ends the source with an error. Not public.

    If no event was sent yet, the host reports the error as a failure of ``open``.
    """

@final
class HostLog:
    """The host's log for one initialised plugin. Not public."""

    def __new__(cls, made_by_init: Never, /) -> Self: ...
    @property
    def open(self) -> bool:
        """Whether the host still accepts messages. It does until the plugin is destroyed."""

    @property
    def number(self) -> int:
        """The number of the plugin, as ``current_plugin`` returns it."""

    def log(self, level: int, text: str) -> None:
        """Logs a message with a level of Python's ``logging``."""

@disjoint_base
class JsonReader:
    """The base class of ``JsonField``. Not public.

    The host's own requests are answered in Rust. Python code calls the object to get the field of an event.

    Args:
        name: the name of the field, for messages.
        pointer: a JSON pointer, whose tokens may be ``*``, ``{index}``, ``{key}``, ``{index|*}`` or ``{key|*}``.
        kind: the type of the values, as the plugin API names it.
        is_list: whether the field is a list.
        family: 4 or 6, if only addresses or networks of that IP version are values.

    Raises:
        ValueError: the pointer is malformed, or does not fit ``is_list``.
    """

    def __new__(cls, name: str, pointer: str, kind: str, is_list: bool, family: int | None = None) -> Self: ...
    @property
    def index(self) -> str:
        """Whether the field has an index as its argument: ``no``, ``optional`` or ``required``."""

    @property
    def key(self) -> str:
        """Whether the field has a key as its argument: ``no``, ``optional`` or ``required``."""

    def __call__(self, event: Event, index: int | None = None, key: str | None = None) -> Any: ...

def parse_timestamp(value: str | float, /) -> tuple[int, bool]:
    """Returns nanoseconds since the epoch, and whether the value has a time zone. Not public.

    ``falco_plugin.source.parse_timestamp`` is the public function.
    """

@final
class Watch:
    """Calls ``report(seconds)`` on its own thread until it is stopped. Not public.

    The first report comes after the given seconds. The time to the next report doubles each time, up to a minute.

    Args:
        seconds: the time to the first report.
        report: is called with the seconds since the watch was made. If it raises, the reports end.
    """

    def __new__(cls, seconds: float, report: Callable[[float], object]) -> Self: ...
    def stop(self) -> None:
        """Ends the reports. Does not wait for a report that is in progress."""

def current_plugin() -> int:
    """Returns the number of the plugin whose code the calling thread runs, 0 if it is not known. Not public."""

def set_current_plugin(number: int) -> None:
    """Attributes the calling thread to a plugin, until the thread ends. Not public."""

def blake3(data: bytes) -> bytes:
    """Returns the hash by which the stub recognises the manifest and the archive of a plugin library. Not public."""

def event_codes(name: str) -> list[int]:
    """Returns the codes of the events with a name, as a library declares them to the host. Not public.

    The name is that of an event type or of a system call. Without such a one, the list is empty.
    """

def is_meta_event(name: str) -> bool:
    """Returns whether Falco, or plugins by async events, make the events with a name. Not public."""

def event_names() -> list[str]:
    """Returns the names of all event types and system calls, sorted. Not public."""

def capability_symbols() -> dict[str, list[str]]:
    """Returns the symbols of each capability that a plugin library can export. Not public."""

_K = TypeVar("_K", int, str, bool)
_E = TypeVar("_E")
_D = TypeVar("_D")

@final
class Attribute:
    """An attribute of an ``Entry`` subclass. Not public.

    Args:
        index: the position among the attributes of the class.
        name: the name.
        default: the value in an entry that user code makes without one; ``None`` for the table's default.
        required: whether user code must pass a value when it makes an entry.
    """

    def __new__(cls, index: int, name: str, default: object, required: bool) -> Self: ...
    @property
    def name(self) -> str:
        """The name of the attribute."""

    @overload
    def __get__(self, entry: None, class_: type, /) -> Self: ...
    @overload
    def __get__(self, entry: BaseEntry, class_: type | None = None, /) -> Any: ...
    def __set__(self, entry: BaseEntry, value: object, /) -> None: ...
    def __delete__(self, entry: BaseEntry, /) -> None: ...

@disjoint_base
class BaseEntry:
    """The base of ``falco_plugin.Entry``. Not public."""

    def __new__(cls, **values: Any) -> Self: ...

@final
class Table(Generic[_K, _E]):
    """A state table: a mapping of keys to entries, which other plugins can share.

    A plugin class declares its tables with ``Table.of`` and ``Table.new``. The annotation gives the type of the
    keys (``int``, ``str`` or ``bool``) and the class of the entries, a subclass of :class:`Entry`.

    A table of the plugin itself (``Table.new``) works everywhere: from any thread, without a host, and from other
    plugins without Python. A table of the host or of another plugin (``Table.of``) works only while the host
    calls the plugin, on the thread of that call. In fields it can only be read.
    """

    @overload
    @staticmethod
    def of(name: str, *, optional: Literal[False] = False) -> Table[Any, Any]:
        """Declares a table of the host or of another plugin, which is opened when the plugin is initialised.

        If the table or one of its fields does not exist, init fails with a message that lists those that do. A
        plugin that owns a table must be loaded before those that use it.

        Args:
            name: the name of the table, such as ``"threads"``.
            optional: the plugin works without the table. The attribute is then ``None`` if there is no such table.
        """

    @overload
    @staticmethod
    def of(name: str, *, optional: bool) -> Table[Any, Any] | None:
        """Declares a table of the host or of another plugin, which is opened when the plugin is initialised.

        If the table or one of its fields does not exist, init fails with a message that lists those that do. A
        plugin that owns a table must be loaded before those that use it.

        Args:
            name: the name of the table, such as ``"threads"``.
            optional: the plugin works without the table. The attribute is then ``None`` if there is no such table.
        """
    @staticmethod
    def new(name: str, *, record_changes: bool = False) -> Table[Any, Any]:
        """Declares a table of this plugin, which other plugins and the host can read and change.

        Args:
            name: the name of the table. No other plugin may have a table with this name, so begin it with the plugin's.
            record_changes: keep what other plugins and the host change, for ``changes``.
        """

    @property
    def name(self) -> str:
        """The name of the table."""

    @overload
    def get(self, key: _K | None, default: None = None, /) -> _E | None:
        """Returns the entry with a key, or ``default`` if there is none.

        No entry has the key ``None``, so ``event.thread_id`` is a key for events that belong to no thread, too.
        The entry of a host's table can be used until the host's call ends.

        Raises:
            TypeError: the key does not have the type of the table's keys.
            ValueError: the key is an ``int`` that the type of the table's keys does not have.
            PluginError: the table is not open here.
        """

    @overload
    def get(self, key: _K | None, default: _D, /) -> _E | _D:
        """Returns the entry with a key, or ``default`` if there is none.

        No entry has the key ``None``, so ``event.thread_id`` is a key for events that belong to no thread, too.
        The entry of a host's table can be used until the host's call ends.

        Raises:
            TypeError: the key does not have the type of the table's keys.
            ValueError: the key is an ``int`` that the type of the table's keys does not have.
            PluginError: the table is not open here.
        """
    @classmethod
    def __class_getitem__(cls, types: object) -> GenericAlias: ...
    def __getitem__(self, key: _K, /) -> _E: ...
    def __setitem__(self, key: _K, entry: _E, /) -> None: ...
    def __delitem__(self, key: _K, /) -> None: ...
    def __contains__(self, key: _K | None, /) -> bool: ...
    def __iter__(self) -> Iterator[_K]: ...
    def __len__(self) -> int: ...
    def setdefault(self, key: _K, entry: _E, /) -> _E:
        """Returns the entry with a key. If there is none, adds ``entry`` and returns the one that the table then has.

        In a table of the plugin itself, no other thread can add one in between.

        Raises:
            TypeError: the key or the entry does not have the type of the table's.
            ValueError: an ``int`` is one that the type in the table does not have.
            PluginError: the table is not open here, or cannot be changed here.
        """

    def clear(self) -> None:
        """Removes all entries.

        Raises:
            PluginError: the table is not open here, or cannot be changed here.
        """

    def changes(self) -> tuple[list[tuple[Literal["added", "changed", "removed"], _K]], int]:
        """Returns the changes that other plugins and the host have made since the last call, and how many further ones
        were dropped.

        A change is ``"added"``, ``"changed"`` or ``"removed"``, with the key of the entry. Several writes of one entry,
        one after the other, are one change. At most 4096 changes wait; further ones are dropped and counted. Changes
        of the plugin itself are not recorded.

        Raises:
            TypeError: the table does not record changes, because it was declared without ``record_changes=True``.
        """

    def keys(self) -> list[_K]:
        """Returns all keys, in no particular order. Works only for tables of the plugin itself: the plugin API does
        not pass the keys of others.

        Raises:
            TypeError: the table is one of the host or of another plugin.
        """

    def values(self) -> list[_E]:
        """Returns all entries, in no particular order.

        For a table of the host or of another plugin, the entries are copies without sub-tables, which cannot be
        changed.

        Raises:
            PluginError: the table is not open here.
        """

    def items(self) -> list[tuple[_K, _E]]:
        """Returns all keys with their entries, in no particular order. Works only for tables of the plugin itself.

        Raises:
            TypeError: the table is one of the host or of another plugin.
        """

@final
class HostTables:
    """The tables of the host, while a plugin is initialised. Not public."""

    def __new__(cls, made_by_init: Never, /) -> Self: ...
    def open(self, spec: tuple[Any, ...]) -> Table[Any, Any] | None:
        """Opens a table of the host or of another plugin. Returns ``None`` if there is none and it is optional.

        Args:
            spec: a ``TableSpec``.

        Raises:
            PluginError: there is no such table or field, or the host passes no tables.
        """

    def add(self, table: Table[Any, Any]) -> None:
        """Offers a table of the plugin to the host and to other plugins.

        Raises:
            PluginError: there is a table with this name already, or the host passes no tables.
        """

@final
class TableReader:
    """Reads the value of a ``table_field`` from the entry of a table. Not public.

    Args:
        table: the table; ``None`` if it is optional and the host does not have it.
        attribute: the index of the attribute in the class of the entries.
        kind: the type of the field, as the plugin API names it.
        key: the index of the plugin's field whose value is the key; ``None`` for the id of the event's thread.
    """

    def __new__(cls, table: Table[Any, Any] | None, attribute: int, kind: str, key: int | None) -> Self: ...

def make_table(spec: tuple[Any, ...]) -> Table[Any, Any]:
    """Makes a table of a plugin, empty and not known to a host. Not public.

    Args:
        spec: a ``TableSpec``.

    Raises:
        PluginError: the name or the fields cannot be those of a table.
    """
