"""Logs that are not plain lines of a regular file: holes, marks, compression, FIFOs, and files that are lost."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from falco_plugin.testing import RunningPlugin, collect, run

StartPlugin = Callable[..., RunningPlugin]
Follow = Callable[..., RunningPlugin]

TAIL = Path(__file__).parent
TO_THE_END = {"follow": False}


@pytest.fixture
def follow(start_plugin: StartPlugin) -> Follow:
    def follow(params: object, **config: object) -> RunningPlugin:
        return start_plugin(TAIL, str(params), config={"poll_interval": 0.01, "rotated_wait": 0.1, **config})

    return follow


def next_lines(host: RunningPlugin, count: int) -> list[bytes]:
    return [host.next_event().data for _ in range(count)]


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def wait_for_offset(position_file: Path, offset: int) -> None:
    end = time.monotonic() + 20
    while True:
        if position_file.exists() and [p["offset"] for p in json.loads(position_file.read_bytes())["files"]] == [
            offset
        ]:
            return
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


# Holes


@pytest.mark.parametrize("size", [10, 448_890, 10 << 30])
def test_a_record_behind_a_hole_is_an_event(size: int, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as file:
        file.truncate(size)
        file.seek(size)
        file.write(b'{"user":"eve"}\nin\0side\n\0\0next\n')
    ran = run(TAIL, str(log), config=TO_THE_END, fields=["tail.value[/user]"])
    assert [event.data for event in ran.events] == [b'{"user":"eve"}', b"in\0side", b"next"]
    assert ran.events[0].fields == {"tail.value[/user]": "eve"}
    [report] = [line.text for line in ran.log if "NUL" in line.text]
    assert f"{log}: passed over {size} NUL bytes in front of a line, a hole that copytruncate leaves" in report


def test_a_writer_that_does_not_append_is_followed_through_truncations(tmp_path: Path, follow: Follow) -> None:
    log, positions = tmp_path / "log", tmp_path / "positions"
    host = follow(log, position_file=str(positions))
    with log.open("wb", buffering=0) as writer:
        for number in range(3):
            lines = [b"%d of %d" % (line, number) for line in range(10_000)]
            writer.write(b"\n".join(lines) + b"\n")
            assert next_lines(host, len(lines)) == lines
            os.truncate(log, 0)
        writer.write(b"last\n")
        assert next_lines(host, 1) == [b"last"]
        wait_for_offset(positions, writer.tell())
        host.stop()
        writer.write(b"more\n")
        assert next_lines(follow(log, position_file=str(positions)), 1) == [b"more"]


def test_nuls_at_the_end_are_not_an_event(tmp_path: Path, follow: Follow) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"one\n" + b"\0" * 1_000_000)
    assert [event.data for event in collect(TAIL, str(log), config=TO_THE_END)] == [b"one"]
    host = follow(log)
    assert next_lines(host, 1) == [b"one"]
    append(log, b"two\n")
    assert next_lines(host, 1) == [b"two"]


# Encodings


def test_a_byte_order_mark_is_left_out_and_positions_stay_right(tmp_path: Path, follow: Follow) -> None:
    log, positions = tmp_path / "log", tmp_path / "positions"
    log.write_bytes(b"\xef\xbb")
    host = follow(log, position_file=str(positions))
    append(log, b"\xbfone\r\n\xef\xbb\xbftwo\r\n")
    assert next_lines(host, 2) == [b"one", b"\xef\xbb\xbftwo"]
    wait_for_offset(positions, 16)
    host.stop()
    append(log, b"three\n")
    assert next_lines(follow(log, position_file=str(positions)), 1) == [b"three"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_named_once(encoding: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text('{"a":1}\n' * 10_000, encoding=encoding)
    ran = run(TAIL, str(log), config=TO_THE_END, timeout=30)
    assert len(ran.events) >= 10_000
    texts = [line.text for line in ran.log]
    assert len([text for text in texts if "is UTF-16, which fields and rules cannot read" in text]) == 1
    assert not [text for text in texts if "NUL" in text]


# Kinds of files


def test_a_named_fifo_is_followed_while_writers_come_and_go(tmp_path: Path, follow: Follow) -> None:
    fifo, log, positions = tmp_path / "fifo", tmp_path / "log", tmp_path / "positions"
    os.mkfifo(fifo)
    host = follow(f"{fifo};{log}", position_file=str(positions))
    # It is opened without waiting for a writer.
    log.write_bytes(b"of the log\n")
    assert next_lines(host, 1) == [b"of the log"]
    for content, lines in [(b"one\ntw", [b"one", b"tw"]), (b"x" * 300_000 + b"\n", [b"x" * (256 << 10)])]:
        fifo.write_bytes(content)
        assert next_lines(host, len(lines)) == lines
    fifo.unlink()
    fifo.write_bytes(b"now a file\n")
    assert next_lines(host, 1) == [b"now a file"]
    assert host.stop().result == "interrupted"


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


KINDS: dict[str, tuple[Callable[[Path], None], str]] = {
    "fifo": (os.mkfifo, "it is a FIFO, which has no end: set follow to true"),
    "socket": (make_socket, "it is a socket: let its program write to a file or a FIFO"),
    "device": (lambda path: path.symlink_to(os.devnull), "it is a device: give a file or a FIFO"),
    "app.log.xz": (lambda path: path.touch(), "its compression is not supported: decompress it"),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_named_file_of_another_kind_is_an_error(name: str, tmp_path: Path) -> None:
    make, problem = KINDS[name]
    make(tmp_path / name)
    ran = run(TAIL, str(tmp_path / name), config=TO_THE_END)
    assert (ran.result, ran.events) == ("failure", [])
    assert problem in ran.error
    assert str(tmp_path / name) in ran.error


@pytest.mark.parametrize("name", [name for name in KINDS if name != "fifo"])
def test_a_named_file_of_another_kind_is_reported_once_and_tried_again(
    name: str, tmp_path: Path, follow: Follow
) -> None:
    make, problem = KINDS[name]
    path, log = tmp_path / name, tmp_path / "log"
    make(path)
    host = follow(f"{path};{log}")
    host.wait_for_log(f"{path}: cannot be read: {problem}")
    log.write_bytes(b"one\n")
    assert next_lines(host, 1) == [b"one"]
    assert len([line for line in host.log if problem in line.text]) == 1


@pytest.mark.parametrize("pattern", ["", "*"], ids=["folder", "glob"])
def test_a_folder_and_a_glob_leave_other_kinds_out_and_report_that_once(
    pattern: str, tmp_path: Path, follow: Follow
) -> None:
    for name, (make, _) in KINDS.items():
        make(tmp_path / name)
    host = follow(tmp_path / pattern)
    (tmp_path / "log").write_bytes(b"one\n")
    assert next_lines(host, 1) == [b"one"]
    append(tmp_path / "log", b"two\n")
    assert next_lines(host, 1) == [b"two"]
    for name in ("fifo", "socket", "device"):
        assert len([line for line in host.log if f"{name}: is not a regular file, and is left out" in line.text]) == 1
    assert len([line for line in host.log if "compressed files are left out" in line.text]) == 1


# Compressed files


def zstd(content: bytes) -> bytes:
    return subprocess.run(["zstd", "-q", "-c"], input=content, stdout=subprocess.PIPE, check=True).stdout


FORMATS = [
    pytest.param("log.1.gz", gzip.compress, id="gzip"),
    pytest.param(
        "log.1.zst", zstd, id="zstd", marks=pytest.mark.skipif(shutil.which("zstd") is None, reason="zstd is missing")
    ),
]
LINES = [b"line %d" % number for number in range(5_000)]


@pytest.mark.parametrize(("name", "compress"), FORMATS)
@pytest.mark.parametrize("by", ["name", "glob"])
def test_a_compressed_file_is_read_once(
    name: str, compress: Callable[[bytes], bytes], by: str, tmp_path: Path, follow: Follow
) -> None:
    positions = tmp_path / "positions"
    (tmp_path / name).write_bytes(compress(b"\r\n".join(LINES)) + compress(b"\nlast"))
    params = tmp_path / name if by == "name" else f"{tmp_path}/*{Path(name).suffix}"
    assert [event.data for event in collect(TAIL, str(params), config=TO_THE_END)] == [*LINES, b"last"]
    host = follow(params, position_file=str(positions))
    assert next_lines(host, len(LINES) + 1) == [*LINES, b"last"]
    wait_for_offset(positions, (tmp_path / name).stat().st_size)
    assert len(host.stop().events) == len(LINES) + 1
    host = follow(params, position_file=str(positions))
    (tmp_path / name).rename(tmp_path / f"log.2{Path(name).suffix}")
    (tmp_path / name).write_bytes(compress(b"another\n"))
    assert next_lines(host, 1) == [b"another"]


def test_a_compressed_file_is_read_on_after_a_kill(tmp_path: Path, follow: Follow) -> None:
    log, positions = tmp_path / "log.gz", tmp_path / "positions"
    lines = [b"line %d" % number for number in range(150_000)]
    log.write_bytes(gzip.compress(b"\n".join(lines)))
    host = follow(log, position_file=str(positions))
    next_lines(host, 15_000)
    before = [event.data for event in host.kill().events]
    host = follow(log, position_file=str(positions))
    (tmp_path / "other").touch()
    after = [host.next_event().data]
    while after[-1] != lines[-1]:
        after.append(host.next_event().data)
    assert before == lines[: len(before)]
    assert after == lines[-len(after) :]
    assert len(lines) > len(after) >= len(lines) - len(before)


def test_compressed_files_that_are_damaged_give_the_lines_before_the_fault(tmp_path: Path, follow: Follow) -> None:
    cut, other = tmp_path / "a.gz", tmp_path / "b.gz"
    whole = gzip.compress(b"\n".join(LINES))
    cut.write_bytes(whole[: len(whole) // 2])
    os.utime(cut, (1, 1))
    ran = run(TAIL, str(cut), config=TO_THE_END)
    assert ran.result == "failure"
    assert "the gzip data ends early, after" in ran.error
    read = len(ran.events)
    assert read > 1000
    assert [event.data for event in ran.events] == LINES[:read]
    other.write_bytes(gzip.compress(b"other\n"))
    host = follow(f"{tmp_path}/*.gz")
    assert next_lines(host, read + 1) == [*LINES[:read], b"other"]
    host.wait_for_log("a.gz: cannot be read:")
    # It was still being written.
    cut.write_bytes(whole)
    assert next_lines(host, len(LINES) - read) == LINES[read:]
    assert len([line for line in host.log if "ends early" in line.text]) == 1


# Files that are gone


def stopped_at(log: Path, positions: Path, follow: Follow) -> None:
    host = follow(log, position_file=str(positions))
    assert next_lines(host, 1) == [b"one"]
    wait_for_offset(positions, 4)
    host.stop()


def test_a_link_that_was_removed_while_nothing_ran_is_read_behind_it(tmp_path: Path, follow: Follow) -> None:
    (tmp_path / "pods").mkdir()
    target, link, positions = tmp_path / "pods" / "0.log", tmp_path / "current.log", tmp_path / "positions"
    target.write_bytes(b"one\n")
    link.symlink_to(target)
    stopped_at(link, positions, follow)
    append(target, b"two\n")
    link.unlink()
    target.rename(tmp_path / "pods" / "0.log.1")
    host = follow(link, position_file=str(positions))
    assert next_lines(host, 1) == [b"two"]


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_file_that_is_not_found_any_more_is_reported(is_replaced: bool, tmp_path: Path, follow: Follow) -> None:
    log, positions = tmp_path / "app.log", tmp_path / "positions"
    log.write_bytes(b"one\n")
    stopped_at(log, positions, follow)
    saved = json.loads(positions.read_bytes())
    saved["files"][0]["size"] = 20
    positions.write_text(json.dumps(saved))
    log.rename(tmp_path.parent / f"{tmp_path.name}.log")
    if is_replaced:
        log.write_bytes(b"new\n")
    host = follow(log, position_file=str(positions))
    text = "read up to byte 4 is not found" if is_replaced else f"One of them is {log}, read up to byte 4"
    assert "at least 16 bytes" in host.wait_for_log(text).text
    if not is_replaced:
        log.write_bytes(b"new\n")
    assert next_lines(host, 1) == [b"new"]
