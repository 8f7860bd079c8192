"""Lines of real files, written, rotated and truncated while the native host reads them."""

from __future__ import annotations

import itertools
import json
import os
import re
import stat
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from falco_plugin.testing import RunningPlugin, collect, run

StartPlugin = Callable[..., RunningPlugin]

TAIL = Path(__file__).parent
REPOSITORY = TAIL.parents[1]
REAL_LOGS = sorted((REPOSITORY.parent / "shared/data").glob("*.jsonl"))

TO_THE_END = {"follow": False}
HIDDEN = "what no error may show"


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def descriptors_below(folder: Path) -> int:
    """How many files in the folder are open in any process."""
    count = 0
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            count += os.readlink(descriptor).startswith(f"{folder}/")
        except OSError:
            continue
    return count


def saved_positions(position_file: Path) -> list[dict[str, Any]]:
    return json.loads(position_file.read_bytes())["files"] if position_file.exists() else []


def saved_offsets(position_file: Path) -> dict[str, int]:
    return {Path(position["path"]).name: position["offset"] for position in saved_positions(position_file)}


class Follower:
    """The plugin in a host, which can be started again."""

    def __init__(self, start_plugin: StartPlugin, params: object, **config: object) -> None:
        self._start_plugin = start_plugin
        self._params = str(params)
        self._config = {"poll_interval": 0.01, "rotated_wait": 0.1, **config}
        self.start()

    def start(self) -> None:
        self.host = self._start_plugin(TAIL, self._params, config=self._config)

    def gives(self, *lines: bytes) -> bool:
        """Whether these lines are the next."""
        assert [self.host.next_event().data for _ in lines] == list(lines)
        return True

    def stop(self) -> list[bytes]:
        """All events of the host that ran."""
        ran = self.host.stop()
        assert ran.result == "interrupted", str(ran)
        return [event.data for event in ran.events]

    def kill(self) -> list[bytes]:
        return [event.data for event in self.host.kill().events]

    def logs(self, text: str) -> list[str]:
        return [line.text for line in self.host.log if text in line.text]


Follow = Callable[..., Follower]


@pytest.fixture
def follow(start_plugin: StartPlugin) -> Follow:
    return partial(Follower, start_plugin)


# Lines


@pytest.mark.parametrize("log", [TAIL / "sample.jsonl", *REAL_LOGS], ids=lambda log: log.name)
def test_each_line_of_a_log_comes_once_and_in_order(log: Path) -> None:
    events = collect(TAIL, str(log), config=TO_THE_END)
    assert [event.data for event in events] == log.read_bytes().splitlines()


@pytest.mark.skipif(not REAL_LOGS, reason="there are no real logs beside the checkout")
def test_real_logs_are_there() -> None:
    assert all(log.stat().st_size for log in REAL_LOGS)


def test_empty_lines_and_a_last_line_without_its_end_are_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"one\n\ntwo\r\n\xff\x00\nlast")
    events = collect(TAIL, str(log), config=TO_THE_END)
    assert [event.data for event in events] == [b"one", b"", b"two", b"\xff\x00", b"last"]


def test_a_line_that_is_being_written_is_kept_back(tmp_path: Path, follow: Follow) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"whole\npart")
    second.write_bytes(b"")
    follower = follow(f"{first}; {second}")
    follower.gives(b"whole")
    append(second, b"other\n")
    follower.gives(b"other")
    append(first, b" and rest\r")
    append(second, b"another\n")
    follower.gives(b"another")
    append(first, b"\n")
    follower.gives(b"part and rest")


def test_long_lines_are_cut_and_counted(tmp_path: Path, follow: Follow) -> None:
    log = tmp_path / "log"
    fits, longer, much_longer = b"f" * 100, b"l" * 101, b"m" * 1_000_000
    log.write_bytes(b"\n".join([fits, longer, much_longer, fits]) + b"\r\nunended")
    follower = follow(log, event_size=100)
    follower.gives(fits, longer[:100], much_longer[:100], fits)
    append(log, b"u" * 100)
    follower.gives(b"unended" + b"u" * 93)
    append(log, b"rest of it\nnext\n")
    follower.gives(b"next")
    assert "cut to 100 bytes" in follower.host.wait_for_log("lines cut so far: 1").text


def test_a_cut_line_is_still_cut_after_a_restart(tmp_path: Path, follow: Follow) -> None:
    log, positions = tmp_path / "log", tmp_path / "positions"
    log.write_bytes(b"x" * 200)
    follower = follow(log, event_size=100, position_file=str(positions))
    follower.gives(b"x" * 100)
    wait_until(lambda: saved_offsets(positions) == {"log": 200})
    follower.stop()
    append(log, b"rest of it\nnext\n")
    follower.start()
    follower.gives(b"next")


# Which files


def test_a_folder_gives_its_files_also_those_that_come_later(tmp_path: Path, follow: Follow) -> None:
    folder = tmp_path / "folder"
    follower = follow(folder)
    follower.host.wait_for_log("does not exist")
    folder.mkdir()
    for name in (".hidden", "packed.gz"):
        (folder / name).write_bytes(b"not for us\n")
    (folder / "inner").mkdir()
    (folder / "inner" / "log").write_bytes(b"too deep\n")
    (folder / "one").write_bytes(b"one\n")
    follower.gives(b"one")
    (folder / "two").write_bytes(b"two\n")
    follower.gives(b"two")


def test_a_glob_decides_and_reaches_any_depth(tmp_path: Path, follow: Follow) -> None:
    follower = follow(f"{tmp_path}/**/*.log*")
    follower.host.wait_for_log("matches no file")
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "binary").write_bytes(b"\x00\n")
    (tmp_path / "a" / "app.log.1.gz").write_bytes(b"packed\n")
    (tmp_path / "a" / "b" / "app.log").write_bytes(b"deep\n")
    follower.gives(b"deep")
    (tmp_path / "top.log").write_bytes(b"top\n")
    follower.gives(b"top")


def test_a_name_that_looks_like_a_glob_is_a_name_where_it_exists(tmp_path: Path) -> None:
    log = tmp_path / "app[1].log"
    log.write_bytes(b"line\n")
    assert [event.data for event in collect(TAIL, str(log), config=TO_THE_END)] == [b"line"]


def test_a_file_that_is_meant_twice_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_bytes(b"line\n")
    (tmp_path / "link.log").symlink_to("app.log")
    (tmp_path / "hard.log").hardlink_to(tmp_path / "app.log")
    params = f"{tmp_path};{tmp_path}/app.log;{tmp_path}/*.log"
    assert [event.data for event in collect(TAIL, params, config=TO_THE_END)] == [b"line"]


def test_a_name_that_is_no_text_is_followed_and_kept(tmp_path: Path, follow: Follow) -> None:
    positions = tmp_path / "positions"
    log = tmp_path / os.fsdecode(b"\xff.log")
    log.write_bytes(b"one\n")
    follower = follow(f"{tmp_path}/*.log", position_file=str(positions))
    follower.gives(b"one")
    wait_until(lambda: list(saved_offsets(positions).values()) == [4])
    follower.stop()
    append(log, b"two\n")
    follower.start()
    follower.gives(b"two")


def test_start_at_the_end_leaves_out_whole_lines_only_and_only_once(tmp_path: Path, follow: Follow) -> None:
    log, positions = tmp_path / "log", tmp_path / "positions"
    log.write_bytes(b"old\nbegun")
    follower = follow(tmp_path / "log*", start="end", position_file=str(positions))
    wait_until(lambda: saved_offsets(positions) == {"log": 4})
    append(log, b" before\n")
    follower.gives(b"begun before")
    (tmp_path / "log2").write_bytes(b"new file\n")
    follower.gives(b"new file")
    wait_until(lambda: saved_offsets(positions) == {"log": 17, "log2": 9})
    follower.stop()
    append(log, b"meanwhile\n")
    (tmp_path / "log3").write_bytes(b"new meanwhile\n")
    follower.start()
    assert {follower.host.next_event().data for _ in range(2)} == {b"meanwhile", b"new meanwhile"}


def test_no_file_waits_for_all_of_another(tmp_path: Path) -> None:
    lines = [b"%d" % number for number in range(200_000)]
    (tmp_path / "a-large").write_bytes(b"\n".join(lines) + b"\n")
    (tmp_path / "b-small").write_bytes(b"small\n")
    os.utime(tmp_path / "a-large", (1, 1))
    events = [event.data for event in collect(TAIL, str(tmp_path), config=TO_THE_END, timeout=60)]
    assert events.index(b"small") < len(events) / 2
    events.remove(b"small")
    assert events == lines


def test_few_of_many_files_are_open(tmp_path: Path, follow: Follow) -> None:
    logs = [tmp_path / f"{number:02}.log" for number in range(40)]
    for log in logs:
        log.write_bytes(b"first\n")
    follower = follow(f"{tmp_path}/*.log", max_open_files=5)
    follower.gives(*[b"first"] * len(logs))
    assert 0 < descriptors_below(tmp_path) <= 5
    for log in logs:
        append(log, b"second\n")
    follower.gives(*[b"second"] * len(logs))
    assert 0 < descriptors_below(tmp_path) <= 5


# What happens to files


def test_a_rotated_file_is_read_to_its_end_before_the_new_one(tmp_path: Path, follow: Follow) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(b"first\n")
    follower = follow(log, rotated_wait=60)
    follower.gives(b"first")
    with log.open("ab") as writer:
        lines = [b"%d" % number for number in range(60_000)]
        writer.write(b"\n".join(lines) + b"\nno e")
        writer.flush()
        for name in ("app.log.1", "app.log.2", "elsewhere"):
            log.rename(tmp_path / name)
            log = tmp_path / name
        (tmp_path / "app.log").write_bytes(b"new\n")
        follower.gives(*lines, b"new")
        # Its writer has not heard of it yet.
        writer.write(b"nd\n")
    follower.gives(b"no end")


def test_a_rotated_file_gives_its_last_line_and_is_closed(tmp_path: Path, follow: Follow) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(b"first\nno end")
    follower = follow(log)
    follower.gives(b"first")
    log.rename(tmp_path / "app.log.1")
    follower.gives(b"no end")
    wait_until(lambda: descriptors_below(tmp_path) == 0)
    log.write_bytes(b"new\n")
    follower.gives(b"new")


def test_a_rotation_within_the_params_makes_no_new_lines(tmp_path: Path, follow: Follow) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(b"1\n")
    follower = follow(f"{tmp_path}/app.log*")
    follower.gives(b"1")
    for number in range(2, 6):
        append(log, b"end of %d" % number)
        for old in range(number, 0, -1):
            if (rotated := tmp_path / f"app.log.{old}").exists():
                rotated.rename(tmp_path / f"app.log.{old + 1}")
        log.rename(tmp_path / "app.log.1")
        follower.gives(b"end of %d" % number)
        log.write_bytes(b"%d\n" % number)
        follower.gives(b"%d" % number)


@pytest.mark.parametrize(
    "content",
    [b"", b"short\n", b"other first line\nand more than there was\n" * 20, b"head\n" * 300 + b"other\n" * 200],
    ids=["empty", "shorter", "longer", "longer and alike at first"],
)
def test_a_truncated_file_is_read_from_its_beginning(content: bytes, tmp_path: Path, follow: Follow) -> None:
    log = tmp_path / "log"
    before = b"head\n" * 300 + b"line\n" * 10
    log.write_bytes(before)
    follower = follow(log)
    follower.gives(*before.splitlines())
    log.write_bytes(content)
    follower.gives(*content.splitlines())
    follower.host.wait_for_log("was truncated")
    append(log, b"after\n")
    follower.gives(b"after")


def test_a_deleted_file_gives_its_last_line_and_one_of_its_name_is_another(tmp_path: Path, follow: Follow) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"one\nno end")
    follower = follow(log)
    follower.gives(b"one")
    log.unlink()
    follower.gives(b"no end")
    wait_until(lambda: descriptors_below(tmp_path) == 0)
    log.write_bytes(b"one\ntwo\n")
    follower.gives(b"one", b"two")


def test_another_file_with_the_same_inode_number_is_another_file(tmp_path: Path, follow: Follow) -> None:
    log, other = tmp_path / "a", tmp_path / "b"
    log.write_bytes(b"one\n")
    follower = follow(f"{log};{other}", max_open_files=1)
    follower.gives(b"one")
    # Only one file is open, so that the inode number of the first is free for the next file.
    other.write_bytes(b"other\n")
    follower.gives(b"other")
    log.unlink()
    log.write_bytes(b"two\n")
    follower.gives(b"two")


def test_a_link_that_leads_elsewhere_gives_both_files(tmp_path: Path, follow: Follow) -> None:
    (tmp_path / "monday").write_bytes(b"1\n")
    (tmp_path / "tuesday").write_bytes(b"2\n")
    link = tmp_path / "current"
    link.symlink_to("monday")
    follower = follow(link)
    follower.gives(b"1")
    append(tmp_path / "monday", b"last of monday\n")
    (tmp_path / "next").symlink_to("tuesday")
    (tmp_path / "next").rename(link)
    follower.gives(b"last of monday", b"2")
    append(tmp_path / "tuesday", b"3\n")
    follower.gives(b"3")


@pytest.mark.parametrize(
    "is_refused",
    [
        False,
        pytest.param(True, marks=pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")),
    ],
    ids=["loop", "permission"],
)
def test_what_cannot_be_read_is_logged_once_and_tried_again(is_refused: bool, tmp_path: Path, follow: Follow) -> None:
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
        # Others are not held up.
        append(other, b"other\n")
        follower.gives(b"other")
        append(other, b"another\n")
        follower.gives(b"another")
        assert len(follower.logs("cannot be read")) == attempt
        make_readable()
        follower.gives(b"line")
        log.unlink()
        wait_until(lambda: descriptors_below(tmp_path) == 1)
        make_unreadable()
        wait_until(lambda expected=attempt + 1: len(follower.logs("cannot be read")) == expected)


# Restarts


def test_a_restart_goes_on_where_the_host_was(tmp_path: Path, follow: Follow) -> None:
    log, positions = tmp_path / "log", tmp_path / "positions"
    log.write_bytes(b"one\ntw")
    follower = follow(tmp_path, position_file=str(positions))
    follower.gives(b"one")
    wait_until(lambda: saved_offsets(positions) == {"log": 4})
    assert stat.S_IMODE(positions.stat().st_mode) == 0o600
    follower.stop()
    append(log, b"o\nthree\n")
    follower.start()
    follower.gives(b"two", b"three")
    # The position file lies in the folder, and is none of the logs.
    append(log, b"four\n")
    follower.gives(b"four")


@pytest.mark.parametrize("params", ["app.log", "app.log*"])
def test_a_rotation_during_a_stop_loses_nothing(params: str, tmp_path: Path, follow: Follow) -> None:
    log, positions = tmp_path / "app.log", tmp_path / "positions"
    log.write_bytes(b"one\n")
    follower = follow(tmp_path / params, position_file=str(positions))
    follower.gives(b"one")
    wait_until(lambda: saved_offsets(positions) == {"app.log": 4})
    follower.stop()
    append(log, b"two\nend")
    log.rename(tmp_path / "app.log.1")
    log.write_bytes(b"three\n")
    follower.start()
    follower.gives(b"two", b"three", b"end")


def test_a_file_that_was_renamed_while_it_was_not_open_is_found(tmp_path: Path, follow: Follow) -> None:
    log, other = tmp_path / "a", tmp_path / "b"
    log.write_bytes(b"one\n")
    follower = follow(f"{log};{other}", max_open_files=1)
    follower.gives(b"one")
    other.write_bytes(b"other\n")
    follower.gives(b"other")
    append(log, b"two\n")
    log.rename(tmp_path / "elsewhere")
    follower.gives(b"two")


@pytest.mark.parametrize("content", [b"", b"new\n", b"new\n" * 100])
def test_what_cannot_be_found_after_a_stop_is_told(content: bytes, tmp_path: Path, follow: Follow) -> None:
    log, positions = tmp_path / "log", tmp_path / "positions"
    log.write_bytes(b"old line\n")
    follower = follow(log, position_file=str(positions))
    follower.gives(b"old line")
    wait_until(lambda: saved_offsets(positions) == {"log": 9})
    follower.stop()
    log.write_bytes(content)
    follower.start()
    follower.gives(*content.splitlines())
    assert "read up to byte 9 is not found" in follower.host.wait_for_log("is another file now").text


def test_a_folder_that_was_away_for_a_while_is_not_read_anew(tmp_path: Path, follow: Follow) -> None:
    folder, positions = tmp_path / "mounted", tmp_path / "positions"
    folder.mkdir()
    (folder / "log").write_bytes(b"one\n")
    follower = follow(folder, position_file=str(positions))
    follower.gives(b"one")
    wait_until(lambda: saved_offsets(positions) == {"log": 4})
    follower.stop()
    folder.rename(tmp_path / "away")
    follower.start()
    follower.host.wait_for_log("does not exist")
    follower.stop()
    (tmp_path / "away").rename(folder)
    append(folder / "log", b"two\n")
    follower.start()
    follower.gives(b"two")


def test_positions_outlive_new_device_numbers(tmp_path: Path, follow: Follow) -> None:
    log, positions = tmp_path / "log", tmp_path / "positions"
    log.write_bytes(b"one\n")
    follower = follow(log, position_file=str(positions))
    follower.gives(b"one")
    wait_until(lambda: saved_offsets(positions) == {"log": 4})
    follower.stop()
    saved = json.loads(positions.read_bytes())
    saved["files"][0]["device"] += 1
    positions.write_text(json.dumps(saved))
    append(log, b"two\n")
    follower.start()
    follower.gives(b"two")


def test_files_that_are_gone_for_long_are_forgotten(tmp_path: Path, follow: Follow) -> None:
    log, positions = tmp_path / "log", tmp_path / "positions"
    log.write_bytes(b"one\n")
    follower = follow(log, position_file=str(positions))
    follower.gives(b"one")
    wait_until(lambda: saved_offsets(positions) == {"log": 4})
    follower.stop()
    log.rename(tmp_path.parent / "elsewhere")
    follower.start()
    follower.host.wait_for_log("does not exist")
    follower.stop()
    assert saved_offsets(positions) == {"log": 4}
    positions.write_bytes(re.sub(rb'"seen":\d+', b'"seen":1', positions.read_bytes()))
    follower.start()
    wait_until(lambda: saved_offsets(positions) == {})


def test_a_position_file_that_cannot_be_written_for_a_while_stops_nothing(tmp_path: Path, follow: Follow) -> None:
    log, folder = tmp_path / "log", tmp_path / "state"
    folder.mkdir()
    log.write_bytes(b"one\n")
    follower = follow(log, position_file=str(folder / "positions"))
    follower.gives(b"one")
    wait_until(lambda: saved_offsets(folder / "positions") == {"log": 4})
    folder.rename(tmp_path / "away")
    append(log, b"two\n")
    follower.gives(b"two")
    follower.host.wait_for_log("cannot be written")
    (tmp_path / "away").rename(folder)
    follower.host.wait_for_log("is written again")
    assert saved_offsets(folder / "positions") == {"log": 8}


def test_what_the_host_did_not_take_comes_again(tmp_path: Path) -> None:
    log = tmp_path / "log"
    lines = [b"%d" % number for number in range(600)]
    log.write_bytes(b"\n".join(lines))
    config = {**TO_THE_END, "position_file": str(tmp_path / "positions")}
    assert len(collect(TAIL, str(log), config=config, limit=100)) == 100
    assert [event.data for event in collect(TAIL, str(log), config=config)] == lines


def test_a_kill_loses_nothing(tmp_path: Path, follow: Follow) -> None:
    log, positions = tmp_path / "log", tmp_path / "positions"
    lines = [b"%d" % number for number in range(100_000)]
    log.write_bytes(b"".join(line + b"\n" for line in lines))
    follower = follow(log, position_file=str(positions))
    wait_until(lambda: saved_offsets(positions).get("log", 0) > 0)
    before = follower.kill()
    assert before == lines[: len(before)]
    follower.start()
    append(log, b"end\n")
    after = list(iter(lambda: follower.host.next_event().data, b"end"))
    assert after == lines[len(lines) - len(after) :]
    assert len(before) + len(after) >= len(lines)


def test_a_run_to_the_end_keeps_its_position(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"one\ntwo")
    config = {**TO_THE_END, "position_file": str(tmp_path / "positions")}
    assert [event.data for event in collect(TAIL, str(log), config=config)] == [b"one", b"two"]
    append(log, b"\nthree\n")
    assert [event.data for event in collect(TAIL, str(log), config=config)] == [b"", b"three"]


# Mistakes


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff", b"[]", b'{"version": 1, "files": [{"path": "/log"}]}', b'{"version": 2, "files": []}'],
)
def test_a_damaged_position_file_is_an_error_that_says_what_to_do(content: bytes, tmp_path: Path) -> None:
    positions, log = tmp_path / "positions", tmp_path / "log"
    positions.write_bytes(content)
    log.write_bytes(b"line\n")
    ran = run(TAIL, str(log), config={"position_file": str(positions)})
    assert ran.result == "failure"
    assert ran.events == []
    assert str(positions) in ran.error
    assert "remove it" in ran.error
    assert positions.read_bytes() == content


def test_a_position_file_that_cannot_be_written_is_an_error_at_the_start(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"line\n")
    (tmp_path / ".positions.tmp").mkdir()
    ran = run(TAIL, str(log), config={"position_file": str(tmp_path / "positions")})
    assert (ran.result, ran.events) == ("failure", [])
    assert "position_file cannot be written" in ran.error


@pytest.mark.parametrize(
    ("config", "params", "says"),
    [
        ({"start": "end", "follow": False}, "log", "nothing to read"),
        ({}, " ; ", "must name a file"),
        ({"position_file": "/nonexistent/positions"}, "log", "create it"),
        ({"follow": False}, "/nonexistent/log", "does not exist"),
        ({"follow": False}, "/nonexistent/*.log", "matches no file"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_mistake_is_an_error_that_names_it(config: dict[str, object], params: str, says: str) -> None:
    ran = run(TAIL, params, config=config)
    assert (ran.result, ran.events) == ("failure", [])
    assert says in ran.error


@pytest.mark.parametrize(
    "config",
    [
        {"folow": HIDDEN},
        {"follow": HIDDEN, "start": HIDDEN, "position_file": [HIDDEN], "poll_interval": HIDDEN, "rotated_wait": HIDDEN},
        {"position_file": "", "poll_interval": 0, "rotated_wait": -1, "event_size": 0, "max_open_files": 0},
        {"event_size": (64 << 20) + 1},
    ],
    ids=" ".join,
)
def test_a_configuration_that_does_not_fit_is_refused_with_each_name_and_no_value(config: dict[str, object]) -> None:
    ran = run(TAIL, "log", config=config)
    assert (ran.result, ran.events) == ("failure", [])
    for name in config:
        assert name in ran.error
    assert HIDDEN not in str(ran)


@pytest.mark.parametrize("config", ["follow: no", "[]", "null", '{"follow": false'])
def test_a_configuration_that_is_no_map_is_refused(config: str) -> None:
    assert run(TAIL, "log", config=config).result == "failure"


# Any of it, in any order


@dataclass
class Written:
    """What was written to one file: from its creation or truncation to the next."""

    path: Path
    lines: list[bytes] = field(default_factory=list)


class World:
    """Files that are written, rotated and truncated, and a plugin that is stopped and killed meanwhile."""

    NAMES = ("a.log", "b.log", "c.log")

    def __init__(self, folder: Path, follow: Follow) -> None:
        self._folder = folder
        self._numbers = itertools.count()
        self._positions = folder / "positions"
        self._all: list[Written] = []
        self._now = {name: self._begin(name) for name in self.NAMES}
        self._seen: list[bytes] = []
        self._seen_before = 0
        self._was_killed = False
        self._follower = follow(f"{folder}/*.log*", position_file=str(self._positions), rotated_wait=0)

    def write(self, name: str, count: int, length: int) -> None:
        """Several lines, in pieces that do not end where lines end."""
        lines = [b"%s %d %s" % (name.encode(), next(self._numbers), b"x" * length) for _ in range(count)]
        self._now[name].lines += lines
        data = b"".join(line + b"\n" for line in lines)
        for begin in range(0, len(data), 1 + len(data) // 3):
            append(self._now[name].path, data[begin : begin + 1 + len(data) // 3])

    def rotate(self, name: str) -> None:
        self._now[name].path.rename(self._folder / f"{name}.{next(self._numbers)}")
        self._now[name] = self._begin(name)

    def rewrite(self, name: str, count: int, length: int) -> None:
        """Truncated by somebody who knows that all was read; it may grow beyond its old size before anyone looks."""
        self._see(self._now[name].lines)
        self._now[name] = self._begin(name)
        self.write(name, count, length)

    def restart(self) -> None:
        self._wait_for_all()
        sizes = sorted(size for path in self._folder.glob("*.log*") if (size := path.stat().st_size))
        wait_until(lambda: sorted(p["offset"] for p in saved_positions(self._positions) if p["offset"]) == sizes)
        self._see_rest(self._follower.stop())
        self._follower.start()

    def kill(self) -> None:
        self._was_killed = True
        self._see_rest(self._follower.kill())
        self._follower.start()

    def check(self) -> None:
        self._wait_for_all()
        self._see_rest(self._follower.stop())
        times = Counter(self._seen)
        assert times.keys() == {line for written in self._all for line in written.lines}
        assert self._was_killed or set(times.values()) <= {1}
        first = {line: number for number, line in reversed(list(enumerate(self._seen)))}
        for written in self._all:
            assert sorted(written.lines, key=first.__getitem__) == written.lines

    def _begin(self, name: str) -> Written:
        path = self._folder / name
        path.write_bytes(b"")
        self._all.append(Written(path))
        return self._all[-1]

    def _see(self, lines: list[bytes]) -> None:
        missing = set(lines).difference(self._seen)
        while missing:
            self._seen.append(self._follower.host.next_event(timeout=20).data)
            missing.discard(self._seen[-1])

    def _wait_for_all(self) -> None:
        # A host that gives an event can be stopped; one that has just been started is stopped by the signal itself.
        self.write("a.log", 1, 0)
        for written in self._all:
            self._see(written.lines)

    def _see_rest(self, events: list[bytes]) -> None:
        """All events of the host that ran last, also those that nobody has asked for."""
        self._seen[self._seen_before :] = events
        self._seen_before = len(self._seen)


names = st.sampled_from(World.NAMES)
counts, lengths = st.integers(0, 300), st.sampled_from([0, 1, 50, 1000])
steps = st.one_of(
    st.tuples(st.just(World.write), names, counts, lengths),
    st.tuples(st.just(World.rotate), names),
    st.tuples(st.just(World.rewrite), names, counts, lengths),
    st.tuples(st.just(World.restart)),
    st.tuples(st.just(World.kill)),
)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(steps, min_size=1, max_size=12))
def test_nothing_is_lost_whatever_happens_in_whatever_order(
    steps: list[tuple[Callable[..., None], object]], follow: Follow
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder).resolve(), follow)
        for step, *arguments in steps:
            step(world, *arguments)
        world.check()
