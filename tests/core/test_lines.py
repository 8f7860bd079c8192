"""Tests lines of files, pipes and sockets: their contents, their inputs, and when the host acknowledges them."""

from __future__ import annotations

import gc
import io
import os
import socket
import subprocess
import sys
import tempfile
import weakref
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.lines import append, next_lines, to_the_end, until_none

from falco_plugin.source import (
    EOF,
    BatchFullError,
    Context,
    EventBatch,
    Instance,
    LinesInstance,
    Timeout,
)

CONTENT = b"one\n\ntwo\r\n\xff\x00\nlast"
LINES = [b"one", b"", b"two", b"\xff\x00", b"last"]
LONG = 60


def split(content, separator=b"\n"):
    """Returns the lines that the SDK should find in `content`."""
    lines = content.split(separator)
    lines = lines[:-1] if lines[-1] == b"" else lines
    return [line.removesuffix(b"\r") for line in lines] if separator == b"\n" else lines


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "app.log"
    path.write_bytes(CONTENT)
    return path


# Contents of lines


@given(
    content=st.lists(st.sampled_from([b"a", b"b", b"\n", b"\r\n"])).map(b"".join),
    separator=st.sampled_from([b"\n", b"\r\n", b"a", b"ab", b"\n\n"]),
    batch_size=st.integers(1, 5),
    event_size=st.integers(1, 10),
)
def test_lines_equal_bytes_split(content, separator, batch_size, event_size):
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(content)
        instance = LinesInstance(
            file.name, separator=separator, batch_size=batch_size, event_size=event_size, timeout=LONG
        )
        lines = [line[:event_size] for line in split(content, separator)]
        for start in range(0, len(lines), batch_size):
            assert next_lines(instance) == lines[start : start + batch_size]
        with pytest.raises(EOF):
            next_lines(instance)
        assert instance.position == len(content)


def test_lines_of_many_lengths_arrive_once_in_order(tmp_path):
    lines = [b"%d %s" % (number, b"x" * (number * 7919 % 5000)) for number in range(5000)]
    (tmp_path / "log").write_bytes(b"".join(line + b"\n" for line in lines))
    assert to_the_end(LinesInstance(tmp_path / "log", timeout=LONG)) == lines


def test_too_long_line_is_cut_and_logged(tmp_path, caplog):
    log = tmp_path / "log"
    with log.open("wb") as file:
        file.write(b"short\nx")
        file.truncate(50 << 20)
        file.seek(0, os.SEEK_END)
        file.write(b"\nnext\n" + b"y" * 101 + b"\n")
    instance = LinesInstance(log, event_size=100, timeout=LONG)
    assert to_the_end(instance) == [b"short", b"x" + b"\x00" * 99, b"next", b"y" * 100]
    assert instance.position == log.stat().st_size
    [warning] = [record.getMessage() for record in caplog.records]
    assert warning.startswith(f"{log}: the line at byte 6 is longer than the event size of 100 bytes")


@pytest.mark.parametrize(
    ("line", "timestamp"),
    [
        (b'{"at": {"time": "2026-01-01T00:00:00.5Z"}}', 1_767_225_600_500_000_000),
        (b'{"at": {"time": "2026-01-01T01:00:00+01:00"}, "more": [1]}', 1_767_225_600_000_000_000),
        (b'{"at": {"time": "2026-01-01 01:00:00,5 +0100"}}', 1_767_225_600_500_000_000),
        (b'{"at": {"time": "2026-01-01 00:00:00"}}', 1_767_225_600_000_000_000),
        (b'{"at": {"time": 1767225600.25}}', 1_767_225_600_250_000_000),
        (b'{"at": {"time": 1767225600250}}', 1_767_225_600_250_000_000),
        (b'{"at": {"time": "1767225600.25"}}', 1_767_225_600_250_000_000),
        (b'{"at": {"time": "yesterday"}}', None),
        (b'{"at": {"time": -1}}', None),
        (b'{"at": {"time": null}}', None),
        (b'{"at": {}}', None),
        (b"no JSON", None),
        (b"", None),
    ],
)
def test_line_gets_timestamp_of_its_json(log, line, timestamp):
    log.write_bytes(line + b"\n" + b'{"at": {"time": 1}}')
    instance = LinesInstance(log, timestamp="/at/time")
    instance.next_batch(instance.events)
    assert [instance.events[index].timestamp for index in range(2)] == [timestamp, 1_000_000_000]


def test_line_has_no_timestamp_by_default(log):
    log.write_bytes(b'{"time": 1}')
    instance = LinesInstance(log)
    instance.next_batch(instance.events)
    assert instance.events[0].timestamp is None


# Kinds of inputs


def open_pipe(content):
    read, write = os.pipe()
    os.write(write, content)
    os.close(write)
    return os.fdopen(read, "rb")


def open_socket(content):
    read, write = socket.socketpair()
    write.sendall(content)
    write.close()
    return read


def start_program(content):
    program = subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.stdout.buffer.write({content!r})"], stdout=subprocess.PIPE
    )
    program.wait()
    return program.stdout


@pytest.mark.parametrize(
    "open_as",
    [
        pytest.param(str, id="str"),
        pytest.param(os.fsencode, id="bytes"),
        pytest.param(Path, id="path"),
        pytest.param(lambda path: path.open("rb"), id="binary-file"),
        pytest.param(lambda path: path.open("rb", buffering=0), id="raw-file"),
        pytest.param(lambda path: path.open(encoding="latin-1"), id="text-file"),
        pytest.param(lambda path: open_pipe(path.read_bytes()), id="pipe"),
        pytest.param(lambda path: open_socket(path.read_bytes()), id="socket"),
        pytest.param(lambda path: start_program(path.read_bytes()), id="program"),
    ],
)
def test_file_objects_are_read_even_if_closed(open_as, log):
    file = open_as(log)
    instance = LinesInstance(file, timeout=LONG)
    assert isinstance(instance, Instance)
    if hasattr(file, "close"):
        file.close()
    assert to_the_end(instance) == LINES


def test_file_object_keeps_position_and_flags(log):
    with log.open("rb") as file:
        assert file.readline() == b"one\n"
        assert to_the_end(LinesInstance(file)) == LINES
        assert to_the_end(LinesInstance(file, start=file.tell())) == LINES[1:]
        assert file.readline() == b"\n"
    read, write = socket.socketpair()
    for timeout in (None, 0):
        read.settimeout(timeout)
        write.send(b"line\n")
        assert until_none(LinesInstance(read, timeout=0)) == [b"line"]
        assert os.get_blocking(read.fileno()) is (timeout is None)
    read.close()
    write.close()


def test_fifo_opens_without_writer_and_ends_with_writers(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    instance = LinesInstance(fifo, timeout=0)
    for _ in range(3):
        assert until_none(instance) == []
    with fifo.open("wb", buffering=0) as writer:
        writer.write(CONTENT)
        assert until_none(instance) == LINES[:-1]
    assert to_the_end(instance) == LINES[-1:]


def test_available_lines_are_delivered_immediately(in_thread):
    read, write = socket.socketpair()
    instance = LinesInstance(read, timeout=LONG)
    waiting = in_thread(lambda: next_lines(instance))
    write.send(b"one\n")
    assert waiting.result() == [b"one"]
    write.send(b"two\nthree\nfo")
    assert next_lines(instance) == [b"two", b"three"]
    read.close()
    write.close()


@pytest.mark.parametrize("timeout", [0, 0.01])
def test_silent_stream_times_out(timeout):
    read, write = os.pipe()
    with os.fdopen(read, "rb") as file, os.fdopen(write, "wb"):
        instance = LinesInstance(file, timeout=timeout)
        for _ in range(3):
            with pytest.raises(Timeout):
                next_lines(instance)


@pytest.mark.parametrize("kind", ["pipe", "followed", "missing"])
@pytest.mark.parametrize("stop", ["instance-context", "parent-context", "close"])
def test_cancel_wakes_waiting_call(kind, stop, tmp_path, in_thread):
    read, write = os.pipe()
    (tmp_path / "followed").write_bytes(b"")
    parent = Context()
    with os.fdopen(read, "rb") as pipe, os.fdopen(write, "wb"):
        file = pipe if kind == "pipe" else tmp_path / kind
        instance = LinesInstance(file, follow=kind != "pipe", context=parent, timeout=LONG)
        waiting = in_thread(lambda: next_lines(instance))
        stops = {"instance-context": instance.context.cancel, "parent-context": parent.cancel, "close": instance.close}
        stops[stop]()
        with pytest.raises(EOF):
            waiting.result()
        with pytest.raises(EOF):
            next_lines(instance)


def test_broken_connection_is_error_after_its_lines():
    read, write = socket.socketpair()
    write.send(b"one\n")
    read.send(b"never read")
    write.close()
    instance = LinesInstance(read, timeout=LONG)
    name = f"descriptor {read.fileno()}"
    read.close()
    assert next_lines(instance) == [b"one"]
    with pytest.raises(ConnectionResetError) as caught:
        next_lines(instance)
    assert caught.value.filename == name
    with pytest.raises(EOF):
        next_lines(instance)


# Positions


def test_position_advances_at_next_call_of_host(log):
    instance = LinesInstance(log, batch_size=2)
    assert (instance.position, instance.progress()) == (0, (0.0, "0 B of 17 B"))
    next_lines(instance)
    assert instance.position == 0
    next_lines(instance)
    assert (instance.position, instance.progress()) == (5, (5 / 17, "5 B of 17 B"))
    to_the_end(instance)
    assert (instance.position, instance.progress()) == (17, (1.0, "17 B of 17 B"))


def test_stream_counts_bytes_without_cursor():
    with open_pipe(b"x" * 1023 + b"\n" + b"y" * 511 + b"\n") as pipe:
        instance = LinesInstance(pipe, batch_size=1)
    to_the_end(instance)
    assert (instance.position, instance.cursor, instance.progress()) == (1536, None, (0.0, "1.5 KiB"))


def test_user_progress_replaces_default(log):
    instance = LinesInstance(log, progress=lambda: (0.5, "half"))
    assert instance.progress() == (0.5, "half")


@pytest.mark.parametrize("name", ["position", "cursor"])
@pytest.mark.parametrize("calls", range(5))
def test_start_at_position_loses_nothing(name, calls, log):
    first = LinesInstance(log, batch_size=1)
    batches = [next_lines(first) for _ in range(calls)]
    second = LinesInstance(log, start=getattr(first, name))
    # The host did not make another call, so the last batch is not acknowledged.
    assert [line for lines in batches[:-1] for line in lines] + to_the_end(second) == LINES


def test_cursor_is_valid_after_growth_and_restart(log):
    log.write_bytes(b"one\n")
    instance = LinesInstance(log)
    assert to_the_end(instance) == [b"one"]
    instance.close()
    append(log, b"two\n")
    assert to_the_end(LinesInstance(log, start=instance.cursor)) == [b"two"]


@pytest.mark.parametrize("content", [b"other\nlines\nthan before\n", b"one\n", b""], ids=["other", "shorter", "empty"])
def test_cursor_of_other_file_starts_at_beginning(content, log, caplog):
    instance = LinesInstance(log)
    to_the_end(instance)
    log.write_bytes(content)
    assert to_the_end(LinesInstance(log, start=instance.cursor)) == split(content)
    [warning] = [record.getMessage() for record in caplog.records]
    assert warning.startswith(f"{log} is not the file")


def test_start_at_end_skips_only_whole_lines(log):
    instance = LinesInstance(log, start="end", follow=True, timeout=0)
    assert until_none(instance) == []
    append(log, b" of them\nnew\n")
    assert until_none(instance) == [b"last of them", b"new"]
    assert to_the_end(LinesInstance(log, start="end")) == []


# Following


@pytest.mark.parametrize("opened_by", ["path", "file"])
def test_growing_file_delivers_complete_lines(opened_by, log):
    with log.open("rb") as file:
        instance = LinesInstance(log if opened_by == "path" else file, follow=True, timeout=0)
    assert until_none(instance) == LINES[:-1]
    append(log, b" line\nanother")
    assert until_none(instance) == [b"last line"]
    append(log, b"\n")
    assert until_none(instance) == [b"another"]


def test_waiting_call_sees_new_lines(log, in_thread):
    instance = LinesInstance(log, follow=True, start="end", timeout=LONG)
    waiting = in_thread(lambda: next_lines(instance))
    append(log, b"\n")
    assert waiting.result() == [b"last"]


def test_rotated_file_is_read_to_end_with_its_cursor(log):
    log.write_bytes(b"1\n2\n3")
    instance = LinesInstance(log, follow=True, batch_size=2, timeout=0)
    assert next_lines(instance) == [b"1", b"2"]
    old = log.rename(log.with_suffix(".1"))
    assert until_none(instance) == []
    log.touch()
    assert until_none(instance) == []
    # The writer still writes to the rotated file.
    append(old, b"33\n4")
    log.write_bytes(b"5\n6\n")
    assert next_lines(instance) == [b"333"]
    assert instance.position == 4
    assert next_lines(instance) == [b"4", b"5"]
    assert instance.position == 8
    assert to_the_end(LinesInstance(old, start=instance.cursor)) == [b"4"]
    assert next_lines(instance) == [b"6"]
    assert instance.position == 2
    assert to_the_end(LinesInstance(log, start=instance.cursor)) == [b"6"]


def test_truncated_file_is_read_from_beginning_and_logged(log, caplog):
    instance = LinesInstance(log, follow=True, timeout=0)
    until_none(instance)
    log.write_bytes(b"new\n")
    # The unterminated rest of the old content is delivered as a line.
    assert until_none(instance) == [b"last", b"new"]
    assert [record.getMessage().partition(",")[0] for record in caplog.records] == [f"{log} was truncated"]


@pytest.mark.parametrize("start", [0, "end", 3])
def test_missing_file_is_awaited_and_logged(start, log, caplog):
    log.unlink()
    instance = LinesInstance(log, follow=True, start=start, timeout=0)
    assert [record.getMessage() for record in caplog.records] == [f"{log} does not exist; waiting for it"]
    assert (until_none(instance), instance.cursor) == ([], None)
    log.write_bytes(b"on\none\n")
    assert until_none(instance) == ([b"one"] if start == 3 else [b"on", b"one"])


def test_relative_path_survives_chdir(log, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    instance = LinesInstance(log.name, follow=True, timeout=0)
    assert len(until_none(instance)) == 4
    monkeypatch.chdir("/")
    log.unlink()
    log.write_bytes(b"new\n")
    assert until_none(instance) == [b"last", b"new"]


def test_followed_fifo_outlives_its_writers(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    instance = LinesInstance(fifo, follow=True, timeout=0)
    for line in (b"one", b"two"):
        fifo.write_bytes(line + b"\n")
        assert until_none(instance) == [line]


# Invalid arguments


class WithoutDescriptor:
    def fileno(self):
        raise OSError("no descriptor")


@pytest.mark.parametrize(
    ("file", "options", "error", "message"),
    [
        ("missing", {}, FileNotFoundError, "No such file or directory: '.*missing'"),
        ("", {}, FileNotFoundError, "No such file or directory: ''$"),
        ("", {"follow": True}, FileNotFoundError, "No such file or directory: ''$"),
        (".", {}, IsADirectoryError, "Is a directory"),
        (".", {"follow": True}, IsADirectoryError, "Is a directory"),
        ("missing/app.log", {}, FileNotFoundError, "No such file"),
        ("app.log/more", {"follow": True}, NotADirectoryError, "Not a directory"),
        (WithoutDescriptor(), {}, OSError, "no descriptor"),
        (io.BytesIO(b"line"), {}, io.UnsupportedOperation, "fileno"),
        (3, {}, TypeError, r"^file must be a path or an object with fileno\(\), got int$"),
        (None, {}, TypeError, "^file must be a path"),
        ("app.log", {"separator": b""}, ValueError, "^separator must have at least one byte$"),
        ("app.log", {"separator": "\n"}, TypeError, "^separator must be bytes, got str$"),
        ("app.log", {"timestamp": "time"}, ValueError, '^timestamp: the pointer "time" must begin with "/"'),
        ("app.log", {"timestamp": "/a/*"}, ValueError, "must lead to one value"),
        ("app.log", {"timestamp": "/{key}"}, ValueError, "must lead to one value"),
        ("app.log", {"timestamp": b"/time"}, TypeError, "^timestamp must be a JSON pointer"),
        ("app.log", {"start": -1}, ValueError, "^start must be 0 to 9223372036854775807, got -1$"),
        ("app.log", {"start": 2**63}, ValueError, "^start must be 0 to"),
        ("app.log", {"start": 1.5}, TypeError, "^start must be an int"),
        *[
            ("app.log", {"start": start}, ValueError, '^start must be a number of bytes, "end", or the cursor')
            for start in ("", "begin", "5", "5:", ":5", "-5:5", "5:x", "5:00000000000000000", "+5:5")
        ],
        ("app.log", {"follow": 1}, TypeError, "follow"),
    ],
)
def test_invalid_arguments_are_named(file, options, error, message, log, monkeypatch):
    monkeypatch.chdir(log.parent)
    with pytest.raises(error, match=message):
        LinesInstance(file, **options)


def test_unreadable_or_unfollowable_file_is_error(log):
    with log.open("ab") as file, pytest.raises(OSError, match="Bad file descriptor") as caught:
        LinesInstance(file)
    assert caught.value.filename == str(log)
    read, write = socket.socketpair(type=socket.SOCK_DGRAM)
    with read, write, pytest.raises(ValueError, match="a datagram socket has no lines"):
        LinesInstance(read)
    with pytest.raises(OSError, match="Bad file descriptor"):
        LinesInstance(read)
    for options in ({"start": 1}, {"start": "end"}, {"start": "1:0000000000000001"}):
        with open_pipe(b"") as pipe, pytest.raises(ValueError, match="start requires a regular file"):
            LinesInstance(pipe, **options)
    with open_socket(b"") as end, pytest.raises(ValueError, match="only a file or a FIFO can be followed"):
        LinesInstance(end, follow=True)


# The instance


def test_full_batch_is_rejected_without_loss(log):
    instance = LinesInstance(log, batch_size=2)
    instance.next_batch(instance.events)
    with pytest.raises(BatchFullError):
        instance.next_batch(instance.events)
    assert to_the_end(instance) == LINES[2:]


def test_batch_set_before_limits_line_length(log):
    instance = LinesInstance(log)
    instance.events = EventBatch(3, 2)
    assert to_the_end(instance) == [line[:2] for line in LINES]


def test_close_closes_stream_then_calls_callback_once():
    read, write = os.pipe()
    calls = []
    with os.fdopen(read, "rb") as file:
        instance = LinesInstance(file, close=lambda: calls.append(instance.context.cancelled))
    instance.close()
    instance.close()
    assert calls == [True]
    with pytest.raises(BrokenPipeError):
        os.write(write, b"x")
    os.close(write)


def test_instance_in_cycle_is_collected(log):
    class Owner:
        def close(self):
            pass

    owner = Owner()
    owner.instance = LinesInstance(log, close=owner.close)
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None
