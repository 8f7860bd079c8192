"""Bytes of events that a built library passes to the host at the C boundary."""

from __future__ import annotations

import base64
import ctypes
import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.embedded import Library
from support.events import EOF, NO_TIMESTAMP, SUCCESS, TIMEOUT, encode_event
from support.libraries import build_plugin

# Delivers one event for each item of the open parameters, with each of the three kinds of instance.
SOURCE = """
    import base64
    import json

    from falco_plugin import EOF, Plugin, source


    def items(params):
        return [(base64.b64decode(data), timestamp) for data, timestamp in json.loads(params)["items"]]


    class CustomInstance(source.BaseInstance):
        def __init__(self, items):
            super().__init__()
            self.items = list(reversed(items))

        def next_batch(self, batch):
            if not self.items:
                raise EOF
            while self.items and not batch.full:
                batch.append(*self.items.pop())
            return len(batch)


    class Bytes(Plugin):
        name = "bytes"
        id = 4711

        def open(self, params):
            pending = items(params)
            kind = json.loads(params)["kind"]
            if kind == "custom":
                return CustomInstance(pending)
            if kind == "push":
                sender, receiver = source.channel(capacity=len(pending) + 1)
                with sender:
                    for data, timestamp in pending:
                        sender.send(data, timestamp)
                return source.PushInstance(receiver)
            waiting = iter(pending)

            def pull(context, writer):
                for data, timestamp in waiting:
                    writer.write(data)
                    if timestamp is not None:
                        writer.timestamp = timestamp
                    return
                raise EOF

            return source.PullInstance(pull)
"""

# The SDK warns about small timestamps, because they look like seconds. Warnings are errors in these tests.
pytestmark = pytest.mark.filterwarnings("ignore:the timestamp:RuntimeWarning")

KINDS = ["pull", "push", "custom"]
# Large payloads repeat small ones, because Hypothesis generates small ones quickly.
PAYLOADS = st.one_of(
    st.binary(max_size=100),
    st.tuples(st.binary(min_size=1, max_size=20), st.integers(1, 400)).map(lambda parts: parts[0] * parts[1]),
)
ITEMS = st.lists(st.tuples(PAYLOADS, st.one_of(st.none(), st.integers(0, 2**64 - 2))), max_size=8)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    with Library(build_plugin(tmp_path_factory.mktemp("bytes"), SOURCE)) as library:
        yield library


def encode_params(kind: str, items: list[tuple[bytes, int | None]]) -> str:
    return json.dumps({"kind": kind, "items": [[base64.b64encode(data).decode(), time] for data, time in items]})


@pytest.mark.parametrize("kind", KINDS)
@given(items=ITEMS)
def test_event_bytes_match_documentation(library: Library, kind: str, items: list[tuple[bytes, int | None]]) -> None:
    with library.opened(encode_params(kind, items)) as instance:
        code, events = instance.drain()
    assert code == EOF
    assert events == [encode_event(data, NO_TIMESTAMP if time is None else time) for data, time in items]


@pytest.mark.parametrize("kind", KINDS)
def test_missing_timestamp_is_set_by_host(library: Library, kind: str) -> None:
    with library.opened(encode_params(kind, [(b"x", None)])) as instance:
        code, (event,) = instance.next_batch()
    assert code == SUCCESS
    assert event[:8] == b"\xff" * 8
    assert len(event) == 39


@pytest.mark.parametrize("kind", KINDS)
def test_extreme_timestamps_are_unchanged(library: Library, kind: str) -> None:
    with library.opened(encode_params(kind, [(b"", 0), (b"", 2**64 - 2)])) as instance:
        _, events = instance.drain()
    assert [event[:8] for event in events] == [b"\0" * 8, b"\xfe" + b"\xff" * 7]


@pytest.mark.parametrize("kind", KINDS)
def test_event_of_default_size_fits(library: Library, kind: str) -> None:
    largest = bytes(range(256)) * 1024
    with library.opened(encode_params(kind, [(largest, 7)])) as instance:
        _, events = instance.drain()
    assert events == [encode_event(largest, 7)]


@pytest.mark.parametrize("kind", KINDS)
def test_event_is_rewritten_after_host_changed_memory(library: Library, kind: str) -> None:
    # The items fill two batches of the default size. The second batch uses memory that the host has overwritten.
    items = [(b"%03d" % number, None if number % 2 else number) for number in range(256)]
    with library.opened(encode_params(kind, items)) as instance:
        instance.overwrite()
        code, events = instance.next_batch()
    assert code == SUCCESS
    expected = [encode_event(data, NO_TIMESTAMP if time is None else time) for data, time in items[128:]]
    assert events == expected


def test_batch_memory_is_valid_until_next_call(library: Library) -> None:
    items = [(b"first", 1), (b"second", 2)]
    with library.opened(encode_params("pull", items)) as one, library.opened(encode_params("pull", items)) as other:
        count, events = ctypes.c_uint32(), ctypes.c_void_p()
        library.api.plugin_next_batch(library.state, one.handle, ctypes.byref(count), ctypes.byref(events))
        other.drain()
        one.progress()
        event = (ctypes.c_void_p * 2).from_address(events.value)[1]
        assert ctypes.string_at(event, 44) == encode_event(b"second", 2)


@pytest.mark.parametrize("kind", KINDS)
def test_empty_source_ends_immediately_and_stays_ended(library: Library, kind: str) -> None:
    with library.opened(encode_params(kind, [])) as instance:
        assert [instance.next_batch() for _ in range(3)] == [(EOF, [])] * 3


def test_timeout_delivers_no_event(tmp_path) -> None:
    source = """
        from falco_plugin import Plugin, Timeout, source

        class Quiet(Plugin):
            name = "quiet"

            def open(self, params):
                def pull(context, writer):
                    writer.write(b"discarded")
                    raise Timeout

                return source.PullInstance(pull)
    """
    with Library(build_plugin(tmp_path, source)) as library, library.opened() as instance:
        assert [instance.next_batch() for _ in range(3)] == [(TIMEOUT, [])] * 3
