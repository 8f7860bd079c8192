"""Tests `EventBatch`, its writer, and `PushEvent`."""

from __future__ import annotations

import array
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falco_plugin.source import (
    BatchFullError,
    EventBatch,
    EventTooLargeError,
    PluginError,
    PullInstance,
    PushEvent,
)

NOW = 1_700_000_000_000_000_000
SOFT_BYTES = 1 << 20


def contents(batch):
    return [(batch[index].data, batch[index].timestamp) for index in range(len(batch))]


def test_default_sizes_are_128_events_of_256_kib():
    batch = EventBatch()
    assert (batch.batch_size, batch.event_size, len(batch), batch.full) == (128, 262_144, 0, False)


def test_append_keeps_bytes_order_and_timestamp():
    batch = EventBatch(4)
    batch.append(b"plain")
    batch.append(b"timed", NOW)
    batch.append((b"pair", NOW + 1))
    batch.append(PushEvent(b"event", NOW + 2))
    assert contents(batch) == [(b"plain", None), (b"timed", NOW), (b"pair", NOW + 1), (b"event", NOW + 2)]
    assert batch[0] == PushEvent(b"plain")


@pytest.mark.parametrize(
    ("item", "data"),
    [
        (b"", b""),
        (bytearray(b"\x00\xff"), b"\x00\xff"),
        (memoryview(b"view"), b"view"),
        (memoryview(b"abcdef")[::2], b"ace"),
        (array.array("H", [0x0102]), array.array("H", [0x0102]).tobytes()),
        ((bytearray(b"pair"), None), b"pair"),
    ],
    ids=["bytes", "bytearray", "memoryview", "sliced memoryview", "array", "pair"],
)
def test_append_accepts_every_buffer(item, data):
    batch = EventBatch()
    batch.append(item)
    assert contents(batch) == [(data, None)]


def test_batch_copies_payload():
    data = bytearray(b"before")
    batch = EventBatch()
    batch.append(data)
    data[:] = b"after!"
    assert batch[0].data == b"before"


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("text", r"bytes, got str: give text\.encode\(\)"),
        (("text", NOW), r"bytes, got str: give text\.encode\(\)"),
        (7, r"bytes, got int: give str\(data\)\.encode\(\)"),
        (None, "bytes, got NoneType: leave it out if there is no event"),
        ((b"one",), "got a tuple of length 1"),
        ((b"a", NOW, 3), "got a tuple of length 3"),
        (PushEvent(error=ValueError("x")), "raise the error"),
    ],
    ids=["str", "pair with str", "int", "None", "tuple of length 1", "tuple of length 3", "error"],
)
def test_append_rejects_other_types_with_advice(item, message):
    batch = EventBatch()
    with pytest.raises(TypeError, match=message):
        batch.append(item)
    assert len(batch) == 0


@pytest.mark.parametrize("item", [(b"a", NOW), PushEvent(b"a", NOW), PushEvent(b"a")], ids=repr)
def test_append_rejects_two_timestamps(item):
    batch = EventBatch()
    with pytest.raises(TypeError, match="given twice"):
        batch.append(item, NOW)
    assert len(batch) == 0


def test_append_rejects_event_above_event_size():
    batch = EventBatch(8, 4)
    batch.append(b"1234")
    with pytest.raises(EventTooLargeError) as caught:
        batch.append(b"12345")
    assert (caught.value.size, caught.value.event_size) == (5, 4)
    assert "5 bytes" in str(caught.value)
    assert "4 bytes" in str(caught.value)
    assert contents(batch) == [(b"1234", None)]
    batch.append(b"next")
    assert contents(batch) == [(b"1234", None), (b"next", None)]


def test_full_batch_rejects_events_until_cleared():
    batch = EventBatch(2)
    assert batch.extend([b"a", b"b"]) == 2
    assert batch.full
    with pytest.raises(BatchFullError):
        batch.append(b"c")
    with pytest.raises(BatchFullError), batch.writer():
        pytest.fail("a full batch opened a writer")
    assert contents(batch) == [(b"a", None), (b"b", None)]
    batch.clear()
    assert (len(batch), batch.full) == (0, False)
    batch.append(b"c")
    assert contents(batch) == [(b"c", None)]


def test_batch_is_full_at_one_mebibyte():
    batch = EventBatch(128, 4 * SOFT_BYTES)
    batch.append(b"x" * (SOFT_BYTES // 2))
    assert not batch.full
    batch.append(b"y" * (SOFT_BYTES // 2))
    assert batch.full
    with pytest.raises(BatchFullError):
        batch.append(b"")
    assert len(batch) == 2


def test_event_above_byte_bound_is_alone():
    batch = EventBatch(128, 4 * SOFT_BYTES)
    large = bytes(range(256)) * (3 * SOFT_BYTES // 256)
    batch.append(large, NOW)
    assert batch.full
    assert contents(batch) == [(large, NOW)]


def test_batch_is_indexed_like_a_sequence():
    batch = EventBatch()
    batch.extend([b"a", b"b", b"c"])
    assert [batch[index].data for index in (0, 2, -1, -3)] == [b"a", b"c", b"c", b"a"]
    for index in (3, -4, 2**62):
        with pytest.raises(IndexError):
            batch[index]
    with pytest.raises(TypeError, match="sliced"):
        batch[0:1]
    with pytest.raises(TypeError):
        batch["0"]


def test_read_events_outlive_clear():
    batch = EventBatch()
    batch.append(b"kept", NOW)
    event = batch[0]
    batch.clear()
    batch.append(b"else")
    assert (event.data, event.timestamp) == (b"kept", NOW)


@pytest.mark.parametrize("method", ["append", "write", "reserve"])
def test_cleared_events_leave_no_bytes(method):
    batch = EventBatch()

    def fill(size):
        batch.clear()
        if method == "append":
            batch.append(bytes(size))
            return
        with batch.writer() as writer:
            if method == "write":
                writer.write(bytes(size))
            else:
                writer.reserve(size)[:] = bytes(size)
                writer.commit(size)

    fill(1000)
    before = sys.getallocatedblocks()
    for size in range(300, 1000):
        fill(size)
    assert sys.getallocatedblocks() - before < 100


class TestExtend:
    def test_accepts_any_iterable(self):
        batch = EventBatch()
        assert batch.extend([b"a", (b"b", NOW), PushEvent(b"c")]) == 3
        assert batch.extend((b"d", b"e")) == 2
        assert batch.extend(bytes([65 + n]) for n in range(2)) == 2
        assert batch.extend([]) == 0
        assert [data for data, _ in contents(batch)] == [b"a", b"b", b"c", b"d", b"e", b"A", b"B"]

    @pytest.mark.parametrize("make_iterable", [list, tuple, iter])
    def test_stops_at_full_batch_and_returns_count(self, make_iterable):
        batch = EventBatch(3)
        assert batch.extend(make_iterable([b"a", b"b", b"c", b"d"])) == 3
        assert batch.extend(make_iterable([b"e"])) == 0
        assert [data for data, _ in contents(batch)] == [b"a", b"b", b"c"]

    def test_consumes_only_appended_items(self):
        items = iter([b"a", b"b", b"c"])
        batch = EventBatch(2)
        assert batch.extend(items) == 2
        assert batch.extend(items) == 0
        assert list(items) == [b"c"]

    @pytest.mark.parametrize("make_iterable", [list, iter])
    @pytest.mark.parametrize(("bad_item", "error"), [(b"too large", EventTooLargeError), ("text", TypeError)])
    def test_error_counts_items_before_bad_item(self, make_iterable, bad_item, error):
        batch = EventBatch(8, 4)
        batch.append(b"old")
        with pytest.raises(error) as caught:
            batch.extend(make_iterable([b"a", b"b", bad_item, b"c"]))
        assert caught.value.taken == 2
        assert [data for data, _ in contents(batch)] == [b"old", b"a", b"b"]

    def test_propagates_exception_of_iterator(self):
        def items():
            yield b"a"
            raise OSError("disk gone")

        batch = EventBatch()
        with pytest.raises(OSError, match="disk gone") as caught:
            batch.extend(items())
        assert caught.value.taken == 1
        assert contents(batch) == [(b"a", None)]

    def test_tolerates_items_that_change_the_batch(self):
        batch = EventBatch(4)

        def items():
            yield b"a"
            batch.clear()
            yield b"b"

        assert batch.extend(items()) == 2
        assert contents(batch) == [(b"b", None)]

    def test_rejects_non_iterable(self):
        with pytest.raises(TypeError):
            EventBatch().extend(5)

    @given(
        events=st.lists(st.tuples(st.binary(max_size=12), st.none() | st.integers(NOW, 2**64 - 2)), max_size=12),
        batch_size=st.integers(1, 12),
        event_size=st.integers(1, 12),
    )
    def test_extend_equals_repeated_append(self, events, batch_size, event_size):
        appended, extended = EventBatch(batch_size, event_size), EventBatch(batch_size, event_size)
        count = 0
        failed = False
        try:
            for event in events:
                if appended.full:
                    break
                appended.append(event)
                count += 1
        except EventTooLargeError:
            failed = True
        try:
            assert extended.extend(events) == count
            assert not failed
        except EventTooLargeError as error:
            assert failed
            assert error.taken == count
        assert contents(appended) == contents(extended) == events[:count]


class TestWriter:
    def test_event_is_added_on_normal_exit(self):
        batch = EventBatch()
        with batch.writer() as writer:
            assert writer.write(b"data") == 4
            writer.timestamp = NOW
        assert contents(batch) == [(b"data", NOW)]

    def test_event_is_dropped_if_block_raises(self):
        batch = EventBatch()
        batch.append(b"before")
        with pytest.raises(KeyError), batch.writer() as writer:
            writer.write(b"half an ev")
            raise KeyError("cannot continue")
        assert contents(batch) == [(b"before", None)]
        batch.append(b"after")
        assert contents(batch) == [(b"before", None), (b"after", None)]

    def test_writes_are_joined_to_one_event(self):
        batch = EventBatch()
        with batch.writer() as writer:
            assert [writer.write(part) for part in (b"one ", b"", bytearray(b"two "), memoryview(b"three"))] == [
                4,
                0,
                4,
                5,
            ]
            assert len(writer) == 13
        assert contents(batch) == [(b"one two three", None)]

    def test_writing_nothing_makes_an_empty_event(self):
        batch = EventBatch()
        with batch.writer() as writer:
            assert writer.timestamp is None
        assert contents(batch) == [(b"", None)]

    def test_write_rejects_str(self):
        batch = EventBatch()
        with batch.writer() as writer:
            with pytest.raises(TypeError, match="encode"):
                writer.write("text")
            writer.write(b"bytes")
        assert contents(batch) == [(b"bytes", None)]

    def test_timestamp_can_be_read_and_reset(self):
        batch = EventBatch()
        with batch.writer() as writer:
            writer.timestamp = NOW
            assert writer.timestamp == NOW
            with pytest.raises(TypeError):
                writer.timestamp = 1.5
            assert writer.timestamp == NOW
            writer.timestamp = None
        assert contents(batch) == [(b"", None)]

    def test_too_large_event_is_discarded(self):
        batch = EventBatch(8, 6)
        batch.append(b"before")
        with batch.writer() as writer:
            writer.write(b"1234")
            with pytest.raises(EventTooLargeError) as caught:
                writer.write(b"567")
        assert (caught.value.size, caught.value.event_size) == (7, 6)
        assert contents(batch) == [(b"before", None)]

    def test_rejected_event_can_be_rewritten(self):
        batch = EventBatch(8, 6)
        with batch.writer() as writer:
            with pytest.raises(EventTooLargeError):
                writer.write(b"too large")
            writer.write(b"short")
        assert contents(batch) == [(b"short", None)]

    def test_writer_raises_after_its_block(self):
        batch = EventBatch()
        with batch.writer() as writer:
            writer.write(b"data")
        for use in (
            lambda: writer.write(b"late"),
            lambda: writer.reserve(1),
            lambda: writer.commit(0),
            lambda: writer.timestamp,
            lambda: setattr(writer, "timestamp", NOW),
            lambda: len(writer),
        ):
            with pytest.raises(PluginError, match="only during the call"):
                use()
        assert contents(batch) == [(b"data", None)]

    def test_writer_raises_on_other_thread(self, in_thread):
        batch = EventBatch()
        with batch.writer() as writer:
            with pytest.raises(PluginError, match="only on the thread"):
                in_thread(lambda: writer.write(b"foreign")).result()
            writer.write(b"own")
        assert contents(batch) == [(b"own", None)]

    def test_batch_survives_block_left_by_other_thread(self, in_thread):
        instance = PullInstance(lambda context, writer: writer.write(b"pulled"), batch_size=2)
        batch = EventBatch()
        block = batch.writer()
        writer = block.__enter__()
        for use in (lambda: block.__exit__(None, None, None), lambda: instance.next_batch(batch)):
            with pytest.raises(PluginError, match="only on the thread"):
                in_thread(use).result()
        writer.write(b"own")
        block.__exit__(None, None, None)
        assert contents(batch) == [(b"own", None)]

    @pytest.mark.parametrize(
        "use",
        [
            lambda batch: batch.append(b"x"),
            lambda batch: batch.extend([b"x"]),
            lambda batch: batch.clear(),
            lambda batch: len(batch),
            lambda batch: batch[0],
            lambda batch: batch.full,
            lambda batch: batch.writer().__enter__(),
        ],
        ids=["append", "extend", "clear", "len", "index", "full", "writer"],
    )
    def test_batch_is_unusable_while_writer_is_open(self, use):
        batch = EventBatch()
        batch.append(b"before")
        with batch.writer() as writer:
            with pytest.raises(PluginError, match="writer of this batch is open"):
                use(batch)
            writer.write(b"event")
        assert contents(batch) == [(b"before", None), (b"event", None)]

    def test_open_writer_loses_event_if_instance_fills_batch(self):
        # Otherwise a half-written event could reach the host.
        instance = PullInstance(lambda context, writer: writer.write(b"pulled"), batch_size=2)
        batch = EventBatch(1)
        with pytest.raises(PluginError, match="the event was dropped"), batch.writer() as writer:
            writer.write(b"half")
            assert instance.next_batch(batch) == 1
            with pytest.raises(PluginError):
                writer.write(b" more")
        assert contents(batch) == [(b"pulled", None)]


class TestReserve:
    def test_commit_keeps_first_bytes_of_reserve(self):
        batch = EventBatch()
        with batch.writer() as writer:
            view = writer.reserve(10)
            assert (len(view), view.readonly, view.format) == (10, False, "B")
            view[:5] = b"hello"
            assert writer.commit(5) == 5
            assert len(writer) == 5
        assert contents(batch) == [(b"hello", None)]

    def test_reserve_can_be_mixed_with_write(self):
        batch = EventBatch()
        with batch.writer() as writer:
            writer.write(b"a")
            for part in (b"bc", b"defg", b"h"):
                writer.reserve(4)[: len(part)] = part
                writer.commit(len(part))
            writer.write(b"i")
        assert contents(batch) == [(b"abcdefghi", None)]

    def test_kept_view_cannot_change_events(self):
        batch = EventBatch()
        views = []
        for number in range(3):
            with batch.writer() as writer:
                view = writer.reserve(4)
                view[:] = b"%04d" % number
                writer.commit(4)
                view[:] = b"evil"
                views.append(view)
        expected = [(b"0000", None), (b"0001", None), (b"0002", None)]
        assert contents(batch) == expected
        for view in views:
            view[:] = b"EVIL"
        assert contents(batch) == expected
        batch.clear()
        for view in views:
            view[:] = b"Evil"
        assert [bytes(view) for view in views] == [b"Evil"] * 3

    def test_views_of_reserves_do_not_share_memory(self):
        batch = EventBatch()
        with batch.writer() as writer:
            first = writer.reserve(4)
            first[:] = b"1111"
            second = writer.reserve(4)
            second[:] = b"2222"
            assert bytes(first) == b"1111"
            writer.commit(4)
        assert contents(batch) == [(b"2222", None)]

    def test_uncommitted_bytes_are_not_in_event(self):
        batch = EventBatch()
        with batch.writer() as writer:
            writer.write(b"written")
            writer.reserve(5)[:] = b"gone!"
        assert contents(batch) == [(b"written", None)]

    def test_commit_requires_new_reserve(self):
        batch = EventBatch()
        with batch.writer() as writer:
            with pytest.raises(PluginError, match="reserve first"):
                writer.commit(1)
            writer.reserve(2)[:] = b"ab"
            with pytest.raises(ValueError, match="only 2 were reserved"):
                writer.commit(3)
            assert writer.commit(2) == 2
            with pytest.raises(PluginError, match="reserve first"):
                writer.commit(2)
        # A reserve belongs to one event and ends with it.
        with batch.writer() as writer:
            writer.reserve(2)
        with batch.writer() as writer, pytest.raises(PluginError, match="reserve first"):
            writer.commit(2)
        assert contents(batch) == [(b"ab", None), (b"", None), (b"", None)]

    def test_reserve_rejects_more_than_event_size(self):
        batch = EventBatch(8, 4)
        with batch.writer() as writer:
            writer.write(b"12")
            with pytest.raises(EventTooLargeError) as caught:
                writer.reserve(3)
        assert (caught.value.size, caught.value.event_size) == (5, 4)
        assert len(batch) == 0

    @pytest.mark.parametrize(("size", "error"), [(-1, ValueError), (2**70, ValueError), (1.0, TypeError)])
    def test_reserve_rejects_invalid_sizes(self, size, error):
        batch = EventBatch()
        with batch.writer() as writer:
            with pytest.raises(error, match="size must be"):
                writer.reserve(size)
            writer.reserve(4)
            with pytest.raises(error, match="size must be"):
                writer.commit(size)

    def test_reserve_accepts_zero_bytes(self):
        batch = EventBatch()
        with batch.writer() as writer:
            assert len(writer.reserve(0)) == 0
            assert writer.commit(0) == 0
        assert contents(batch) == [(b"", None)]

    @given(st.lists(st.tuples(st.booleans(), st.booleans(), st.binary(max_size=40)), max_size=12))
    def test_writes_and_commits_make_equal_events(self, parts):
        batch = EventBatch()
        kept = []
        with batch.writer() as writer:
            for reserves, keeps, data in parts:
                if not reserves:
                    writer.write(data)
                    continue
                view = writer.reserve(len(data) + 3)
                view[: len(data)] = data
                writer.commit(len(data))
                if keeps:
                    kept.append(view)
                del view
        assert contents(batch) == [(b"".join(data for _, _, data in parts), None)]


def test_repr_shows_content():
    batch = EventBatch(4, 10)
    batch.append(b"a")
    assert repr(batch) == "EventBatch(batch_size=4, event_size=10, events=1)"
    with batch.writer():
        assert "elsewhere" in repr(batch)


class TestPushEvent:
    def test_requires_exactly_one_of_data_and_error(self):
        error = ValueError("x")
        event, failure = PushEvent(bytearray(b"data"), NOW), PushEvent(error=error)
        assert (event.data, event.timestamp, event.error) == (b"data", NOW, None)
        assert (failure.data, failure.timestamp) == (None, None)
        assert failure.error is error
        for arguments in ({}, {"data": b"", "error": error}, {"timestamp": NOW}):
            with pytest.raises(ValueError, match="exactly one"):
                PushEvent(**arguments)
        with pytest.raises(ValueError, match="no timestamp"):
            PushEvent(None, NOW, error=error)

    def test_accepts_exception_class(self):
        assert isinstance(PushEvent(error=KeyError).error, KeyError)

    def test_rejects_non_exception(self):
        with pytest.raises(TypeError, match="must be an exception, got str"):
            PushEvent(error="failed")

    def test_is_frozen_and_compares_by_value(self):
        event = PushEvent(b"a", NOW)
        for name in ("data", "timestamp", "error"):
            with pytest.raises(AttributeError):
                setattr(event, name, None)
        assert event == PushEvent(b"a", NOW)
        assert hash(event) == hash(PushEvent(b"a", NOW))
        assert event != PushEvent(b"a")
        assert event != PushEvent(b"b", NOW)
        assert event != b"a"
        assert repr(event) == f"PushEvent(b'a', {NOW})"
