"""A host of the plugin API, in this process, that makes one fault. It has the tables `threads` and `args`."""

from __future__ import annotations

import ctypes
import struct
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from support.embedded import InitInput, Library, event_buffer
from support.events import FAILURE, SUCCESS

INT64, UINT32, UINT64, STRING, TABLE, BOOL = 4, 7, 8, 9, 10, 25
TYPES = {"comm": STRING, "uid": UINT32, "args": TABLE}
MESSAGE_SIZE = 1024

pointer, text, number, code = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint32, ctypes.c_int32


class _Value(ctypes.Union):
    _fields_ = [("s64", ctypes.c_int64), ("u64", ctypes.c_uint64), ("text", text), ("table", pointer)]


def _functions(name: str, **members: Any) -> type[ctypes.Structure]:
    fields = [(member, ctypes.CFUNCTYPE(*types)) for member, types in members.items()]
    return type(name, (ctypes.Structure,), {"_fields_": fields})


READER = {
    "get_table_name": (pointer, pointer),
    "get_table_size": (ctypes.c_uint64, pointer),
    "get_table_entry": (pointer, pointer, ctypes.POINTER(_Value)),
    "read_entry_field": (code, pointer, pointer, pointer, ctypes.POINTER(_Value)),
    "release_table_entry": (None, pointer, pointer),
    "iterate_entries": (number, pointer, ctypes.CFUNCTYPE(number, pointer, pointer), pointer),
}
WRITER = {
    "clear_table": (code, pointer),
    "erase_table_entry": (code, pointer, ctypes.POINTER(_Value)),
    "create_table_entry": (pointer, pointer),
    "destroy_table_entry": (None, pointer, pointer),
    "add_table_entry": (pointer, pointer, ctypes.POINTER(_Value), pointer),
    "write_entry_field": (code, pointer, pointer, pointer, ctypes.POINTER(_Value)),
}
FIELDS = {
    "list_table_fields": (pointer, pointer, ctypes.POINTER(number)),
    "get_table_field": (pointer, pointer, text, number),
    "add_table_field": (pointer, pointer, text, number),
}
INIT = {
    "list_tables": (pointer, pointer, ctypes.POINTER(number)),
    "get_table": (pointer, pointer, text, number),
    "add_table": (code, pointer, pointer),
}
_Reader, _Writer, _Fields = _functions("R", **READER), _functions("W", **WRITER), _functions("F", **FIELDS)
_InitFunctions = _functions("I", **INIT)


class _TableInput(ctypes.Structure):
    """The members that plugins read of a sub-table."""

    _fields_ = [("name", text), ("key_type", number), ("rest", pointer * 17)]


class _InitTables(ctypes.Structure):
    _fields_ = [
        ("functions", _InitFunctions),
        ("fields", _Fields),
        ("fields_ext", pointer),
        ("reader", pointer),
        ("writer", pointer),
    ]


class _TableInfo(ctypes.Structure):
    _fields_ = [("name", text), ("key_type", number)]


class _FieldInfo(ctypes.Structure):
    _fields_ = [("name", text), ("type", number), ("is_read_only", number)]


class _EventInput(ctypes.Structure):
    _fields_ = [("event", pointer), ("number", ctypes.c_uint64), ("source", text)]


class _ParseInput(ctypes.Structure):
    _fields_ = [
        ("owner", pointer),
        ("error", pointer),
        ("plain", pointer * 10),
        ("reader", pointer),
        ("writer", pointer),
    ]


class _ListenInput(ctypes.Structure):
    _fields_ = [("owner", pointer), ("routine", pointer), ("reader", pointer), ("writer", pointer), ("error", pointer)]


Handler = ctypes.CFUNCTYPE(code, pointer, pointer, pointer)
LastError = ctypes.CFUNCTYPE(pointer, pointer)


class Result(NamedTuple):
    """The result code of a call, and the error after a failure."""

    code: int
    error: str | None

    @classmethod
    def of(cls, library: Library, returned: int) -> Result:
        return cls(returned, None if returned == SUCCESS else library.last_error())


class FaultyHost:
    """Loads a plugin. Functions in `failing` fail, and those in `missing` are NULL."""

    def __init__(
        self,
        *,
        types: dict[str, int] | None = None,
        table: str = "threads",
        message: bytes | None = None,
        comm: bytes = b"bash",
        has_tables: bool = True,
    ) -> None:
        self.failing: set[str] = set()
        self.missing: set[str] = set()
        self.types = TYPES if types is None else types
        self.table_name = table.encode()
        self.has_tables = has_tables
        self.taken = 0
        self.sent: list[str] = []
        self.refusal: bytes | None = None
        self._message = ctypes.create_string_buffer(message) if message is not None else None
        self._kept: list[Any] = []
        self._names = {name: ctypes.create_string_buffer(name.encode()) for name in (*self.types, "value", "owner")}
        self._subtable = _TableInput(b"args", UINT64)
        self._strings = [ctypes.create_string_buffer(comm), ctypes.create_string_buffer(b"-c")]
        self._last_error = LastError(lambda _: ctypes.addressof(self._message) if self._message else None)
        self._handler = Handler(self._receive)
        self.library: Library

    # The functions of tables. A table and an entry are numbers; an accessor is the address of its name.

    def _function(self, name: str, types: Sequence[Any], failed: Any) -> Any:
        function: Callable[..., Any] = getattr(self, f"_{name}")
        return ctypes.CFUNCTYPE(*types)(lambda *given: failed if name in self.failing else function(*given))

    def _functions(self, structure: type[ctypes.Structure], members: dict[str, Sequence[Any]]) -> ctypes.Structure:
        failures = {code: FAILURE, ctypes.c_uint64: 2**64 - 1, number: 0}
        found = {
            name: self._function(name, types, failures.get(types[0]))
            for name, types in members.items()
            if name not in self.missing
        }
        made = structure(**found)
        self._kept.append((made, found))
        return made

    def _access(self) -> tuple[int, int]:
        reader, writer = self._functions(_Reader, READER), self._functions(_Writer, WRITER)
        return ctypes.addressof(reader), ctypes.addressof(writer)

    def _list(self, structure: type[ctypes.Structure], items: list[tuple[Any, ...]], count: Any) -> int:
        array = (structure * len(items))(*items)
        self._kept.append(array)
        count[0] = len(items)
        return ctypes.addressof(array)

    def _list_tables(self, owner: int, count: Any) -> int:
        return self._list(_TableInfo, [(self.table_name, INT64)], count)

    def _get_table(self, owner: int, name: bytes, kind: int) -> int:
        return 0x1000

    def _add_table(self, owner: int, table: int) -> int:
        return SUCCESS

    def _list_table_fields(self, table: int, count: Any) -> int:
        types = self.types if table == 0x1000 else {"value": STRING}
        return self._list(_FieldInfo, [(name.encode(), kind, kind == TABLE) for name, kind in types.items()], count)

    def _get_table_field(self, table: int, name: bytes, kind: int) -> int:
        return ctypes.addressof(self._names[name.decode()])

    _add_table_field = _get_table_field

    def _get_table_name(self, table: int) -> int:
        return 0

    def _get_table_size(self, table: int) -> int:
        return 1

    def _get_table_entry(self, table: int, key: Any) -> int:
        self.taken += 1
        return 0x2000

    def _read_entry_field(self, table: int, entry: int, field: int, out: Any) -> int:
        if field == ctypes.addressof(self._names["args"]):
            out[0].table = ctypes.addressof(self._subtable)
        else:
            out[0].u64 = ctypes.addressof(self._strings[table != 0x1000])
        return SUCCESS

    def _release_table_entry(self, table: int, entry: int) -> None:
        self.taken -= 1

    def _iterate_entries(self, table: int, visit: Any, state: int) -> int:
        return int(visit(state, 0x2000))

    def _clear_table(self, table: int) -> int:
        return SUCCESS

    def _erase_table_entry(self, table: int, key: Any) -> int:
        return SUCCESS

    def _create_table_entry(self, table: int) -> int:
        self.taken += 1
        return 0x3000

    def _destroy_table_entry(self, table: int, entry: int) -> None:
        self.taken -= 1

    def _add_table_entry(self, table: int, key: Any, entry: int) -> int:
        return entry

    def _write_entry_field(self, table: int, entry: int, field: int, value: Any) -> int:
        return SUCCESS

    # The calls of the plugin.

    def init(self, path: Path) -> Result:
        """Calls init."""
        functions, fields = self._functions(_InitFunctions, INIT), self._functions(_Fields, FIELDS)
        tables = _InitTables(functions, fields, ctypes.addressof(fields), *self._access())
        self._kept.append(tables)
        given = InitInput(
            config=b"",
            get_owner_last_error=ctypes.cast(self._last_error, pointer),
            tables=ctypes.addressof(tables) if self.has_tables else None,
        )
        self.library = Library(path, given=given)
        for name in ("set_async_event_handler", "dump_state", "capture_open", "capture_close"):
            getattr(self.library.api, f"plugin_{name}").argtypes = [pointer, pointer, pointer]
        return Result.of(self.library, self.library.init_code)

    def parse(self, event: bytes | None, *, has_input: bool = True) -> Result:
        """Passes an event to parse_event."""
        memory = event_buffer(event) if event is not None else None
        address = ctypes.addressof(memory) if memory is not None else None
        given = _EventInput(address, 1, b"syscall")
        reader, writer = self._access()
        request = _ParseInput(reader=reader, writer=writer)
        returned = self.library.api.plugin_parse_event(
            self.library.state, ctypes.byref(given), ctypes.byref(request) if has_input else None
        )
        return Result.of(self.library, returned)

    def _receive(self, owner: int, event: int, message: int) -> int:
        (length,) = struct.unpack("<I", ctypes.string_at(event + 16, 4))
        name, _, data = ctypes.string_at(event + 42, length - 42).partition(b"\0")
        self.sent.append(f"{name.decode()} {data.decode()}")
        if self.refusal is None:
            return SUCCESS
        ctypes.memmove(message, self.refusal + b"\0", min(len(self.refusal) + 1, MESSAGE_SIZE))
        return FAILURE

    def set_handler(self, *, is_set: bool) -> Result:
        """Calls set_async_event_handler."""
        handler = self._handler if is_set else None
        return Result.of(
            self.library, self.library.api.plugin_set_async_event_handler(self.library.state, None, handler)
        )

    def wait_for_sender(self) -> None:
        """Waits until the plugin has sent its events."""
        for thread in threading.enumerate():
            if thread.name == "falco-changes":
                thread.join(60)

    def dump_state(self, *, has_handler: bool = True) -> Result:
        """Calls dump_state."""
        handler = self._handler if has_handler else None
        return Result.of(self.library, self.library.api.plugin_dump_state(self.library.state, None, handler))

    def capture(self, call: str, *, has_input: bool = True) -> Result:
        """Calls capture_open or capture_close. The host has no thread pool."""
        reader, writer = self._access()
        given = _ListenInput(reader=reader, writer=writer)
        function = getattr(self.library.api, f"plugin_capture_{call}")
        function.argtypes = [pointer, pointer]
        returned = function(self.library.state, ctypes.byref(given) if has_input else None)
        return Result.of(self.library, returned)
