"""The required result of faults of the host, and of plugins whose tables it passes on. `stateful.py` is the plugin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from support.events import EXECVE, encode_execve, encode_raw

from faults.faulty_host import STRING, TABLE, UINT32, UINT64, FaultyHost, Result


@dataclass(frozen=True)
class Row:
    """A fault of the host, and its result."""

    host: str
    """The action of the host."""
    act: Callable[[FaultyHost], Sequence[Result]]
    """Makes the calls, and returns their results."""
    errors: Sequence[str | None] = (None,)
    """The error of each call, or None if it succeeds. In all strings, "…" matches anything."""
    log: Sequence[str] = ()
    """The first lines of the log: those of the SDK, and those of the plugin with what its code found."""
    note: str = ""
    comm: bytes = b"bash"
    """The name of each thread of the host."""
    failing: str = ""
    """The function of the host that fails after init."""
    missing: str = ""
    """The function that the host does not pass after init."""
    leaks: int = 0
    """The number of entries that are not released."""


DESTROYED = "the entry is destroyed"
REFUSED = {"message": b"refused"}


def parse(action: str) -> Callable[[FaultyHost], Sequence[Result]]:
    return lambda host: [host.parse(encode_execve(action))]


def parse_bytes(event: bytes) -> Callable[[FaultyHost], Sequence[Result]]:
    return lambda host: [host.parse(event)]


def send(refusal: bytes) -> Callable[[FaultyHost], Sequence[Result]]:
    def act(host: FaultyHost) -> Sequence[Result]:
        host.refusal = refusal
        results = [host.set_handler(is_set=True)]
        host.wait_for_sender()
        return [*results, host.set_handler(is_set=False)]

    return act


def set_handler_twice(host: FaultyHost) -> Sequence[Result]:
    results = [host.set_handler(is_set=True), host.set_handler(is_set=True)]
    host.wait_for_sender()
    results.append(host.set_handler(is_set=False))
    assert host.sent[-2:] == ["note 0", "note 1"]
    return results


def dump_refused(host: FaultyHost) -> Sequence[Result]:
    host.refusal = b"refused"
    return [host.dump_state()]


def destroy_while_open(host: FaultyHost) -> Sequence[Result]:
    results = [host.set_handler(is_set=True), host.capture("open")]
    host.library.destroy()
    return results


def refused(
    function: str, act: Callable[[FaultyHost], Sequence[Result]], doing: str, *, condition: str = "", **options: Any
) -> Row:
    """Returns the row of a function of tables that fails. `doing` is what the plugin did with the table `threads`."""
    host = f"`{function}` fails {condition}".strip()
    return Row(host, act, log=[f"PluginError: {doing} the table threads failed: refused"], failing=function, **options)


OUTSIDE_CALL = (
    "this entry was read during an earlier call of the host, and only that call could use it: keep "
    "its values, or get it again by its key"
)
EXECVE_EVENT = encode_execve("get")

INIT_ROWS: tuple[tuple[str, dict[str, Any], str, str], ...] = (
    (
        "passes no tables",
        {"has_tables": False},
        "",
        "the host passes no tables here: it does so only during init, on its thread, and only to a "
        "plugin that has fields or parses events",
    ),
    (
        "has no table `threads`",
        {"table": "other"},
        "",
        "there is no table threads (existing tables: other (int64)): load the plugin that has it before "
        "this one, or declare it with optional=True",
    ),
    (
        "has a field of another type",
        {"types": {"comm": UINT64, "uid": UINT32, "args": TABLE}},
        "",
        "the field comm of the table threads has the type uint64, but it is declared as str",
    ),
    (
        "lacks a field",
        {"types": {"uid": UINT32, "args": TABLE}},
        "",
        "the table threads has no field comm (existing fields: args (table), uid (uint32)): declare it "
        "as str | None if the plugin works without it, or set it to added() to add it",
    ),
    (
        "has a field of an unknown type",
        {"types": {"comm": STRING, "uid": 99, "args": TABLE}},
        "",
        "the field uid of the table threads has the type unknown, but it is declared as int",
    ),
    ("fails to open a table", REFUSED, "get_table", "opening the table threads failed: refused"),
    (
        "fails to open a table, without a message",
        {},
        "get_table",
        "opening the table threads failed, and the host gave no reason",
    ),
    (
        "fails to return the accessor of a field",
        REFUSED,
        "get_table_field",
        "opening the field comm of the table threads failed: refused",
    ),
    (
        "refuses a field that the plugin adds",
        REFUSED,
        "add_table_field",
        "adding the field owner of the table threads failed: refused",
    ),
    ("refuses the plugin's own table", REFUSED, "add_table", "adding the table stateful_sessions failed: refused"),
    (
        "has no entry to look into for a sub-table",
        REFUSED,
        "create_table_entry",
        "opening the sub-table threads.args failed: refused",
    ),
)
"""Faults during init: the action of the host, its arguments, the function that fails, and the error."""

CALL_ROWS = (
    Row(
        "`get_table_entry` returns NULL",
        parse("get"),
        log=["None"],
        failing="get_table_entry",
        note="for hosts this is a missing entry",
    ),
    Row(
        "`get_table_entry` returns NULL for `threads[1]`", parse("read"), log=["KeyError: 1"], failing="get_table_entry"
    ),
    refused("read_entry_field", parse("read"), "reading the field comm of"),
    refused("read_entry_field", parse("subtable"), "reading the field args of", condition="for a sub-table"),
    refused("write_entry_field", parse("change"), "changing the field comm of"),
    refused("get_table_size", parse("size"), "reading the size of"),
    refused("iterate_entries", parse("values"), "iterating over"),
    refused("create_table_entry", parse("add"), "making an entry of"),
    refused(
        "add_table_entry", parse("add"), "adding an entry to", leaks=1, note="the entry is the host's since the call"
    ),
    refused(
        "write_entry_field",
        parse("add"),
        "changing the field comm of",
        condition="for a new entry",
        note="the entry is destroyed",
    ),
    refused("erase_table_entry", parse("remove"), "removing an entry of"),
    refused("clear_table", parse("clear"), "clearing"),
    Row(
        "passes no function to read entries",
        parse("get"),
        log=["PluginError: the host passes no function for getting entries here"],
        missing="get_table_entry",
    ),
    Row("passes no function to release entries", parse("read"), log=["bash"], missing="release_table_entry", leaks=1),
    Row("has strings that are not UTF-8", parse("read"), log=["caf\ufffd\ufffd \ufffd"], comm=b"caf\xe2\x82 \xff"),
    Row(
        "calls again, and the plugin has kept an entry",
        lambda host: [host.parse(encode_execve("keep")), host.parse(encode_execve("use kept"))],
        errors=(None, None),
        log=["kept", f"PluginError: {OUTSIDE_CALL}"],
    ),
    Row(
        "calls `parse_event` without an event",
        lambda host: [host.parse(None)],
        errors=("the function was called without an event",),
    ),
    Row(
        "calls `parse_event` without its input",
        lambda host: [host.parse(EXECVE_EVENT, has_input=False)],
        log=["PluginError: the host passes no function for getting entries here"],
    ),
    Row(
        "passes an event that is shorter than its header",
        parse_bytes(EXECVE_EVENT[:10]),
        errors=("the event is malformed",),
    ),
    Row(
        "passes an event without parameters",
        parse_bytes(encode_raw(EXECVE)),
        log=[
            "parsed failed to parse an event: KeyError: \"this execve event has no parameter 'exe': it has "
            'none" (stateful.py:… in parsed)'
        ],
        note="as an older Falco, whose events have fewer parameters",
    ),
    Row(
        "passes an event with more parameters than the SDK knows",
        parse_bytes(encode_raw(EXECVE, (bytes(8), b"names\0", *[b"x"] * 50))),
        log=["52"],
        note="as a newer Falco",
    ),
    Row(
        "passes a parameter of a wrong length",
        parse_bytes(encode_raw(EXECVE, (bytes(8), b"pid\0", b"", b"", b"\1\2\3"))),
        log=["None"],
    ),
    Row(
        "passes a parameter that is longer than the event",
        parse_bytes(EXECVE_EVENT[:28] + b"\xff\xff" + EXECVE_EVENT[30:]),
        log=["None"],
    ),
    Row(
        "passes a number of parameters that is beyond the event",
        parse_bytes(EXECVE_EVENT[:22] + b"\xff\xff\xff\xff" + EXECVE_EVENT[26:]),
        log=["parsed failed to parse an event: KeyError: … (stateful.py:… in parsed)"],
    ),
    Row("passes a string without its NUL", parse_bytes(encode_raw(EXECVE, (bytes(8), b"\xffx"))), log=["\ufffdx"]),
    Row(
        "passes an event of an unknown type",
        parse_bytes(encode_raw(2000, (bytes(8), b"x\0"))),
        note="no method asks for it",
    ),
    Row(
        "takes away a handler that it has not set, twice",
        lambda host: [host.set_handler(is_set=False), host.set_handler(is_set=False)],
        errors=(None, None),
    ),
    Row(
        "sets a second handler",
        set_handler_twice,
        errors=(None, None, None),
        note="the first one is not called any more",
    ),
    Row(
        "refuses async events with a message",
        send(b"refused"),
        errors=(None, None),
        log=["PluginError: refused"] * 2,
        note="the `yield` raises it",
    ),
    Row(
        "refuses async events without a message",
        send(b""),
        errors=(None, None),
        log=["PluginError: refused"] * 2,
        note="the last error of the host is the reason",
    ),
    Row(
        "calls `dump_state` without a handler",
        lambda host: [host.dump_state(has_handler=False)],
        errors=("dump_state was called without a handler",),
    ),
    Row(
        "refuses the events of `dump_state`",
        dump_refused,
        errors=("refused (stateful.py:… in dump_state)",),
        log=["dump_state failed: refused (stateful.py:… in dump_state)"],
    ),
    Row(
        "calls `capture_open` without its input",
        lambda host: [host.capture("open", has_input=False)],
        errors=("capture_open was called without its input",),
    ),
    Row("closes a capture that it has not opened", lambda host: [host.capture("close")], log=["capture_close"]),
    Row(
        "opens a second capture",
        lambda host: [host.capture("open"), host.capture("open"), host.capture("close")],
        errors=(None, None, None),
        log=["capture_open", "capture_open", "capture_close"],
        note="the functions of the first one are stopped",
    ),
    Row(
        "destroys the plugin while it captures",
        destroy_while_open,
        errors=(None, None),
        log=["capture_open"],
        note="its threads are stopped first",
    ),
)
