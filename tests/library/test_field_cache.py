"""Cached values of an event: hosts extract a field once for each rule, but its method runs only once."""

from __future__ import annotations

import ctypes
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.embedded import MEETING, Library, event_buffer
from support.events import encode_event
from support.libraries import build_plugin

PLUGIN = """
    import sys

    from falco_plugin import Plugin, field, json_field


    class Counting(Plugin):
        name = "counting"

        def init(self):
            self.calls = 0
            self.seen = []

        def open(self, params):
            return [b"{}"]

        def count(self, event):
            self.calls += 1
            self.seen.append(event)
            return self.calls

        @field("count.plain", desc="The number of calls so far")
        def plain(self, event) -> int:
            return self.count(event)

        @field("count.other", desc="The number of calls so far")
        def other(self, event) -> int:
            return self.count(event)

        @field("count.index", desc="The number of calls so far")
        def index(self, event, index: int | None = None) -> int:
            return self.count(event)

        @field("count.key", desc="The number of calls so far, and the key")
        def key(self, event, key: str | None = None) -> str:
            return f"{self.count(event)} {key}"

        @field("count.both", desc="The number of calls so far")
        def both(self, event, index: int | None = None, key: str | None = None) -> int:
            return self.count(event)

        @field("count.absent", desc="Counts the call and returns nothing")
        def absent(self, event) -> int | None:
            self.count(event)

        @field("count.failure", desc="Counts the call and fails")
        def failure(self, event) -> int:
            self.count(event)
            raise ValueError("no")

        @field("count.wrong", desc="Counts the call and returns a wrong type")
        def wrong(self, event) -> list[int]:
            return [self.count(event), "text"]

        n = json_field("json.n", "/n", type=int, desc="Read from JSON")
        names = json_field("json.names", "/names/{index|*}", type=list[str], desc="Read from JSON")

        @field("json.sum", desc="The number plus the count of names")
        def sum(self, event) -> int | None:
            self.count(event)
            return None if self.n(event) is None else self.n(event) + len(self.names(event) or ())

        @field("json.tree", desc="The number, read from event.json")
        def tree(self, event) -> int:
            self.count(event)
            return event.json["n"]

        @field("count.meets", desc="Waits twice for another thread")
        def meets(self, event) -> int:
            meeting = sys.modules["support.embedded"].MEETING
            meeting.wait()
            meeting.wait()
            return self.count(event)

        def event_to_string(self, event):
            report = {"calls": self.calls, "objects": len({id(seen) for seen in [*self.seen, event]})}
            report["trees"] = len({id(seen.json) for seen in [*self.seen, event]}) if event.data[:1] == b"{" else 0
            report["kept"] = [[seen.text, seen.number, seen.timestamp, self.n(seen)] for seen in self.seen]
            return repr(report)
"""


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_plugin(tmp_path_factory.mktemp("counting"), PLUGIN, "counting")


@pytest.fixture
def library(counting: Path) -> Iterator[Library]:
    """Loads the plugin with a new state, which has counted no calls."""
    with Library(counting) as loaded:
        yield loaded


@pytest.fixture
def event() -> ctypes.Array[ctypes.c_char]:
    return event_buffer(encode_event(b'{"n": 7, "names": ["a", "b"]}', 1000))


def count_calls(library: Library) -> int:
    """Returns how many calls the plugin counted. Uses a separate event, because the result is cached per event."""
    report = library.event_to_string(encode_event(b"", 1), 2**64 - 1)
    assert report is not None
    return eval(report)["calls"]


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("count.plain", [1]),
        ("count.index[3]", [1]),
        ("count.key[a]", ["1 a"]),
        ("count.both[3]", [1]),
        ("count.both[a]", [1]),
        ("count.absent", None),
        ("count.failure", None),
        ("count.wrong", None),
        ("json.sum", [9]),
    ],
)
def test_method_runs_once_per_event(library: Library, event, field: str, values: list | None) -> None:
    assert {repr(library.extract(event, field).values) for _ in range(100)} == {repr(values)}
    assert count_calls(library) == 1
    assert len([text for _, text in library.logs if "is absent" in text]) == (field in ("count.failure", "count.wrong"))


def test_method_runs_once_per_argument(library: Library, event) -> None:
    arguments = ["", "[0]", "[1]", "[18446744073709551615]"]
    for _ in range(3):
        assert [library.extract(event, f"count.index{argument}").values for argument in arguments] == [
            [1],
            [2],
            [3],
            [4],
        ]
    arguments = ["", "[a]", "[ab]", "[0]", "[a b]"]
    for _ in range(3):
        assert [library.extract(event, f"count.key{argument}").values for argument in arguments] == [
            ["5 None"],
            ["6 a"],
            ["7 ab"],
            ["8 0"],
            ["9 a b"],
        ]
    for _ in range(3):
        assert [library.extract(event, f"count.both{argument}").values for argument in ("", "[0]", "[00]")] == [
            [10],
            [11],
            [12],
        ]
    assert count_calls(library) == 12


def test_values_of_many_arguments_are_kept(library: Library, event) -> None:
    for _ in range(2):
        for number in range(300):
            assert library.extract(event, f"count.key[k{number}]").values == [f"{number + 1} k{number}"]


def test_fields_have_separate_values(library: Library, event) -> None:
    for _ in range(3):
        assert library.extract(event, "count.plain").values == [1]
        assert library.extract(event, "count.other").values == [2]
        assert library.extract(event, "json.n").values == [7]
        assert library.extract(event, "count.index").values == [3]


@pytest.mark.parametrize("change", ["number", "address", "timestamp", "length"])
def test_method_runs_again_for_next_event(library: Library, event, change: str) -> None:
    assert library.extract(event, "count.plain", number=5).values == [1]
    again, number = event, 5
    if change == "number":
        number = 6
    elif change == "address":
        again = event_buffer(bytes(event))
    elif change == "timestamp":
        ctypes.memmove(event, encode_event(b'{"n": 7, "names": ["a", "b"]}', 1001), len(event))
    else:
        shorter = encode_event(b'{"n": 7, "names": ["a"]}', 1000)
        ctypes.memmove(event, shorter, len(shorter))
    for _ in range(3):
        assert library.extract(again, "count.plain", number=number).values == [2]


@pytest.mark.parametrize("field", ["count.plain", "count.failure", "json.n", "json.sum", "json.tree"])
def test_open_and_close_clear_cache(library: Library, event, field: str) -> None:
    def extract_next(number: int) -> list | None:
        """Extracts from another event with the same number, address, timestamp and length."""
        ctypes.memmove(event, encode_event(b'{"n": %d, "names": ["a", "b"]}' % number, 1000), len(event))
        return [library.extract(event, field).values for _ in range(2)]

    values = {"count.plain": [1, 2, 3, 4, 5], "json.n": [1, 2, 3, 4, 5], "json.sum": [3, 4, 5, 6, 7]}
    values["json.tree"] = values["json.n"]
    expected = [[[value]] * 2 for value in values[field]] if field in values else [[None] * 2] * 5
    found = [extract_next(1)]
    with library.opened():
        found.append(extract_next(2))
    found.append(extract_next(3))
    with library.opened():
        found.append(extract_next(4))
    found.append(extract_next(5))
    assert found == expected
    assert count_calls(library) == (0 if field == "json.n" else 5)


@pytest.mark.linked("a method of the plugin meets a thread of the test")
def test_values_of_call_survive_concurrent_open(library: Library, event) -> None:
    def open_and_close() -> None:
        MEETING.wait()
        with library.opened():
            MEETING.wait()

    opening = threading.Thread(target=open_and_close)
    opening.start()
    fields = ["json.names[0]", "count.plain", "count.meets", "count.plain", "json.names[1]", "json.names"]
    answers = library.ask_together(event, fields)
    opening.join()
    assert [answer.read().values for answer in answers] == [["a"], [1], [2], [1], ["b"], ["a", "b"]]


def test_fields_and_event_to_string_share_event(library: Library, event) -> None:
    for field in ("count.plain", "json.sum", "json.n", "json.tree", "count.key[a]", "count.failure"):
        library.extract(event, field)
    report = eval(library.event_to_string(event))
    assert (report["calls"], report["objects"], report["trees"]) == (5, 1, 1)
    assert library.extract(event, "count.other").values == [6]
    assert eval(library.event_to_string(event))["objects"] == 1


def test_event_to_string_may_precede_fields(library: Library, event) -> None:
    assert eval(library.event_to_string(event))["objects"] == 1
    assert library.extract(event, "json.sum").values == [9]
    assert eval(library.event_to_string(event))["objects"] == 1


def test_kept_event_keeps_payload(library: Library) -> None:
    memory = event_buffer(encode_event(b'{"n": 1}', 10))
    library.extract(memory, "count.plain", number=1)
    ctypes.memset(memory, 0xEE, len(memory))
    ctypes.memmove(memory, encode_event(b'{"n": 2}', 20), len(memory))
    assert library.extract(memory, "json.n", number=2).values == [2]
    library.extract(memory, "count.plain", number=2)
    ctypes.memset(memory, 0xEE, len(memory))
    report = eval(library.event_to_string(encode_event(b"", 30), 3))
    assert report["kept"] == [['{"n": 1}', 1, 10, 1], ['{"n": 2}', 2, 20, 2]]


def test_kept_event_keeps_payload_after_close(library: Library) -> None:
    memory = event_buffer(encode_event(b'{"n": 1}', 10))
    with library.opened():
        library.extract(memory, "json.sum")
    ctypes.memset(memory, 0xEE, len(memory))
    assert eval(library.event_to_string(encode_event(b"", 30)))["kept"] == [['{"n": 1}', 1, 10, 1]]


def test_plugin_states_share_no_values(counting: Path, library: Library, event) -> None:
    assert library.extract(event, "count.plain").values == [1]
    assert library.extract(event, "count.other").values == [2]
    with Library(counting) as second:
        assert second.extract(event, "count.other").values == [1]
    assert library.extract(event, "count.plain").values == [1]


@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 3),
            st.sampled_from(["json.n", "json.names", "json.names[0]", "json.names[1]", "json.sum", "json.tree"]),
        )
    ),
    payloads=st.lists(
        st.fixed_dictionaries(
            {"n": st.integers(0, 999)}, optional={"names": st.lists(st.text("abü", max_size=3), max_size=3)}
        ),
        min_size=4,
        max_size=4,
    ),
)
def test_value_belongs_to_event_after_any_requests(counting: Path, steps, payloads) -> None:
    # Each step reads the same event again, or another event at the same address that differs only in its number.
    memory = event_buffer(bytes(200))
    with Library(counting) as library:
        last, number = None, 0
        for which, field in steps:
            if which != last:
                last, number = which, number + 1
                payload = json.dumps(payloads[which]).encode().ljust(100)
                ctypes.memmove(memory, encode_event(payload, 1000), 138)
            names = payloads[which].get("names", [])
            expected = {
                "json.n": [payloads[which]["n"]],
                "json.names": names,
                "json.names[0]": names[:1],
                "json.names[1]": names[1:2],
                "json.sum": [payloads[which]["n"] + len(names)],
                "json.tree": [payloads[which]["n"]],
            }[field]
            assert library.extract(memory, field, number).values == (expected or None)


KEEPING = """
    from falco_plugin import Plugin, field, json_field


    class Keeping(Plugin):
        name = "keeping"

        def init(self):
            self.kept = []

        def open(self, params):
            return [b"{}"]

        n = json_field("k.n", "/n", type=int, desc="Read from JSON")

        def describe(self, event):
            return repr([event.text, event.number, event.timestamp, event.source, event.json, self.n(event)])

        @field("k.all", desc="The whole event")
        def all(self, event) -> str:
            return self.describe(event)

        @field("k.nothing", desc="A constant")
        def nothing(self, event) -> int:
            return 1

        @field("k.keeps", desc="Keeps the event without reading it")
        def keeps(self, event) -> int:
            self.kept.append(event)
            return 1

        @field("k.data", desc="Keeps the event and reads its data")
        def keeps_data(self, event) -> str:
            self.kept.append(event)
            return event.data.decode()

        @field("k.fails", desc="Raises, so that the traceback refers to the event")
        def fails(self, event) -> int:
            raise ValueError(event.number)

        def event_to_string(self, event):
            return repr([self.describe(event), [self.describe(kept) for kept in self.kept]])
"""


@pytest.fixture(scope="module")
def keeping(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_plugin(tmp_path_factory.mktemp("keeping"), KEEPING, "keeping")


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["k.all", "k.nothing", "k.keeps", "k.data", "k.fails", "k.n", "text", "close"]),
            st.booleans(),
            st.sampled_from(["test", "other", "tést"]),
        ),
        max_size=30,
    )
)
def test_event_is_correct_whether_others_are_kept(keeping: Path, steps) -> None:
    # The SDK may reuse one object, backed by the memory of the host, for several events. User code must not notice.
    memory = event_buffer(bytes(200))
    expected_kept, kept_by = [], set()
    with Library(keeping) as library:
        number = 0
        description, text = "", None
        for field, another, source in steps:
            if another or number == 0 or field == "close":
                number += 1
                # Hosts overwrite their memory between two events.
                ctypes.memset(memory, 0xEE, len(memory))
                event_source, payload = source, json.dumps({"n": number}).encode()
                ctypes.memmove(memory, encode_event(payload, 1000 + number), 38 + len(payload))
                description = repr([payload.decode(), number, 1000 + number, event_source, {"n": number}, number])
                kept_by, text = set(), None
            if field == "close":
                with library.opened():
                    pass
            elif field == "text":
                # `event_to_string` runs once per event.
                text = text or [description, [*expected_kept]]
                assert eval(library.event_to_string(memory, number, event_source)) == text
            else:
                values = library.extract(memory, field, number, event_source).values
                if field in ("k.keeps", "k.data") and field not in kept_by:
                    expected_kept.append(description)
                    kept_by.add(field)
                expected = {"k.all": [description], "k.n": [number], "k.fails": None, "k.data": [payload.decode()]}
                assert values == expected.get(field, [1])
        ctypes.memset(memory, 0xEE, len(memory))
        last = eval(library.event_to_string(encode_event(b'{"n": 0}', 1), 2**64 - 1))
        assert last[1] == expected_kept
