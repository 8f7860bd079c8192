"""The C plugin API in this process, through ctypes."""

from __future__ import annotations

import ctypes
import ipaddress
import json
import os
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.events import SUCCESS, TIMEOUT
from support.fields import FIELD_TYPES, Extraction, FieldRequest, field_request

# A test and a method of a plugin in the same interpreter wait here for each other.
MEETING = threading.Barrier(2, timeout=60)


class InitInput(ctypes.Structure):
    """`ss_plugin_init_input` of the plugin API."""

    _fields_ = [
        ("config", ctypes.c_char_p),
        ("owner", ctypes.c_void_p),
        ("get_owner_last_error", ctypes.c_void_p),
        ("tables", ctypes.c_void_p),
        ("log", ctypes.c_void_p),
    ]


_LogFunction = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int)


class _EventInput(ctypes.Structure):
    _fields_ = [("event", ctypes.c_void_p), ("number", ctypes.c_uint64), ("source", ctypes.c_char_p)]


class _ByteBuffer(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint32), ("start", ctypes.c_void_p)]


class _Field(ctypes.Structure):
    _fields_ = [
        ("values", ctypes.c_void_p),
        ("count", ctypes.c_uint64),
        ("id", ctypes.c_uint32),
        ("name", ctypes.c_char_p),
        ("key", ctypes.c_char_p),
        ("index", ctypes.c_uint64),
        ("present", ctypes.c_uint32),
        ("type", ctypes.c_uint32),
        ("is_list", ctypes.c_uint32),
    ]


class _Places(ctypes.Structure):
    _fields_ = [("starts", ctypes.c_void_p), ("lengths", ctypes.c_void_p)]


class _ExtractInput(ctypes.Structure):
    _fields_ = [
        ("owner", ctypes.c_void_p),
        ("get_owner_last_error", ctypes.c_void_p),
        ("count", ctypes.c_uint32),
        ("fields", ctypes.c_void_p),
        ("table_reader", ctypes.c_void_p * 4),
        ("table_reader_ext", ctypes.c_void_p),
        ("places", ctypes.c_void_p),
    ]


class _SetConfigInput(ctypes.Structure):
    _fields_ = [("config", ctypes.c_char_p)]


class _MetricValue(ctypes.Union):
    _fields_ = [("unsigned", ctypes.c_uint64), ("int", ctypes.c_int64), ("float", ctypes.c_double)]


class _Metric(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("type", ctypes.c_uint32),
        ("value", _MetricValue),
        ("value_type", ctypes.c_uint32),
    ]


_METRIC_VALUES = {2: "unsigned", 3: "int", 4: "float"}

_VALUES: dict[int, Any] = {
    8: ctypes.c_uint64,
    9: ctypes.c_char_p,
    20: ctypes.c_uint64,
    21: ctypes.c_uint64,
    25: ctypes.c_uint32,
    40: _ByteBuffer,
    41: _ByteBuffer,
}


@dataclass(frozen=True)
class Answer:
    """The result of `Library.ask`. It refers to the plugin's memory, which only `read` reads."""

    code: int
    error: str
    field: _Field
    places: _Places

    def read(self) -> Extraction:
        """Reads the values from the plugin's memory."""
        if self.code != SUCCESS:
            return Extraction(None, None, self.code, self.error)
        count = self.field.count
        if count == 0:
            return Extraction(None)
        values = [self._value(value) for value in (_VALUES[self.field.type] * count).from_address(self.field.values)]
        if not self.places.starts:
            return Extraction(values)
        array = ctypes.c_uint32 * count
        starts, lengths = (array.from_address(place) for place in (self.places.starts, self.places.lengths))
        return Extraction(values, list(zip(starts, lengths, strict=True)))

    def _value(self, value: Any) -> Any:
        if isinstance(value, bytes):
            return value.decode()
        if isinstance(value, _ByteBuffer):
            return str(ipaddress.ip_address(ctypes.string_at(value.start, value.length)))
        return bool(value) if self.field.type == FIELD_TYPES["bool"] else value


def event_buffer(event: bytes) -> ctypes.Array[ctypes.c_char]:
    """An event in memory with a fixed address, which can be overwritten."""
    return ctypes.create_string_buffer(event, len(event))


class Library:
    """A plugin library that is called through ctypes. It uses the interpreter of this process.

    CDLL releases the GIL during a call, because a native host does not hold it.
    """

    def __init__(self, path: Path, config: str = "", given: InitInput | None = None) -> None:
        self.api = ctypes.CDLL(str(path), mode=os.RTLD_NOW | os.RTLD_LOCAL)
        pointer, text = ctypes.c_void_p, ctypes.c_char_p
        types = {
            "init": (pointer, [pointer, pointer]),
            "destroy": (None, [pointer]),
            "get_last_error": (text, [pointer]),
            "open": (pointer, [pointer, text, pointer]),
            "close": (None, [pointer, pointer]),
            "next_batch": (ctypes.c_int, [pointer, pointer, pointer, pointer]),
            "get_progress": (text, [pointer, pointer, pointer]),
            "list_open_params": (text, [pointer, pointer]),
            "event_to_string": (text, [pointer, pointer]),
            "get_fields": (text, []),
            "extract_fields": (ctypes.c_int, [pointer, pointer, pointer]),
            "get_metrics": (pointer, [pointer, pointer]),
            "set_config": (ctypes.c_int, [pointer, pointer]),
            "parse_event": (ctypes.c_int, [pointer, pointer, pointer]),
        }
        for name, (result, arguments) in types.items():
            function = getattr(self.api, f"plugin_{name}", None)
            if function is not None:
                function.restype, function.argtypes = result, arguments
        self.logs: list[tuple[int, str]] = []
        self._log = _LogFunction(lambda _owner, _component, text, severity: self.logs.append((severity, text.decode())))
        given = given or InitInput(config=config.encode())
        given.log = ctypes.cast(self._log, pointer)
        code = ctypes.c_int(0x5A5A)
        self.state = self.api.plugin_init(ctypes.byref(given), ctypes.byref(code))
        self.init_code = code.value

    def __enter__(self) -> Library:
        assert self.init_code == SUCCESS, self.last_error()
        return self

    def __exit__(self, *_: object) -> None:
        self.destroy()

    def destroy(self) -> None:
        """Destroys the state; the library stays mapped."""
        if self.state:
            self.api.plugin_destroy(self.state)
        self.state = None

    def last_error(self) -> str:
        """The result of get_last_error."""
        return self.api.plugin_get_last_error(self.state).decode()

    def metrics_in_memory(self) -> tuple[int | None, int]:
        """The address and the number of the metrics."""
        count = ctypes.c_uint32(0xA5A5A5A5)
        address = self.api.plugin_get_metrics(self.state, ctypes.byref(count))
        return address, count.value

    def typed_metrics(self) -> dict[str, tuple[bool, float]]:
        """Whether each metric only increases, and its value, by the name of the metric."""
        address, count = self.metrics_in_memory()
        found = (_Metric * count).from_address(address) if address else ()
        return {
            metric.name.decode(): (metric.type == 0, getattr(metric.value, _METRIC_VALUES[metric.value_type]))
            for metric in found
        }

    def metrics(self) -> dict[str, float]:
        """The value of each metric."""
        return {name: value for name, (_, value) in self.typed_metrics().items()}

    def set_config(self, config: str) -> tuple[int, str]:
        """The result code, and the error."""
        given = _SetConfigInput(config.encode())
        code = self.api.plugin_set_config(self.state, ctypes.byref(given))
        return code, "" if code == SUCCESS else self.last_error()

    def list_open_params(self) -> tuple[int, Any]:
        """The result code, and the suggestions or None."""
        code = ctypes.c_int(0x5A5A)
        text = self.api.plugin_list_open_params(self.state, ctypes.byref(code))
        return code.value, None if text is None else json.loads(text.decode())

    def ask(
        self,
        event: bytes | ctypes.Array[ctypes.c_char] | int | None,
        field: str | FieldRequest,
        number: int = 1,
        source: str = "test",
    ) -> Answer:
        """Extracts ``name`` or ``name[argument]`` from an event or an address. Does not read the values yet."""
        return self.ask_together(event, [field], number, source)[0]

    def ask_together(
        self,
        event: bytes | ctypes.Array[ctypes.c_char] | int | None,
        fields: Sequence[str | FieldRequest],
        number: int = 1,
        source: str = "test",
    ) -> list[Answer]:
        """Like `ask`, for several fields in one call."""
        memory = event_buffer(event) if isinstance(event, bytes) else event
        address = ctypes.addressof(memory) if isinstance(memory, ctypes.Array) else memory
        given = _EventInput(address, number, source.encode())
        asking = (_Field * len(fields))(*map(self._field, fields))
        places = _Places()
        request = _ExtractInput(count=len(asking), fields=ctypes.addressof(asking), places=ctypes.addressof(places))
        code = self.api.plugin_extract_fields(self.state, ctypes.byref(given), ctypes.byref(request))
        error = "" if code == SUCCESS else self.last_error()
        return [Answer(code, error, field, places) for field in asking]

    def _field(self, field: str | FieldRequest) -> _Field:
        if isinstance(field, str):
            field = field_request(json.loads(self.api.plugin_get_fields()), field)
        return _Field(
            0xA5A5A5A5,
            0xA5A5A5A5A5A5A5A5,
            field.id,
            field.name.encode(),
            None if field.key is None else field.key.encode(),
            field.index,
            field.present,
            field.type,
            field.is_list,
        )

    def extract(
        self,
        event: bytes | ctypes.Array[ctypes.c_char] | int | None,
        field: str | FieldRequest,
        number: int = 1,
        source: str = "test",
    ) -> Extraction:
        """Like `ask`, but reads the values immediately."""
        return self.ask(event, field, number, source).read()

    def parse(self, event: bytes | ctypes.Array[ctypes.c_char] | None, number: int = 1, source: str = "syscall") -> int:
        """Passes an event to parse_event, and returns the result code."""
        memory = event_buffer(event) if isinstance(event, bytes) else event
        address = ctypes.addressof(memory) if memory is not None else None
        given = _EventInput(address, number, source.encode())
        result: int = self.api.plugin_parse_event(self.state, ctypes.byref(given), None)
        return result

    def event_to_string(
        self, event: bytes | ctypes.Array[ctypes.c_char], number: int = 1, source: str = "test"
    ) -> str | None:
        """The text of an event."""
        memory = event_buffer(event) if isinstance(event, bytes) else event
        given = _EventInput(ctypes.addressof(memory), number, source.encode())
        text = self.api.plugin_event_to_string(self.state, ctypes.byref(given))
        return None if text is None else text.decode()

    @contextmanager
    def opened(self, params: str = "") -> Iterator[Instance]:
        """Opens a source, and closes it at the end of the block."""
        code = ctypes.c_int(0x5A5A)
        handle = self.api.plugin_open(self.state, params.encode(), ctypes.byref(code))
        assert code.value == SUCCESS, self.last_error()
        instance = Instance(self, handle)
        try:
            yield instance
        finally:
            instance.close()


@dataclass
class Instance:
    """An open source of a `Library`."""

    library: Library
    handle: int | None

    def next_batch(self) -> tuple[int, list[bytes]]:
        """The result code, and the bytes of the events as the host sees them."""
        count, events = ctypes.c_uint32(0xA5A5A5A5), ctypes.c_void_p(0xA5A5)
        code = self.library.api.plugin_next_batch(
            self.library.state, self.handle, ctypes.byref(count), ctypes.byref(events)
        )
        found = []
        for place in (ctypes.c_void_p * count.value).from_address(events.value) if count.value else ():
            (length,) = struct.unpack("<I", ctypes.string_at(place + 16, 4))
            found.append(ctypes.string_at(place, length))
        return code, found

    def drain(self) -> tuple[int, list[bytes]]:
        """Reads all events up to the first result code that is neither success nor timeout."""
        events: list[bytes] = []
        code = SUCCESS
        while code in (SUCCESS, TIMEOUT):
            code, more = self.next_batch()
            events += more
        return code, events

    def overwrite(self) -> None:
        """Reads a batch, and overwrites its events as a host may do."""
        count, events = ctypes.c_uint32(), ctypes.c_void_p()
        api, state = self.library.api, self.library.state
        api.plugin_next_batch(state, self.handle, ctypes.byref(count), ctypes.byref(events))
        for place in (ctypes.c_void_p * count.value).from_address(events.value):
            (length,) = struct.unpack("<I", ctypes.string_at(place + 16, 4))
            ctypes.memset(place, 0xEE, length)

    def progress(self) -> tuple[int, str]:
        """The progress in hundredths of a percent, and its text."""
        hundredths = ctypes.c_uint32(0xA5A5A5A5)
        text = self.library.api.plugin_get_progress(self.library.state, self.handle, ctypes.byref(hundredths))
        return hundredths.value, text.decode()

    def close(self) -> None:
        """Closes the source, once."""
        if self.handle:
            self.library.api.plugin_close(self.library.state, self.handle)
        self.handle = None
