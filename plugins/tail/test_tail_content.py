"""Tests holes, encodings, FIFOs, compressed files, and files that are lost."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from plugins.tail.conftest import TAIL, TO_THE_END, Follow, Follower, append, wait_for_offset

from falco_plugin.testing import collect, run

# Holes


@pytest.mark.parametrize("size", [10, 448_890, 10 << 30])
def test_line_after_a_hole_is_an_event(size: int, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as file:
        file.truncate(size)
        file.seek(size)
        file.write(b'{"user":"eve"}\nin\0side\n\0\0next\n')
    ran = run(TAIL, str(log), config=TO_THE_END, fields=["tail.value[/user]"])
    assert [event.data for event in ran.events] == [b'{"user":"eve"}', b"in\0side", b"next"]
    assert ran.events[0].fields == {"tail.value[/user]": "eve"}
    [report] = [line.text for line in ran.log if "NUL" in line.text]
    assert f"{log}: skipped {size} NUL bytes before a line, a hole that copytruncate leaves" in report


def test_tail_follows_truncations_by_a_non_appending_writer(tmp_path: Path, follow: Follow) -> None:
    log, positions = tmp_path / "log", tmp_path / "positions"
    follower = follow(log, position_file=str(positions))
    with log.open("wb", buffering=0) as writer:
        for number in range(3):
            lines = [b"%d of %d" % (line, number) for line in range(2000)]
            writer.write(b"\n".join(lines) + b"\n")
            follower.expect(*lines)
            os.truncate(log, 0)
        writer.write(b"last\n")
        follower.expect(b"last")
        wait_for_offset(positions, writer.tell())
        follower.stop()
        writer.write(b"more\n")
        follower.start()
        follower.expect(b"more")


def test_trailing_nuls_are_not_an_event(tmp_path: Path, follow: Follow) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"one\n" + b"\0" * 1_000_000)
    assert [event.data for event in collect(TAIL, str(log), config=TO_THE_END)] == [b"one"]
    follower = follow(log)
    follower.expect(b"one")
    append(log, b"two\n")
    follower.expect(b"two")


# Encodings


def test_byte_order_mark_is_skipped_and_counted_in_positions(tmp_path: Path, follow: Follow) -> None:
    log, positions = tmp_path / "log", tmp_path / "positions"
    log.write_bytes(b"\xef\xbb")
    follower = follow(log, position_file=str(positions))
    append(log, b"\xbfone\r\n\xef\xbb\xbftwo\r\n")
    follower.expect(b"one", b"\xef\xbb\xbftwo")
    wait_for_offset(positions, 16)
    follower.stop()
    append(log, b"three\n")
    follower.start()
    follower.expect(b"three")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_reported_once(encoding: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text('{"a":1}\n' * 10_000, encoding=encoding)
    ran = run(TAIL, str(log), config=TO_THE_END, timeout=30)
    assert len(ran.events) >= 10_000
    texts = [line.text for line in ran.log]
    assert len([text for text in texts if "is UTF-16, which fields and rules cannot read" in text]) == 1
    assert not [text for text in texts if "NUL" in text]


# Kinds of files


def test_fifo_is_followed_across_writers(tmp_path: Path, follow: Follow) -> None:
    fifo, log, positions = tmp_path / "fifo", tmp_path / "log", tmp_path / "positions"
    os.mkfifo(fifo)
    follower = follow(f"{fifo};{log}", position_file=str(positions))
    # The FIFO is opened without waiting for a writer.
    log.write_bytes(b"of the log\n")
    follower.expect(b"of the log")
    for content, lines in [(b"one\ntw", [b"one", b"tw"]), (b"x" * 300_000 + b"\n", [b"x" * (256 << 10)])]:
        fifo.write_bytes(content)
        follower.expect(*lines)
    fifo.unlink()
    fifo.write_bytes(b"now a file\n")
    follower.expect(b"now a file")
    follower.stop()


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


KINDS: dict[str, tuple[Callable[[Path], None], str]] = {
    "fifo": (os.mkfifo, "it is a FIFO, which has no end: set follow to true"),
    "socket": (make_socket, "it is a socket: configure its program to write to a file or a FIFO"),
    "device": (lambda path: path.symlink_to(os.devnull), "it is a device: expected a file or a FIFO"),
    "app.log.xz": (lambda path: path.touch(), "its compression is not supported: decompress it"),
}


@pytest.mark.parametrize("name", KINDS)
def test_unsupported_file_is_an_error_without_follow(name: str, tmp_path: Path) -> None:
    make, problem = KINDS[name]
    make(tmp_path / name)
    ran = run(TAIL, str(tmp_path / name), config=TO_THE_END)
    assert (ran.result, ran.events) == ("failure", [])
    assert problem in ran.error
    assert str(tmp_path / name) in ran.error


@pytest.mark.parametrize("name", [name for name in KINDS if name != "fifo"])
def test_unsupported_file_is_reported_once_with_follow(name: str, tmp_path: Path, follow: Follow) -> None:
    make, problem = KINDS[name]
    path, log = tmp_path / name, tmp_path / "log"
    make(path)
    follower = follow(f"{path};{log}")
    follower.host.wait_for_log(f"{path}: cannot be read: {problem}")
    log.write_bytes(b"one\n")
    follower.expect(b"one")
    assert len(follower.logs(problem)) == 1


@pytest.mark.parametrize("pattern", ["", "*"], ids=["folder", "glob"])
def test_folder_and_glob_skip_unsupported_files_and_report_once(pattern: str, tmp_path: Path, follow: Follow) -> None:
    for name, (make, _) in KINDS.items():
        make(tmp_path / name)
    follower = follow(tmp_path / pattern)
    (tmp_path / "log").write_bytes(b"one\n")
    follower.expect(b"one")
    append(tmp_path / "log", b"two\n")
    follower.expect(b"two")
    for name in ("fifo", "socket", "device"):
        assert len(follower.logs(f"{name}: is not a regular file and is skipped")) == 1
    assert len(follower.logs("compressed files are skipped")) == 1


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
def test_compressed_file_is_read_once(
    name: str, compress: Callable[[bytes], bytes], by: str, tmp_path: Path, follow: Follow
) -> None:
    positions = tmp_path / "positions"
    (tmp_path / name).write_bytes(compress(b"\r\n".join(LINES)) + compress(b"\nlast"))
    params = tmp_path / name if by == "name" else f"{tmp_path}/*{Path(name).suffix}"
    assert [event.data for event in collect(TAIL, str(params), config=TO_THE_END)] == [*LINES, b"last"]
    follower = follow(params, position_file=str(positions))
    follower.expect(*LINES, b"last")
    wait_for_offset(positions, (tmp_path / name).stat().st_size)
    assert len(follower.stop()) == len(LINES) + 1
    follower.start()
    (tmp_path / name).rename(tmp_path / f"log.2{Path(name).suffix}")
    (tmp_path / name).write_bytes(compress(b"another\n"))
    follower.expect(b"another")


@pytest.mark.slow
def test_compressed_file_continues_after_a_kill(tmp_path: Path, follow: Follow) -> None:
    log, positions = tmp_path / "log.gz", tmp_path / "positions"
    lines = [b"line %d" % number for number in range(60_000)]
    log.write_bytes(gzip.compress(b"\n".join(lines)))
    follower = follow(log, position_file=str(positions))
    follower.expect(*lines[:15_000])
    before = follower.kill()
    follower.start()
    after = [follower.host.next_event().data]
    while after[-1] != lines[-1]:
        after.append(follower.host.next_event().data)
    assert before == lines[: len(before)]
    assert after == lines[-len(after) :]
    assert len(lines) > len(after) >= len(lines) - len(before)


def test_damaged_compressed_file_gives_lines_before_the_fault(tmp_path: Path, follow: Follow) -> None:
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
    follower = follow(f"{tmp_path}/*.gz")
    follower.expect(*LINES[:read], b"other")
    follower.host.wait_for_log("a.gz: cannot be read:")
    # The file was incomplete.
    cut.write_bytes(whole)
    follower.expect(*LINES[read:])
    assert len(follower.logs("ends early")) == 1


# Missing files


def stop_after_first_line(log: Path, positions: Path, follow: Follow) -> Follower:
    follower = follow(log, position_file=str(positions))
    follower.expect(b"one")
    wait_for_offset(positions, 4)
    follower.stop()
    return follower


def test_target_of_a_removed_link_is_found_after_restart(tmp_path: Path, follow: Follow) -> None:
    (tmp_path / "pods").mkdir()
    target, link, positions = tmp_path / "pods" / "0.log", tmp_path / "current.log", tmp_path / "positions"
    target.write_bytes(b"one\n")
    link.symlink_to(target)
    follower = stop_after_first_line(link, positions, follow)
    append(target, b"two\n")
    link.unlink()
    target.rename(tmp_path / "pods" / "0.log.1")
    follower.start()
    follower.expect(b"two")


@pytest.mark.parametrize("is_replaced", [False, True])
def test_lost_file_is_reported_with_missing_bytes(is_replaced: bool, tmp_path: Path, follow: Follow) -> None:
    log, positions = tmp_path / "app.log", tmp_path / "positions"
    log.write_bytes(b"one\n")
    follower = stop_after_first_line(log, positions, follow)
    saved = json.loads(positions.read_bytes())
    saved["cursor"]["files"][0]["size"] = 20
    positions.write_text(json.dumps(saved))
    log.rename(tmp_path.parent / f"{tmp_path.name}.log")
    if is_replaced:
        log.write_bytes(b"new\n")
    follower.start()
    text = "read up to byte 4 is not found" if is_replaced else f"One of them is {log}, read up to byte 4"
    assert "at least 16 bytes" in follower.host.wait_for_log(text).text
    if not is_replaced:
        log.write_bytes(b"new\n")
    follower.expect(b"new")
