"""Fields of events that no plugin made: system calls, and async events."""

from __future__ import annotations

from support.events import CLOSE, GENERIC, encode_async, encode_event, encode_execve, encode_raw

CALLS = """
    from falco_plugin import Event, Plugin, field, json_field

    class Calls(Plugin):
        name = "calls"
        extract_event_sources = ("syscall",)
        {types}

        user = json_field("calls.user", "/user", desc="Of JSON")

        @field("calls.name", desc="The name of the event")
        def named(self, event: Event) -> str:
            return event.name

        @field("calls.exe", desc="The program")
        def exe(self, event: Event) -> str | None:
            return event.params.get("exe")

        @field("calls.json", desc="Of JSON")
        def whole(self, event: Event) -> str:
            return event.json["user"]
"""


def test_fields_are_those_of_every_event(load) -> None:
    library = load(CALLS.format(types=""))
    events = [
        (encode_execve("/bin/ls"), ["execve"], ["/bin/ls"], None),
        (encode_raw(CLOSE), ["close"], None, None),
        (encode_async("changed", b'{"user": "eve"}'), ["changed"], None, ["eve"]),
        (encode_event(b'{"user": "bob"}'), ["pluginevent"], None, ["bob"]),
        (encode_raw(3000), ["3000"], None, None),
    ]
    for number, (event, name, exe, user) in enumerate(events):
        assert library.extract(event, "calls.name", number, "syscall").values == name
        assert library.extract(event, "calls.exe", number, "syscall").values == exe
        assert library.extract(event, "calls.user", number, "syscall").values == user
        assert library.extract(event, "calls.json", number, "syscall").values == user
    lines = [text for _, text in library.logs]
    assert not [line for line in lines if "calls.user" in line], "a system call is not damaged JSON"


def test_fields_are_absent_in_events_of_other_types(load) -> None:
    library = load(CALLS.format(types='extract_event_types = ("execve", "setxattr")'))
    for number, (event, name) in enumerate(
        [
            (encode_execve("/bin/ls"), ["execve"]),
            (encode_raw(CLOSE), None),
            (encode_event(b"{}"), None),
            (encode_raw(GENERIC, [b"\0\0", b""]), None),
        ]
    ):
        assert library.extract(event, "calls.name", number, "syscall").values == name
