"""Tests rotation, truncation, deletion and unreadable files while the plugin runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from plugins.tail.conftest import Follow, append, count_descriptors_below, wait_until


def test_rotated_file_is_finished_before_the_new_one(tmp_path: Path, follow: Follow) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(b"first\n")
    follower = follow(log, rotated_wait=60)
    follower.expect(b"first")
    with log.open("ab") as writer:
        lines = [b"%d" % number + b"x" * 300 for number in range(1500)]
        writer.write(b"\n".join(lines) + b"\nno e")
        writer.flush()
        for name in ("app.log.1", "app.log.2", "elsewhere"):
            log.rename(tmp_path / name)
            log = tmp_path / name
        (tmp_path / "app.log").write_bytes(b"new\n")
        follower.expect(*lines, b"new")
        # The writer still has the old file open.
        writer.write(b"nd\n")
    follower.expect(b"no end")


def test_rotated_file_delivers_its_last_line_and_closes(tmp_path: Path, follow: Follow) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(b"first\nno end")
    follower = follow(log)
    follower.expect(b"first")
    log.rename(tmp_path / "app.log.1")
    follower.expect(b"no end")
    wait_until(lambda: count_descriptors_below(tmp_path) == 0)
    log.write_bytes(b"new\n")
    follower.expect(b"new")


def test_rotation_within_the_params_repeats_no_line(tmp_path: Path, follow: Follow) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(b"1\n")
    follower = follow(f"{tmp_path}/app.log*")
    follower.expect(b"1")
    for number in range(2, 6):
        append(log, b"end of %d" % number)
        for old in range(number, 0, -1):
            if (rotated := tmp_path / f"app.log.{old}").exists():
                rotated.rename(tmp_path / f"app.log.{old + 1}")
        log.rename(tmp_path / "app.log.1")
        follower.expect(b"end of %d" % number)
        log.write_bytes(b"%d\n" % number)
        follower.expect(b"%d" % number)


@pytest.mark.parametrize(
    "content",
    [b"", b"short\n", b"other first line\nand more than there was\n" * 20, b"head\n" * 300 + b"other\n" * 200],
    ids=["empty", "shorter", "longer", "longer and alike at first"],
)
def test_truncated_file_is_read_from_its_beginning(content: bytes, tmp_path: Path, follow: Follow) -> None:
    log = tmp_path / "log"
    before = b"head\n" * 300 + b"line\n" * 10
    log.write_bytes(before)
    follower = follow(log)
    follower.expect(*before.splitlines())
    log.write_bytes(content)
    follower.expect(*content.splitlines())
    follower.host.wait_for_log("was truncated")
    append(log, b"after\n")
    follower.expect(b"after")


def test_deleted_file_delivers_its_last_line_before_its_successor(tmp_path: Path, follow: Follow) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"one\nno end")
    follower = follow(log)
    follower.expect(b"one")
    log.unlink()
    follower.expect(b"no end")
    wait_until(lambda: count_descriptors_below(tmp_path) == 0)
    log.write_bytes(b"one\ntwo\n")
    follower.expect(b"one", b"two")


def test_reused_inode_is_a_new_file(tmp_path: Path, follow: Follow) -> None:
    log, other = tmp_path / "a", tmp_path / "b"
    log.write_bytes(b"one\n")
    follower = follow(f"{log};{other}", max_open_files=1)
    follower.expect(b"one")
    # Only one file is open, so the next file can reuse the inode number of the first.
    other.write_bytes(b"other\n")
    follower.expect(b"other")
    log.unlink()
    log.write_bytes(b"two\n")
    follower.expect(b"two")


def test_redirected_link_delivers_both_files(tmp_path: Path, follow: Follow) -> None:
    (tmp_path / "monday").write_bytes(b"1\n")
    (tmp_path / "tuesday").write_bytes(b"2\n")
    link = tmp_path / "current"
    link.symlink_to("monday")
    follower = follow(link)
    follower.expect(b"1")
    append(tmp_path / "monday", b"last of monday\n")
    (tmp_path / "next").symlink_to("tuesday")
    (tmp_path / "next").rename(link)
    follower.expect(b"last of monday", b"2")
    append(tmp_path / "tuesday", b"3\n")
    follower.expect(b"3")


@pytest.mark.parametrize(
    "is_refused",
    [
        False,
        pytest.param(True, marks=pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")),
    ],
    ids=["loop", "permission"],
)
def test_unreadable_file_is_reported_once_and_retried(is_refused: bool, tmp_path: Path, follow: Follow) -> None:
    log, other = tmp_path / "a", tmp_path / "b"

    def make_unreadable() -> None:
        if is_refused:
            descriptor = os.open(log, os.O_WRONLY | os.O_CREAT, 0)
            os.write(descriptor, b"line\n")
            os.close(descriptor)
        else:
            log.symlink_to("a")

    def make_readable() -> None:
        if is_refused:
            log.chmod(0o600)
        else:
            log.unlink()
            log.write_bytes(b"line\n")

    make_unreadable()
    follower = follow(f"{log};{other}")
    for attempt in (1, 2):
        follower.host.wait_for_log("cannot be read")
        # Other files are not delayed.
        append(other, b"other\n")
        follower.expect(b"other")
        append(other, b"another\n")
        follower.expect(b"another")
        assert len(follower.logs("cannot be read")) == attempt
        make_readable()
        follower.expect(b"line")
        log.unlink()
        wait_until(lambda: count_descriptors_below(tmp_path) == 1)
        make_unreadable()
        wait_until(lambda expected=attempt + 1: len(follower.logs("cannot be read")) == expected)
