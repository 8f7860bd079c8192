"""Tests the parameters of events, whole and damaged."""

from __future__ import annotations

import gc
import struct
import weakref
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.events import ASYNC_EVENT, CLOSE, EXECVE, GENERIC, PLUGIN_EVENT, encode_async, encode_execve, encode_raw

from falco_plugin import Event
from falco_plugin._core import event_codes, event_names, is_meta_event
from falco_plugin.params import Params, SocketAddress, SocketTuple

INET = b"\x02\x0a\0\0\x01" + struct.pack("<H", 80)
INET6 = b"\x0a" + bytes(15) + b"\x01" + struct.pack("<H", 443)
VALUES: list[tuple[str, str, bytes, Any]] = [
    ("execve", "res", struct.pack("<q", -2), -2),
    ("execve", "exe", b"/bin/ls\0", "/bin/ls"),
    ("execve", "exe", b"", None),
    ("execve", "exe", b"\0", ""),
    ("execve", "exe", b"caf\xc3\xa9 \xff\xfe\0", "caf\u00e9 \ufffd\ufffd"),
    ("execve", "args", b"", []),
    ("execve", "args", b"-l\0\0/tmp\0", ["-l", "", "/tmp"]),
    ("execve", "env", b"A=1\0", ["A=1"]),
    ("execve", "cgroups", b"cpu=/\0mem=/\0", ["cpu=/", "mem=/"]),
    ("execve", "loginuid", b"\xff" * 4, 2**32 - 1),
    ("execve", "flags", b"\x01\0\0\0", 1),
    ("execve", "exe_ino_mtime", struct.pack("<Q", 2**64 - 1), 2**64 - 1),
    ("execve", "vm_size", b"\0\0\0", None),
    ("read", "data", b"", b""),
    ("read", "data", b"a\0\xff", b"a\0\xff"),
    ("kill", "sig", b"\x09", 9),
    ("bind", "addr", INET, SocketAddress("inet", IPv4Address("10.0.0.1"), 80)),
    ("bind", "addr", INET6, SocketAddress("inet6", IPv6Address("::1"), 443)),
    ("bind", "addr", b"\x01/run/s\0", SocketAddress("unix", path="/run/s")),
    ("bind", "addr", b"\x10", SocketAddress("16")),
    ("bind", "addr", b"\x02\x0a", None),
    (
        "connect",
        "tuple",
        INET + b"\xc0\0\x02\x07" + struct.pack("<H", 8080),
        SocketTuple(
            SocketAddress("inet", IPv4Address("10.0.0.1"), 80), SocketAddress("inet", IPv4Address("192.0.2.7"), 8080)
        ),
    ),
    (
        "connect",
        "tuple",
        b"\x01" + bytes(16) + b"/run/s\0",
        SocketTuple(SocketAddress("unix"), SocketAddress("unix", path="/run/s")),
    ),
    ("connect", "tuple", b"\x10", SocketTuple(SocketAddress("16"), SocketAddress("16"))),
    ("connect", "tuple", b"", None),
    ("poll", "fds", struct.pack("<Hqhqh", 2, 3, 1, -1, 4), [(3, 1), (-1, 4)]),
    ("poll", "fds", b"\x09", None),
    ("getsockopt", "val", b"\x02\x07\0\0\0", 7),
    ("getsockopt", "val", b"\0\x07", b"\x07"),
    ("task_file_socket_inet", "local_ip", b"\x0a\0\0\x01", IPv4Address("10.0.0.1")),
]


def event_with(event: str, param: str, value: bytes) -> Event:
    """Returns an event of the current type with a name, whose parameters before `param` are empty."""
    for code in reversed(event_codes(event)):
        for position in range(32):
            found = Event(raw=encode_raw(code, [b""] * position + [value]), source="syscall")
            if found.params.keys()[-1] == param:
                return found
    raise AssertionError(f"{event} has no parameter {param}")


@pytest.mark.parametrize(("event", "param", "value", "expected"), [row for row in VALUES if event_codes(row[0])])
def test_value_has_type_of_its_parameter(event: str, param: str, value: bytes, expected: Any) -> None:
    params = event_with(event, param, value).params
    assert params[param] == expected
    assert type(params[param]) is type(expected)
    assert params[len(params) - 1] == expected
    assert params.raw(param) == value


def test_event_has_name_type_and_thread() -> None:
    event = Event(raw=encode_execve("/bin/ls"), number=3, source="syscall")
    assert (event.name, event.type, event.thread_id) == ("execve", EXECVE, 77)
    assert (event.number, event.timestamp, event.source) == (3, 5, "syscall")
    assert (event.data, event.text) == (b"", "")
    assert repr(event) == 'Event(<execve>, number=3, timestamp=5, source="syscall")'


def test_plugin_event_has_parameters() -> None:
    event = Event(b"payload")
    assert (event.name, event.type, event.thread_id) == ("pluginevent", PLUGIN_EVENT, None)
    assert dict(event.params) == {"plugin_id": 0, "event_data": b"payload"}
    raw = encode_raw(PLUGIN_EVENT, [struct.pack("<I", 7), b"payload"], thread_id=-1, is_large=True)
    event = Event(raw=raw)
    assert (event.data, event.params["plugin_id"], event.params.raw(1)) == (b"payload", 7, b"payload")


def test_async_event_has_its_own_name() -> None:
    event = Event(raw=encode_async("owner_changed", b'{"a": 1}', 4))
    assert (event.name, event.type, event.thread_id) == ("owner_changed", ASYNC_EVENT, None)
    assert (event.data, event.text, event.json) == (b'{"a": 1}', '{"a": 1}', {"a": 1})
    assert dict(event.params) == {"plugin_id": 4, "name": "owner_changed", "data": b'{"a": 1}'}


def test_generic_event_has_name_of_its_system_call() -> None:
    (code,) = event_codes("setxattr")
    assert code == GENERIC
    names = {Event(raw=encode_raw(code, [struct.pack("<H", call), b""])).name for call in range(460)}
    assert {"setxattr", "getxattr"} < names
    assert "syscall" in names, "the name of an unknown call"


def test_params_are_a_mapping() -> None:
    params = Event(raw=encode_execve("/bin/ls", "-l")).params
    assert isinstance(params, Mapping)
    assert isinstance(params, Params)
    assert len(params) == 3
    assert list(params) == params.keys() == ["res", "exe", "args"]
    assert params.values() == [0, "/bin/ls", ["-l"]]
    assert params.items() == [("res", 0), ("exe", "/bin/ls"), ("args", ["-l"])]
    assert ("exe" in params, 2 in params, 3 in params, "env" in params) == (True, True, False, False)
    assert (params.get("exe"), params.get("env"), params.get("env", 0), params.get(9, 1)) == ("/bin/ls", None, 0, 1)
    assert params == {"res": 0, "exe": "/bin/ls", "args": ["-l"]}
    assert params != {"res": 0}
    assert params != 3
    assert repr(params) == "Params({'res': 0, 'exe': '/bin/ls', 'args': ['-l']})"
    match params:
        case {"exe": exe}:
            assert exe == "/bin/ls"
        case _:
            raise AssertionError


@pytest.mark.parametrize("key", ["exee", "3", "", "\ud800", 3, -1, 2**64])
def test_missing_parameter_is_key_error_that_names_the_others(key: str | int) -> None:
    params = Event(raw=encode_execve("/bin/ls")).params
    for read in (params.__getitem__, params.raw):
        with pytest.raises(KeyError) as caught:
            read(key)
        assert caught.value.args == (f"this execve event has no parameter {key!r}: it has res, exe, args",)
    assert key not in params
    assert params.get(key) is None


@pytest.mark.parametrize("key", [None, b"exe", 1.0, True])
def test_key_of_another_type_is_type_error(key: Any) -> None:
    params = Event(raw=encode_execve("/bin/ls")).params
    with pytest.raises(TypeError, match=f"named by a str or an int, got {type(key).__name__}"):
        params[key]


def test_events_of_other_drivers_have_fewer_or_more_parameters() -> None:
    old = Event(raw=encode_raw(CLOSE, [bytes(8)])).params
    assert dict(old) == {"res": 0}
    new = Event(raw=encode_raw(CLOSE, [bytes(8), struct.pack("<q", 3), b"new"])).params
    assert dict(new) == {"res": 0, "fd": 3, "2": b"new"}
    assert new[2] == b"new"
    unknown = Event(raw=encode_raw(2000, [b"a", b"", b"c"]))
    assert (unknown.name, unknown.type, dict(unknown.params)) == ("2000", 2000, {"0": b"a", "1": b"", "2": b"c"})


def test_params_outlive_their_event() -> None:
    params = Event(raw=encode_execve("/bin/ls")).params
    gc.collect()
    assert params["exe"] == "/bin/ls"


def test_params_do_not_keep_each_other() -> None:
    class Kept(Event):
        pass

    event = Kept(raw=encode_execve("/bin/ls"))
    gone = weakref.ref(event)
    assert event.params["exe"] == "/bin/ls"
    del event
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((), TypeError("an event needs either data or raw=…")),
        ((b"", b""), TypeError("an event needs either data or raw=…")),
        ((None, b""), ValueError("raw is not a whole encoded event")),
        ((None, encode_execve("/bin/ls")[:-1]), ValueError("raw is not a whole encoded event")),
        ((None, encode_execve("/bin/ls") + b"x"), ValueError("raw is not a whole encoded event")),
    ],
)
def test_event_refuses_what_is_not_an_event(arguments: tuple[Any, ...], error: Exception) -> None:
    data, raw = (*arguments, None, None)[:2]
    with pytest.raises(type(error)) as caught:
        Event(data, raw=raw)
    assert str(caught.value) == str(error)


def test_sockets_are_written_as_in_rules() -> None:
    inet, unix = SocketAddress("inet", IPv4Address("10.0.0.1"), 80), SocketAddress("unix", path="/run/s")
    assert [str(inet), str(unix), str(SocketAddress("unix"))] == ["10.0.0.1:80", "/run/s", ""]
    assert str(SocketAddress("16")) == "family 16"
    assert str(SocketTuple(inet, inet)) == "10.0.0.1:80->10.0.0.1:80"


def test_names_have_codes() -> None:
    assert EXECVE in event_codes("execve")
    assert event_codes("pluginevent") == [PLUGIN_EVENT]
    assert event_codes("asyncevent") == [ASYNC_EVENT]
    assert event_codes("no_such_call") == event_codes("NA") == []
    assert {"execve", "setxattr", "procexit"} < set(event_names())
    assert (is_meta_event("container"), is_meta_event("execve")) == (True, False)


@given(st.binary(max_size=120), st.integers(0, 470), st.integers(0, 40))
def test_any_bytes_can_be_read(body: bytes, code: int, count: int) -> None:
    event = Event(raw=struct.pack("<QqIHI", 0, 1, 26 + len(body), code, count) + body) if code != PLUGIN_EVENT else None
    if event is None:
        return
    assert isinstance(event.name, str)
    assert isinstance(event.data, bytes)
    assert len(event.params.items()) == len(event.params) == len(event.params.keys())
    for name in event.params:
        event.params[name]
        assert name in event.params
