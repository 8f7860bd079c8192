"""Tests `AsyncEvent`, the declaration of async events, and `Capture`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falco_plugin import AsyncEvent, Capture, PluginError, async_events
from falco_plugin._declare.async_events import Declaration

NAMES = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_-]{0,30}", fullmatch=True)


@given(NAMES, st.binary(max_size=50), st.none() | st.integers(10**17, 2**64 - 2))
def test_async_event_keeps_its_members(name, data, timestamp):
    event = AsyncEvent(name, data, timestamp)
    assert (event.name, event.data, event.timestamp) == (name, data, timestamp)
    same = AsyncEvent(name, bytearray(data), timestamp)
    assert event == same
    assert hash(event) == hash(same)
    assert eval(repr(event), {"AsyncEvent": AsyncEvent}) == event
    assert event != AsyncEvent(name, data + b"!", timestamp)
    assert event != (name, data, timestamp)


def test_async_event_has_defaults():
    event = AsyncEvent("changed")
    assert (event.data, event.timestamp) == (b"", None)
    moment = datetime(2026, 11, 30, tzinfo=UTC)
    assert AsyncEvent("changed", timestamp=moment).timestamp == int(moment.timestamp()) * 10**9


class Text(str):
    """A string that is not exactly one."""


@pytest.mark.parametrize(
    "make",
    [
        lambda: AsyncEvent("changed", b"data", 7),
        lambda: AsyncEvent("changed", b"data", timestamp=7),
        lambda: AsyncEvent("changed", data=b"data", timestamp=7),
        lambda: AsyncEvent(timestamp=7, data=b"data", name="changed"),
        lambda: AsyncEvent(*("changed",), **{"data": bytearray(b"data"), "timestamp": 7}),
        lambda: AsyncEvent(Text("changed"), memoryview(b"data"), 7),
        lambda: AsyncEvent.__new__(AsyncEvent, "changed", b"data", 7),
    ],
)
def test_async_event_is_the_same_in_each_form_of_the_call(make):
    event = make()
    assert type(event) is AsyncEvent
    assert event == AsyncEvent("changed", b"data", 7)


def test_async_event_cannot_have_subclasses():
    with pytest.raises(TypeError, match="not an acceptable base type"):
        type("Sub", (AsyncEvent,), {})


def test_async_events_free_what_they_hold():
    data = b"0123456789" * 7
    before = sys.getrefcount(data)
    events = [AsyncEvent("changed", data) for _ in range(100)]
    assert sys.getrefcount(data) == before + 100
    del events
    assert sys.getrefcount(data) == before


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((), TypeError, "missing 1 required positional argument: 'name'"),
        ((b"changed",), TypeError, "name"),
        (("changed", b"", 1, 2), TypeError, "takes from 1 to 3 positional arguments but 4 were given"),
        (("changed", "text"), TypeError, "an event's data must be bytes, got str: give text.encode()"),
        (("changed", b"", 1.5), TypeError, "a timestamp must be an int of nanoseconds"),
        (("changed", b"", -1), ValueError, "a timestamp must be 0 to 2\\*\\*64 - 2"),
        (("changed", b"", datetime(2026, 1, 1)), ValueError, "must not be a naive datetime"),
    ],
)
def test_async_event_rejects_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        AsyncEvent(*arguments)


def test_decorator_keeps_the_method_and_its_declaration():
    def changes(self):
        yield b""

    decorated = async_events("a", "b", "a", sources=["syscall"], retry=timedelta(seconds=90))(changes)
    assert decorated is changes
    assert decorated._falco_plugin_async_events == Declaration(("a", "b"), ("syscall",), 90.0)


@pytest.mark.parametrize(
    ("declare", "error", "message"),
    [
        (lambda: async_events(), TypeError, "async_events takes the names of the events"),
        (lambda: async_events(lambda self: []), TypeError, 'write @async_events\\("changed"\\) above the method'),
        (lambda: async_events(""), ValueError, "must be 1 to 31 letters, digits, '_' and '-'"),
        (lambda: async_events("a" * 32), ValueError, "must be 1 to 31 letters"),
        (lambda: async_events("1st"), ValueError, "beginning with a letter, got '1st'"),
        (lambda: async_events("chang\xe9"), ValueError, "letters"),
        (lambda: async_events("a", sources="syscall"), TypeError, "sources must be a list of event sources"),
        (lambda: async_events("a", sources=["Test"]), ValueError, "sources has 'Test', which is not an event source"),
        (lambda: async_events("a", sources=[1]), ValueError, "sources has 1"),
        (lambda: async_events("a", retry="1"), TypeError, "retry must be a number of seconds or a timedelta, got str"),
        (lambda: async_events("a", retry=True), TypeError, "retry must be a number of seconds"),
        (lambda: async_events("a", retry=0), ValueError, "retry must be more than 0 seconds, got 0"),
        (lambda: async_events("a", retry=float("nan")), ValueError, "retry must be more than 0 seconds, got nan"),
        (lambda: async_events("a")(print), TypeError, "@async_events must be above a method, got builtin"),
        (lambda: async_events("a")(property(lambda self: [])), TypeError, "got property: put it on top of def"),
    ],
)
def test_decorator_rejects_wrong_arguments(declare, error, message):
    with pytest.raises(error, match=message):
        declare()


def test_every_keeps_intervals_until_the_capture_is_open():
    capture = Capture()
    capture.every(5, print)
    capture.every(timedelta(minutes=1), repr)
    assert capture._take_routines() == [(5.0, print), (60.0, repr)]
    assert capture._take_routines() == []
    with pytest.raises(PluginError, match="can be called in capture_open only"):
        capture.every(5, print)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0, print), ValueError, "seconds must be more than 0 seconds, got 0"),
        ((-1, print), ValueError, "seconds must be more than 0 seconds, got -1"),
        (("5", print), TypeError, "seconds must be a number of seconds or a timedelta, got str"),
        ((5, None), TypeError, "function must be callable without arguments, got NoneType"),
    ],
)
def test_every_rejects_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        Capture().every(*arguments)
