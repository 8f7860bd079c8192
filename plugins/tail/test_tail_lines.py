"""Tests how lines are read, and which files are followed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from plugins.tail.conftest import TAIL, TO_THE_END, Follow, append, count_descriptors_below, saved_offsets, wait_until

from falco_plugin.testing import collect

REAL_LOGS = sorted((TAIL.parents[2] / "shared/data").glob("*.jsonl"))


@pytest.mark.parametrize("log", [TAIL / "sample.jsonl", *REAL_LOGS], ids=lambda log: log.name)
def test_each_line_is_delivered_once_in_order(log: Path) -> None:
    events = collect(TAIL, str(log), config=TO_THE_END)
    assert [event.data for event in events] == log.read_bytes().splitlines()


@pytest.mark.skipif(not REAL_LOGS, reason="there are no real logs beside the checkout")
def test_real_logs_exist() -> None:
    assert all(log.stat().st_size for log in REAL_LOGS)


def test_empty_and_unterminated_lines_are_events(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"one\n\ntwo\r\n\xff\x00\nlast")
    events = collect(TAIL, str(log), config=TO_THE_END)
    assert [event.data for event in events] == [b"one", b"", b"two", b"\xff\x00", b"last"]


def test_incomplete_line_is_held_back(tmp_path: Path, follow: Follow) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"whole\npart")
    second.write_bytes(b"")
    follower = follow(f"{first}; {second}")
    follower.expect(b"whole")
    append(second, b"other\n")
    follower.expect(b"other")
    append(first, b" and rest\r")
    append(second, b"another\n")
    follower.expect(b"another")
    append(first, b"\n")
    follower.expect(b"part and rest")


def test_long_lines_are_cut_and_counted(tmp_path: Path, follow: Follow) -> None:
    log = tmp_path / "log"
    fits, longer, much_longer = b"f" * 100, b"l" * 101, b"m" * 1_000_000
    log.write_bytes(b"\n".join([fits, longer, much_longer, fits]) + b"\r\nunended")
    follower = follow(log, event_size=100)
    follower.expect(fits, longer[:100], much_longer[:100], fits)
    append(log, b"u" * 100)
    follower.expect(b"unended" + b"u" * 93)
    append(log, b"rest of it\nnext\n")
    follower.expect(b"next")
    assert "cut to 100 bytes" in follower.host.wait_for_log("lines cut so far: 1").text


def test_rest_of_a_cut_line_is_skipped_after_restart(tmp_path: Path, follow: Follow) -> None:
    log, positions = tmp_path / "log", tmp_path / "positions"
    log.write_bytes(b"x" * 200)
    follower = follow(log, event_size=100, position_file=str(positions))
    follower.expect(b"x" * 100)
    wait_until(lambda: saved_offsets(positions) == {"log": 200})
    follower.stop()
    append(log, b"rest of it\nnext\n")
    follower.start()
    follower.expect(b"next")


# Files of the params


def test_folder_includes_files_created_later(tmp_path: Path, follow: Follow) -> None:
    folder = tmp_path / "folder"
    follower = follow(folder)
    follower.host.wait_for_log("does not exist")
    folder.mkdir()
    for name in (".hidden", "packed.gz"):
        (folder / name).write_bytes(b"skipped\n")
    (folder / "inner").mkdir()
    (folder / "inner" / "log").write_bytes(b"too deep\n")
    (folder / "one").write_bytes(b"one\n")
    follower.expect(b"one")
    (folder / "two").write_bytes(b"two\n")
    follower.expect(b"two")


def test_glob_matches_at_any_depth(tmp_path: Path, follow: Follow) -> None:
    follower = follow(f"{tmp_path}/**/*.log*")
    follower.host.wait_for_log("matches no file")
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "binary").write_bytes(b"\x00\n")
    (tmp_path / "a" / "app.log.1.gz").write_bytes(b"packed\n")
    (tmp_path / "a" / "b" / "app.log").write_bytes(b"deep\n")
    follower.expect(b"deep")
    (tmp_path / "top.log").write_bytes(b"top\n")
    follower.expect(b"top")


def test_existing_path_is_not_expanded_as_a_glob(tmp_path: Path) -> None:
    log = tmp_path / "app[1].log"
    log.write_bytes(b"line\n")
    assert [event.data for event in collect(TAIL, str(log), config=TO_THE_END)] == [b"line"]


def test_file_named_twice_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_bytes(b"line\n")
    (tmp_path / "link.log").symlink_to("app.log")
    (tmp_path / "hard.log").hardlink_to(tmp_path / "app.log")
    params = f"{tmp_path};{tmp_path}/app.log;{tmp_path}/*.log"
    assert [event.data for event in collect(TAIL, params, config=TO_THE_END)] == [b"line"]


def test_path_that_is_not_utf8_is_followed_and_saved(tmp_path: Path, follow: Follow) -> None:
    positions = tmp_path / "positions"
    log = tmp_path / os.fsdecode(b"\xff.log")
    log.write_bytes(b"one\n")
    follower = follow(f"{tmp_path}/*.log", position_file=str(positions))
    follower.expect(b"one")
    wait_until(lambda: list(saved_offsets(positions).values()) == [4])
    follower.stop()
    append(log, b"two\n")
    follower.start()
    follower.expect(b"two")


def test_start_end_skips_complete_lines_of_first_run(tmp_path: Path, follow: Follow) -> None:
    log, positions = tmp_path / "log", tmp_path / "positions"
    log.write_bytes(b"old\nbegun")
    follower = follow(tmp_path / "log*", start="end", position_file=str(positions))
    wait_until(lambda: saved_offsets(positions) == {"log": 4})
    append(log, b" before\n")
    follower.expect(b"begun before")
    (tmp_path / "log2").write_bytes(b"new file\n")
    follower.expect(b"new file")
    wait_until(lambda: saved_offsets(positions) == {"log": 17, "log2": 9})
    follower.stop()
    append(log, b"written while stopped\n")
    (tmp_path / "log3").write_bytes(b"new file while stopped\n")
    follower.start()
    assert {follower.host.next_event().data for _ in range(2)} == {b"written while stopped", b"new file while stopped"}


def test_large_file_does_not_delay_others(tmp_path: Path) -> None:
    lines = [b"%d" % number + b"x" * 300 for number in range(3000)]
    (tmp_path / "a-large").write_bytes(b"\n".join(lines) + b"\n")
    (tmp_path / "b-small").write_bytes(b"small\n")
    os.utime(tmp_path / "a-large", (1, 1))
    events = [event.data for event in collect(TAIL, str(tmp_path), config=TO_THE_END, timeout=60)]
    assert events.index(b"small") < len(events) / 2
    events.remove(b"small")
    assert events == lines


def test_max_open_files_limits_descriptors(tmp_path: Path, follow: Follow) -> None:
    logs = [tmp_path / f"{number:02}.log" for number in range(40)]
    for log in logs:
        log.write_bytes(b"first\n")
    follower = follow(f"{tmp_path}/*.log", max_open_files=5)
    follower.expect(*[b"first"] * len(logs))
    assert 0 < count_descriptors_below(tmp_path) <= 5
    for log in logs:
        append(log, b"second\n")
    follower.expect(*[b"second"] * len(logs))
    assert 0 < count_descriptors_below(tmp_path) <= 5
