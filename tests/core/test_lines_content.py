"""Tests files other than plain text: holes, encodings, devices, FIFOs, compressed and rotated files."""

from __future__ import annotations

import gzip
import os
import shutil
import socket
import subprocess

import pytest
from support.lines import append, next_lines, to_the_end, until_none

from falco_plugin.source import EOF, LinesInstance

LONG = 60


@pytest.fixture
def log(tmp_path):
    return tmp_path / "app.log"


def messages(caplog):
    return [record.getMessage() for record in caplog.records]


# Holes


@pytest.mark.parametrize("size", [10, 448_890, 10 << 30])
@pytest.mark.parametrize("opened_by", ["path", "object"])
def test_record_after_hole_is_event(size, opened_by, log, caplog):
    with log.open("wb") as file:
        file.truncate(size)
        file.seek(size)
        file.write(b'{"user":"eve"}\nin\0side\n')
    with log.open("rb") as file:
        instance = LinesInstance(log if opened_by == "path" else file, timeout=LONG)
        assert to_the_end(instance) == [b'{"user":"eve"}', b"in\0side"]
        assert file.tell() == 0
    assert instance.position == log.stat().st_size
    [warning] = messages(caplog)
    assert warning.startswith(f"{log}: skipped {size} NUL bytes before byte {size}, a hole that copytruncate leaves")
    assert to_the_end(LinesInstance(log, start=instance.cursor)) == []


def test_truncation_is_detected_after_regrowth(log, caplog):
    log.write_bytes(b"1\n2\n")
    instance = LinesInstance(log, follow=True, timeout=0)
    assert until_none(instance) == [b"1", b"2"]
    log.write_bytes(b"3\n4\n5\n")
    assert until_none(instance) == [b"3", b"4", b"5"]
    assert messages(caplog) == [
        f"{log} was truncated, after 4 bytes of it were read: reading it from its beginning (truncations so far: 1)"
    ]


# Encodings


def test_byte_order_mark_is_removed(log):
    log.write_bytes(b'\xef\xbb\xbf{"a":1}\r\n\xef\xbb\xbf\r\n')
    instance = LinesInstance(log)
    assert to_the_end(instance) == [b'{"a":1}', b"\xef\xbb\xbf"]
    assert instance.position == 17


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_reported_once(encoding, log, caplog):
    log.write_text('{"a":1}\n' * 100, encoding=encoding)
    assert len(to_the_end(LinesInstance(log))) >= 100
    assert messages(caplog) == [f"{log} is UTF-16, which fields and rules cannot read: write it as UTF-8"]


# Kinds of files


def test_socket_path_is_error_with_advice(log):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(log))
        for follow in (False, True):
            with pytest.raises(ValueError, match="app.log: a socket cannot be opened by its path: connect to it"):
                LinesInstance(log, follow=follow)


def test_device_ends_or_is_error():
    assert to_the_end(LinesInstance(os.devnull)) == []
    with pytest.raises(ValueError, match="only a file or a FIFO can be followed: leave follow out"):
        LinesInstance(os.devnull, follow=True)


def test_line_of_fifo_ends_with_writer(log):
    os.mkfifo(log)
    instance = LinesInstance(log, follow=True, timeout=0)
    assert until_none(instance) == []
    log.write_bytes(b"one\nunterminated")
    assert until_none(instance) == [b"one", b"unterminated"]
    log.write_bytes(b'{"a":1}\n')
    assert until_none(instance) == [b'{"a":1}']


# Compressed files


def zstd(content: bytes) -> bytes:
    return subprocess.run(["zstd", "-q", "-c"], input=content, stdout=subprocess.PIPE, check=True).stdout


FORMATS = [
    pytest.param(".gz", gzip.compress, id="gzip"),
    pytest.param(
        ".zst", zstd, id="zstd", marks=pytest.mark.skipif(shutil.which("zstd") is None, reason="zstd is missing")
    ),
]
CONTENT = b"".join(b"line %d\n" % number for number in range(100_000))


@pytest.mark.parametrize(("suffix", "compress"), FORMATS)
@pytest.mark.parametrize("follow", [False, True])
def test_compressed_file_is_read_by_suffix(suffix, compress, follow, log, caplog):
    log = log.with_name(f"app.log.1{suffix}")
    log.write_bytes(compress(CONTENT) + compress(b"last"))
    instance = LinesInstance(log, follow=follow, timeout=LONG)
    assert to_the_end(instance) == [*CONTENT.splitlines(), b"last"]
    assert instance.position == len(CONTENT) + 4
    assert instance.progress()[0] == 1
    assert messages(caplog) == [f"{log} is compressed: reading it once, without following it"] * follow
    with log.open("rb") as file:
        assert to_the_end(LinesInstance(file, start=instance.cursor)) == []


@pytest.mark.parametrize(("suffix", "compress"), FORMATS)
def test_cursor_continues_in_compressed_file(suffix, compress, log):
    log = log.with_name(f"app.log.1{suffix}")
    log.write_bytes(compress(CONTENT))
    instance = LinesInstance(log, batch_size=1000)
    lines = [line for _ in range(5) for line in next_lines(instance)]
    second = to_the_end(LinesInstance(log, start=instance.cursor, timeout=LONG))
    assert lines[:4000] + second == CONTENT.splitlines()


@pytest.mark.parametrize(("suffix", "compress"), FORMATS)
@pytest.mark.parametrize("fault", ["cut", "damaged", "not compressed"])
def test_lines_before_decompression_fault_are_delivered(suffix, compress, fault, log):
    log = log.with_name(f"app.log{suffix}")
    content = compress(CONTENT)
    half = len(content) // 2
    damaged = content[:half] + b"\xff" * 16 + content[half:]
    log.write_bytes({"cut": content[:half], "damaged": damaged, "not compressed": b"plain\n"}[fault])
    instance = LinesInstance(log, timeout=LONG)
    lines = []
    with pytest.raises(OSError, match=r"app\.log\S+: the (gzip|zstd) data (ends early|is damaged).* after \d+ bytes"):
        while True:
            lines += next_lines(instance)
    with pytest.raises(EOF):
        next_lines(instance)
    if fault == "cut":
        assert len(lines) > 10_000
        assert lines == CONTENT.splitlines()[: len(lines)]
    assert (len(lines) == 0) == (fault == "not compressed")


# Rotations while the plugin is stopped


@pytest.mark.parametrize("rotation", ["rename", "copytruncate", "compress"])
@pytest.mark.parametrize("follow", [False, True])
def test_log_rotated_while_stopped_is_read_first(rotation, follow, log, caplog):
    log.write_bytes(b"one\n")
    first = LinesInstance(log)
    to_the_end(first)
    append(log, b"two\n")
    old = log.with_name("app.log.1.gz" if rotation == "compress" else "app.log.1")
    if rotation == "rename":
        log.rename(old)
    else:
        old.write_bytes(gzip.compress(log.read_bytes()) if rotation == "compress" else log.read_bytes())
        log.unlink() if rotation == "compress" else None
    log.write_bytes(b"three\n")
    second = LinesInstance(log, start=first.cursor, follow=follow, timeout=0)
    assert (until_none if follow else to_the_end)(second) == [b"two", b"three"]
    assert second.position == 6
    assert messages(caplog)[0] == (
        f"{log} was rotated while it was not read: reading first the rest of {old} after byte 4"
    )


def test_removed_link_is_read_at_its_target(tmp_path, log):
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "0.log"
    target.write_bytes(b"one\n")
    log.symlink_to(target)
    first = LinesInstance(log)
    to_the_end(first)
    append(target, b"two\n")
    log.unlink()
    assert to_the_end(LinesInstance(log, start=first.cursor)) == [b"two"]


def test_lost_lines_are_reported(log, caplog):
    log.write_bytes(b"one\n")
    first = LinesInstance(log)
    to_the_end(first)
    append(log, b"two\n")
    cursor = first.cursor
    log.unlink()
    instance = LinesInstance(log, start=cursor, follow=True, timeout=0)
    assert messages(caplog) == [
        f"{log} does not exist; waiting for it; the file that was read before is not found under another name in its "
        "folder: at least 4 bytes are lost, from byte 4 to byte 8 of the old file, and all that was added since"
    ]
    log.write_bytes(b"new\n")
    assert until_none(instance) == [b"new"]
