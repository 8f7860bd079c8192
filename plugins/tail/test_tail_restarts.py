"""Tests positions across restarts, and rejected position files."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pytest
from plugins.tail.conftest import TAIL, TO_THE_END, Follow, append, saved_offsets, wait_until

from falco_plugin.testing import collect


def test_restart_continues_at_the_saved_position(tmp_path: Path, follow: Follow) -> None:
    log, positions = tmp_path / "log", tmp_path / "positions"
    log.write_bytes(b"one\ntw")
    follower = follow(tmp_path, position_file=str(positions))
    follower.expect(b"one")
    wait_until(lambda: saved_offsets(positions) == {"log": 4})
    assert stat.S_IMODE(positions.stat().st_mode) == 0o600
    follower.stop()
    append(log, b"o\nthree\n")
    follower.start()
    follower.expect(b"two", b"three")
    # The position file is in the folder, but is not followed.
    append(log, b"four\n")
    follower.expect(b"four")


@pytest.mark.parametrize("params", ["app.log", "app.log*"])
def test_rotation_while_stopped_loses_no_line(params: str, tmp_path: Path, follow: Follow) -> None:
    log, positions = tmp_path / "app.log", tmp_path / "positions"
    log.write_bytes(b"one\n")
    follower = follow(tmp_path / params, position_file=str(positions))
    follower.expect(b"one")
    wait_until(lambda: saved_offsets(positions) == {"app.log": 4})
    follower.stop()
    append(log, b"two\nend")
    log.rename(tmp_path / "app.log.1")
    log.write_bytes(b"three\n")
    follower.start()
    follower.expect(b"two", b"three", b"end")


def test_renamed_file_is_found_while_not_open(tmp_path: Path, follow: Follow) -> None:
    log, other = tmp_path / "a", tmp_path / "b"
    log.write_bytes(b"one\n")
    follower = follow(f"{log};{other}", max_open_files=1)
    follower.expect(b"one")
    other.write_bytes(b"other\n")
    follower.expect(b"other")
    append(log, b"two\n")
    log.rename(tmp_path / "elsewhere")
    follower.expect(b"two")


@pytest.mark.parametrize("content", [b"", b"new\n", b"new\n" * 100])
def test_replaced_file_is_reported_after_restart(content: bytes, tmp_path: Path, follow: Follow) -> None:
    log, positions = tmp_path / "log", tmp_path / "positions"
    log.write_bytes(b"old line\n")
    follower = follow(log, position_file=str(positions))
    follower.expect(b"old line")
    wait_until(lambda: saved_offsets(positions) == {"log": 9})
    follower.stop()
    log.write_bytes(content)
    follower.start()
    follower.expect(*content.splitlines())
    assert "read up to byte 9 is not found" in follower.host.wait_for_log("is another file now").text


def test_returning_folder_is_not_read_again(tmp_path: Path, follow: Follow) -> None:
    folder, positions = tmp_path / "mounted", tmp_path / "positions"
    folder.mkdir()
    (folder / "log").write_bytes(b"one\n")
    follower = follow(folder, position_file=str(positions))
    follower.expect(b"one")
    wait_until(lambda: saved_offsets(positions) == {"log": 4})
    follower.stop()
    folder.rename(tmp_path / "away")
    follower.start()
    follower.host.wait_for_log("does not exist")
    follower.stop()
    (tmp_path / "away").rename(folder)
    append(folder / "log", b"two\n")
    follower.start()
    follower.expect(b"two")


def test_positions_survive_new_device_numbers(tmp_path: Path, follow: Follow) -> None:
    log, positions = tmp_path / "log", tmp_path / "positions"
    log.write_bytes(b"one\n")
    follower = follow(log, position_file=str(positions))
    follower.expect(b"one")
    wait_until(lambda: saved_offsets(positions) == {"log": 4})
    follower.stop()
    saved = json.loads(positions.read_bytes())
    saved["cursor"]["files"][0]["device"] += 1
    positions.write_text(json.dumps(saved))
    append(log, b"two\n")
    follower.start()
    follower.expect(b"two")


def test_position_of_a_long_missing_file_is_dropped(tmp_path: Path, follow: Follow) -> None:
    log, positions = tmp_path / "log", tmp_path / "positions"
    log.write_bytes(b"one\n")
    follower = follow(log, position_file=str(positions))
    follower.expect(b"one")
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


def test_tail_continues_while_the_position_file_is_unwritable(tmp_path: Path, follow: Follow) -> None:
    log, folder = tmp_path / "log", tmp_path / "state"
    folder.mkdir()
    log.write_bytes(b"one\n")
    follower = follow(log, position_file=str(folder / "positions"))
    follower.expect(b"one")
    wait_until(lambda: saved_offsets(folder / "positions") == {"log": 4})
    folder.rename(tmp_path / "away")
    append(log, b"two\n")
    follower.expect(b"two")
    follower.host.wait_for_log("cannot be written")
    (tmp_path / "away").rename(folder)
    follower.host.wait_for_log("is written again")
    assert saved_offsets(folder / "positions") == {"log": 8}


def test_undelivered_lines_are_repeated(tmp_path: Path) -> None:
    log = tmp_path / "log"
    lines = [b"%d" % number for number in range(600)]
    log.write_bytes(b"\n".join(lines))
    config = {**TO_THE_END, "position_file": str(tmp_path / "positions")}
    assert len(collect(TAIL, str(log), config=config, limit=100)) == 100
    assert [event.data for event in collect(TAIL, str(log), config=config)] == lines


@pytest.mark.slow
def test_kill_loses_no_line(tmp_path: Path, follow: Follow) -> None:
    log, positions = tmp_path / "log", tmp_path / "positions"
    lines = [b"%d" % number for number in range(40_000)]
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


def test_run_without_follow_saves_its_position(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"one\ntwo")
    config = {**TO_THE_END, "position_file": str(tmp_path / "positions")}
    assert [event.data for event in collect(TAIL, str(log), config=config)] == [b"one", b"two"]
    append(log, b"\nthree\n")
    assert [event.data for event in collect(TAIL, str(log), config=config)] == [b"", b"three"]
