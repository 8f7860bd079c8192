"""Hosts that extract fields: missing arguments, damaged events, several threads, events of other plugins."""

from __future__ import annotations

import ctypes
import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from support.embedded import Library, event_buffer
from support.events import FAILURE, PAYLOAD_AT, encode_event
from support.field_plugins import field_log_lines
from support.field_table import PAYLOAD
from support.fields import (
    NO_INDEX,
    Extraction,
    FieldRequest,
    extractions_by_call,
    field_request,
    join_payloads,
    replay,
    request_lines,
)
from support.hosts import c_host_lines, native_lines, static_answers

# Arguments, events and memory of the host


def test_missing_required_argument_is_reported(field_table: Path) -> None:
    with Library(field_table) as loaded:
        event = encode_event(PAYLOAD)
        for name in ("method.text.one.index", "method.text.one.key", "method.text.one.both"):
            assert loaded.extract(event, name) == Extraction(None)
            (line,) = field_log_lines(loaded, name)
            cause = "TypeError: the host passed no argument, which the field requires"
            assert line.startswith(f"falco_plugin: field {name} is absent: {cause}")
        for name in ("pointer.text.one.index", "pointer.text.one.key", "pointer.text.one.pointer"):
            assert loaded.extract(event, name) == Extraction(None)


@pytest.mark.parametrize("argument", ["0", "1", "a", "01"])
@pytest.mark.parametrize("garbage", [0, 5, NO_INDEX])
def test_index_is_read_from_key_if_field_takes_both(field_table: Path, argument: str, garbage: int) -> None:
    # Hosts leave different values in the index if the argument is not a number.
    with Library(field_table) as loaded:
        request = field_request(static_answers(field_table)["fields"], f"method.text.one.both[{argument}]")
        assert (
            loaded.extract(encode_event(PAYLOAD), replace(request, index=garbage)).values
            == ({"0": ["one"], "1": ["zwei ü 🦅"], "a": ["one"], "01": [""]}[argument])
        )


def test_uninitialized_argument_is_ignored(field_table: Path) -> None:
    fields = static_answers(field_table)["fields"]
    event = encode_event(PAYLOAD)
    with Library(field_table) as loaded:
        for name in ("method.text.one.maybe_index", "method.text.one.maybe_key", "method.text.one.maybe_both"):
            plain = field_request(fields, name)
            expected = loaded.extract(event, plain)
            assert expected.values
            assert loaded.extract(event, replace(plain, index=0, key="a"), number=2) == expected


@pytest.mark.parametrize("number", [10_000, 2**32 - 1])
def test_unknown_field_is_failure(field_table: Path, number: int) -> None:
    with Library(field_table) as loaded:
        extracted = loaded.extract(encode_event(PAYLOAD), FieldRequest("method.text.one.plain", number, 9, False))
    assert extracted == Extraction(None, None, FAILURE, f"there is no field with id {number}")


def event_with_header(**changes: int) -> bytes:
    """Returns an event with a payload of 7 bytes and with changed values in its header."""
    parts = {"length": PAYLOAD_AT + 7, "type": 322, "id_length": 4, "data_length": 7, **changes}
    header = struct.pack("<QQIHI", 1, 2**64 - 1, parts["length"], parts["type"], 2)
    return header + struct.pack("<III", parts["id_length"], parts["data_length"], 0) + b"payload"


MALFORMED = "the event is malformed"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"type": 0}, "the event has type 0, and is not a plugin event"),
        ({"type": 402}, "the event has type 402, and is not a plugin event"),
        ({"type": 323}, "the event has type 323, and is not a plugin event"),
        ({"length": 0}, MALFORMED),
        ({"length": 25}, MALFORMED),
        ({"length": PAYLOAD_AT - 1}, MALFORMED),
        ({"length": PAYLOAD_AT + 6}, MALFORMED),
        ({"id_length": 8}, MALFORMED),
        ({"id_length": 0}, MALFORMED),
        ({"data_length": 8}, MALFORMED),
        ({"data_length": 2**32 - 1}, MALFORMED),
    ],
    ids=str,
)
def test_extract_rejects_other_event_types(build_fields, changes: dict[str, int], error: str) -> None:
    library = build_fields("""
        @field("event.text", desc="The whole payload")
        def all(self, event) -> str:
            return event.text
    """)
    with Library(library) as loaded:
        assert loaded.extract(event_with_header(), "event.text").values == ["payload"]
        extracted = loaded.extract(event_with_header(**changes), "event.text")
        assert extracted == Extraction(None, None, FAILURE, error)


def test_extract_rejects_null_arguments(field_table: Path) -> None:
    plain = field_request(static_answers(field_table)["fields"], "method.text.one.plain")
    with Library(field_table) as loaded:
        extracted = loaded.extract(None, plain)
        assert extracted == Extraction(None, None, FAILURE, "the function was called without an event")
        extract = loaded.api.plugin_extract_fields
        assert extract(loaded.state, None, None) == FAILURE
        assert extract(None, None, None) == FAILURE
        event = event_buffer(encode_event(PAYLOAD))
        assert loaded.extract(event, plain).values == ["one"], "the plugin still works"
        state, loaded.state = loaded.state, None
        assert loaded.ask(event, plain).code == FAILURE
        loaded.state = state


def test_field_library_survives_null_handles(field_table: Path) -> None:
    (line,) = c_host_lines("nulls", field_table)
    assert (line["ok"], line["unset"], line["success"]) == (True, [], [])


def test_values_are_valid_until_next_call_of_thread(field_table: Path, in_thread) -> None:
    event = event_buffer(encode_event(PAYLOAD))
    with Library(field_table) as loaded:
        numbers = loaded.ask(event, "pointer.number.many.plain")
        # While the values are in use, another thread extracts from other events, with and without a failure.
        in_thread(
            lambda: [loaded.extract(encode_event(b'"x"'), "pointer.text.many.plain", number) for number in range(100)]
        ).join()
        in_thread(lambda: loaded.extract(None, "pointer.text.many.plain")).join()
        loaded.last_error()
        assert numbers.read().values == [0, 18446744073709551615, 7]
        texts = loaded.ask(event, "method.text.many.plain")
        in_thread(lambda: loaded.extract(encode_event(PAYLOAD), "method.text.one.key[b]", 2)).join()
        assert texts.read().values == ["one", "zwei ü 🦅", ""]


def test_values_are_valid_after_event_is_freed(field_table: Path) -> None:
    event = event_buffer(encode_event(PAYLOAD))
    with Library(field_table) as loaded:
        texts = loaded.ask(event, "pointer.text.many.plain")
        ctypes.memset(event, 0xEE, len(event))
        assert texts.read().values == ["one", "zwei ü 🦅", ""]


# Sources with fields, plugins that only extract, several threads

EVENTS = """
    def open(self, params):
        yield b'{"n": 1}', 1000
        yield b'{"n": 2}', 2000

    n = json_field("event.n", "/n", type=int, desc="Read from the payload")

    @field("event.about", desc="The metadata and the payload")
    def about(self, event) -> str:
        return f"{event.number} {event.timestamp} {event.source} {event.type} {event.data!r}"

    def event_to_string(self, event):
        return f"n is {self.n(event)}"
"""


def test_source_extracts_own_fields(build_fields) -> None:
    library = build_fields(EVENTS)
    fields = ["event.n", "event.about"]
    about = [f"""{number} {number}000 fields 322 b'{{"n": {number}}}'""" for number in (1, 2)]
    *lines, end = c_host_lines("extract", library, "", "", request_lines(library, fields))
    assert [[extracted.values for extracted in extractions_by_call(line)] for line in lines] == [
        [[1], [about[0]]],
        [[2], [about[1]]],
    ]
    assert {extracted.places for line in lines for extracted in extractions_by_call(line)} == {None}, (
        "this host does not request offsets"
    )
    assert (end["events"], end["end"]) == (2, "eof")
    events = [line for line in native_lines(library, "--fields", ",".join(fields)) if line["kind"] == "event"]
    assert [event["fields"] for event in events] == [
        {"event.n": number, "event.about": about[number - 1]} for number in (1, 2)
    ]
    assert [event["text"] for event in events] == ["n is 1", "n is 2"]


def test_fields_and_strings_work_without_open_source(build_fields) -> None:
    library = build_fields(EVENTS)
    lines = c_host_lines(
        "replay", library, "", request_lines(library, ["event.n", "event.about"]), join_payloads([b'{"n": 7}', b"no"])
    )
    *lines, report = sorted(lines, key=lambda line: "log" in line)
    assert report["log"]["text"].startswith("event 2 is not valid JSON at byte 0: not a JSON value; ")
    assert [[extracted.values for extracted in extractions_by_call(line)] for line in lines] == [
        [[7], ["""1 1 fields 322 b'{"n": 7}'"""]],
        [None, ["2 1 fields 322 b'no'"]],
    ]
    assert [line["text"] for line in lines] == ["n is 7", "n is None"]


def test_extractor_sees_events_of_other_plugins(field_table: Path, given_events: Path, build_fields) -> None:
    library = build_fields("""
        extract_event_sources = ["given", "other"]

        @field("event.source", desc="The event source and the payload")
        def of(self, event) -> str:
            return f"{event.source}: {event.text}"
    """)
    fields = "event.source,method.text.one.plain"
    lines = native_lines(
        given_events, "--with", field_table, "--with", library, "--config", "616263,646566", "--fields", fields
    )
    assert [line["fields"] for line in lines if line["kind"] == "event"] == [
        {"event.source": f"given: {text}", "method.text.one.plain": "one"} for text in ("abc", "def")
    ]
    (extracted,) = replay(library, ["event.source"], [b"abc"])
    assert extracted["event.source"].values == ["other: abc"]


TWINS = """
number = json_field("twin.number", "/number", type=int, desc="Read from JSON")
names = json_field("twin.names", "/names/{index|*}", type=list[str], desc="Read from JSON")
any = json_field("twin.any", "{pointer}", desc="Read from JSON")


@field("twin.text", desc="Returned by a method")
def text(self, event, key: str | None = None) -> str:
    return f"{key} {event.text}"


@field("twin.both", desc="Returned by a method that reads JSON fields")
def both(self, event) -> list[str]:
    return [f"{self.number(event)} {name}" for name in self.names(event) or ()]


@field("twin.failure", desc="Fails for some events")
def failure(self, event) -> int:
    return 1000 // (event.json["number"] % 3)
"""


@pytest.mark.parametrize("states", [1, 2])
def test_threads_extract_concurrently(build_fields, states: int) -> None:
    library = build_fields(TWINS)
    names = [
        [f"{letter * length}-{number}" for letter in "abc"[:number]] for number, length in enumerate((5, 1, 90, 7))
    ]
    payloads = [json.dumps({"number": number, "names": names[number]}).encode() for number in range(4)]
    fields = ["twin.number", "twin.names", "twin.names[1]", "twin.any[/names/0]", "twin.text", "twin.text[k]"]
    fields += ["twin.both", "twin.failure"]
    *events, first, second = c_host_lines(
        "twins", library, "", request_lines(library, fields), join_payloads(payloads), 100, states
    )
    assert [[extracted.values for extracted in extractions_by_call(line)] for line in events] == [
        [
            [number],
            names[number] or None,
            names[number][1:2] or None,
            names[number][:1] or None,
            [f"None {payload.decode()}"],
            [f"k {payload.decode()}"],
            [f"{number} {name}" for name in names[number]] or None,
            None if number % 3 == 0 else [1000 // (number % 3)],
        ]
        for number, payload in enumerate(payloads)
    ]
    calls = 100 * len(payloads) * len(fields)
    assert (first, second) == (
        {"thread": 1, "calls": calls, "wrong": 0},
        {"thread": 2, "calls": calls, "wrong": 0},
    )
