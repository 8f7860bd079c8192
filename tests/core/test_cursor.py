"""Cursors: what a file keeps across restarts, and which files are refused."""

from __future__ import annotations

import errno
import json
import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.permissions import as_root

from falco_plugin import Cursor, Plugin, PluginError, cursor


class Log(Plugin):
    name = "log"

    def open(self, params: str) -> tuple[()]:
        return ()


LOG = Log()


@dataclass(frozen=True)
class Page:
    url: str
    seen: frozenset[str] = frozenset()


class Place(msgspec.Struct):
    offsets: dict[str, int]
    at: datetime | None = None


class Pair(NamedTuple):
    file: str
    offset: int


def reopen(path: Path, start: Any, **options: Any) -> Any:
    return Cursor(LOG, "", path=path, start=start, **options).value


@pytest.mark.parametrize(
    ("start", "value"),
    [
        (0, 2**63),
        ("", "a:\u20ac\n"),
        (0.0, 1.5),
        (b"", b"\0\xff"),
        (False, True),
        (Page(""), Page("https://example.org", frozenset({"a", "b"}))),
        (Place({}), Place({"a": 1}, datetime(2026, 1, 1, tzinfo=UTC))),
        (Pair("", 0), Pair("a", 7)),
        ({}, {"a": [1, None]}),
        ([], ["a", {"b": 1}]),
    ],
)
def test_value_survives_a_restart_with_its_type(tmp_path: Path, start: Any, value: Any) -> None:
    path = tmp_path / "cursor"
    first = Cursor(LOG, "", path=path, start=start)
    assert first.value == start
    assert first.save(value)
    assert first.value == value
    assert reopen(path, start) == value
    assert type(reopen(path, start)) is type(start)


@given(values=st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=8))
def test_restart_finds_the_last_saved_value(tmp_path_factory: pytest.TempPathFactory, values: list[str | None]) -> None:
    """``None`` is a restart."""
    path = tmp_path_factory.mktemp("cursor") / "cursor"
    expected, current = "start", Cursor(LOG, "p", path=path, start="start")
    for value in values:
        if value is None:
            current = Cursor(LOG, "p", path=path, start="other")
        else:
            current.save(expected := value)
        assert current.value == expected


def test_first_start_is_kept_before_anything_is_saved(tmp_path: Path) -> None:
    path = tmp_path / "cursor"
    assert [reopen(path, start) for start in (5, 6)] == [5, 5]
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["cursor"]


def test_cursor_without_a_path_is_only_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    memory = Cursor(LOG, "", path=None, start=1)
    assert memory.save(2)
    assert (memory.value, memory.path, os.listdir(tmp_path)) == (2, None, [])


def test_equal_value_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "cursor"
    kept: Cursor[dict[str, int]] = Cursor(LOG, "", path=path, start={})
    changed = {"b": 1, "a": 2}
    kept.save(changed)
    written = path.stat().st_ino, path.stat().st_mtime_ns
    assert kept.save({"a": 2, "b": 1})
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == written
    changed["a"] = 3  # the same object, with another content
    kept.save(changed)
    assert reopen(path, {}) == {"b": 1, "a": 3}


def test_symbolic_link_keeps_its_target(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    link = tmp_path / "cursor"
    link.symlink_to("data/cursor")
    kept = Cursor(LOG, "", path=link, start=1)
    assert kept.path == str(tmp_path / "data" / "cursor")
    assert link.is_symlink()
    assert os.listdir(tmp_path / "data") == ["cursor"]


def test_file_of_a_crashed_write_is_replaced(tmp_path: Path) -> None:
    victim, temporary = tmp_path / "victim", tmp_path / ".cursor.tmp"
    victim.write_text("kept")
    temporary.symlink_to(victim)
    assert reopen(tmp_path / "cursor", 1) == 1
    assert victim.read_text() == "kept"
    assert not temporary.exists()


def content(**changes: Any) -> bytes:
    return json.dumps({"plugin": "log", "open_params": "p", "version": 1, "cursor": 1, **changes}).encode()


@pytest.mark.parametrize(
    ("written", "error"),
    [
        (b"", "is damaged (Input data was truncated): restore a good copy, or remove it to begin again"),
        (b"\xff", "is damaged"),
        (b"[1]", "is damaged (Expected `object`, got `array`)"),
        (b"17", "is damaged"),
        (content()[:-1], "is damaged (Input data was truncated)"),
        (content(more=1), "is damaged (Object contains unknown field `more`)"),
        (content(cursor="1"), "is damaged (Expected `int`, got `str`)"),
        (content(cursor=None), "is damaged (Expected `int`, got `null`)"),
        (
            b'{"plugin":"log","open_params":"p","version":1,"cursor":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
            "damaged",
        ),
        (content(plugin="poller"), "belongs to plugin 'poller', not to log: use another file"),
        (content(open_params="q"), "belongs to other open_params: use another file, or remove it to begin again"),
        (content(version=2), "has version 2 of a newer log, and this one reads version 1: use the newer plugin"),
        (content(version=0), "has version 0, and log reads version 1: remove the file to begin again"),
        (b" " * (cursor.MAX_SIZE + 1), f"has {cursor.MAX_SIZE + 1} bytes, and a cursor has at most {cursor.MAX_SIZE}"),
    ],
)
def test_file_that_cannot_be_used_is_refused_and_kept(tmp_path: Path, written: bytes, error: str) -> None:
    path = tmp_path / "cursor"
    path.write_bytes(written)
    with pytest.raises(PluginError) as raised:
        Cursor(LOG, "p", path=path, start=0)
    assert str(raised.value).startswith(f"cursor file {path} ")
    assert error in str(raised.value)
    assert path.read_bytes() == written


def make_writable_by_all(path: Path) -> None:
    path.write_bytes(content())
    path.chmod(0o646)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (Path.mkdir, "is not a regular file: use another path"),
        (os.mkfifo, "is not a regular file: use another path"),
        (make_writable_by_all, "can be written by all users, who could hide events: remove this permission"),
        (lambda path: path.parent.chmod(0o777), "all users can write to its folder, so they could remove it to hide"),
        (lambda path: path.symlink_to("none/cursor"), "its folder does not exist: create it"),
        (lambda path: (path.parent / ".cursor.tmp").mkdir(), "cannot be written: Is a directory"),
    ],
)
def test_path_that_cannot_be_used_is_refused(tmp_path: Path, make: Callable[[Path], object], error: str) -> None:
    path = tmp_path / "cursor"
    make(path)
    with pytest.raises(PluginError) as raised:
        Cursor(LOG, "p", path=path, start=0)
    assert error in str(raised.value)


@as_root
def test_file_of_another_user_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cursor"
    path.write_bytes(content())
    os.chown(path, 12345, -1)
    with pytest.raises(PluginError, match="belongs to user 12345, but Falco runs as user 0: give it to that user"):
        Cursor(LOG, "p", path=path, start=0)


@as_root
def test_symbolic_link_of_another_user_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    link, target = tmp_path / "cursor", tmp_path / "target"
    link.symlink_to(target)
    os.lchown(link, 12345, -1)
    with pytest.raises(PluginError, match="is a symbolic link of user 12345, who could let Falco write elsewhere"):
        Cursor(LOG, "p", path=link, start=0)
    assert not target.exists()


OTHER_PROCESS = """
import sys
from falco_plugin import Cursor, Plugin
class Log(Plugin):
    name = "log"
    def open(self, params):
        return ()
kept = Cursor(Log(), "", path=sys.argv[1], start=0)
for line in sys.stdin:
    print(kept.save(int(line)), flush=True)
"""


def test_file_is_refused_while_another_process_uses_it(tmp_path: Path) -> None:
    path = tmp_path / "cursor"
    command = [sys.executable, "-c", OTHER_PROCESS, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        try:
            for value in (1, 2):
                print(value, file=other.stdin, flush=True)
                assert other.stdout.readline() == "True\n"
                with pytest.raises(PluginError, match="is in use by another process: stop it, or use another file"):
                    reopen(path, 0)
        finally:
            other.kill()
    assert reopen(path, 0) == 2


def test_source_can_be_opened_again_in_the_same_process(tmp_path: Path) -> None:
    path = tmp_path / "cursor"
    first: Cursor[int] = Cursor(LOG, "", path=path, start=0)
    second: Cursor[int] = Cursor(LOG, "", path=path, start=0)
    assert first.save(1)
    assert second.save(2)
    del first
    assert second.save(3)
    assert reopen(path, 0) == 3


def test_cursor_leaves_no_descriptor_open(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    kept: Cursor[int] = Cursor(LOG, "", path=tmp_path / "cursor", start=0)
    assert all(kept.save(number) for number in range(5))
    assert len(os.listdir("/proc/self/fd")) == len(before) + 1
    del kept
    assert os.listdir("/proc/self/fd") == before


def test_older_version_is_migrated_step_by_step(tmp_path: Path) -> None:
    path = tmp_path / "cursor"
    Cursor(LOG, "", path=path, start=7)
    steps = {1: str, 2: lambda text: {"url": f"https://example.org/{text}"}}
    migrated = Cursor(LOG, "", path=path, start=Page(""), version=3, migrate=steps)
    assert migrated.value == Page("https://example.org/7")
    assert reopen(path, Page(""), version=3) == migrated.value
    with pytest.raises(PluginError, match="has version 3 of a newer log"):
        reopen(path, "", version=2, migrate={1: str})


def test_migration_to_a_wrong_type_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cursor"
    reopen(path, 7)
    with pytest.raises(PluginError, match="Expected `str`, got `int`"):
        reopen(path, "", version=2, migrate={1: lambda offset: offset})
    with pytest.raises(PluginError, match="has version 1, and log reads version 3"):
        reopen(path, "", version=3, migrate={1: str})
    assert reopen(path, 0) == 7


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"version": 0}, "version must be at least 1, got 0"),
        ({"migrate": {1: str}}, "migrate has version 1: each must be from 1 to 0"),
        ({"version": 2, "migrate": {2: str}}, "migrate has version 2: each must be from 1 to 1"),
    ],
)
def test_wrong_versions_are_refused(options: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError) as raised:
        Cursor(LOG, "", path=None, start=0, **options)
    assert str(raised.value) == error


def test_value_of_another_type_is_refused(tmp_path: Path) -> None:
    kept: Cursor[Any] = Cursor(LOG, "", path=tmp_path / "cursor", start=0)
    with pytest.raises(TypeError, match="the cursor must be int, as start is, got str"):
        kept.save("1")
    with pytest.raises(TypeError, match="object"):
        Cursor(LOG, "", path=None, start=object())
    large = Cursor(LOG, "", path=None, start="")
    with pytest.raises(ValueError, match=f"and {cursor.MAX_SIZE} are allowed: save less"):
        large.save("a" * cursor.MAX_SIZE)


@pytest.mark.parametrize(
    ("start", "value"),
    [(0.0, math.nan), (0.0, -math.inf), (0, True), (Pair("", 0), Pair("", "1")), (Place({}), Place({"a": 1.5}))],  # type: ignore[dict-item]
)
def test_value_that_could_not_be_read_again_is_refused(tmp_path: Path, start: Any, value: Any) -> None:
    path = tmp_path / "cursor"
    kept: Cursor[Any] = Cursor(LOG, "", path=path, start=start)
    with pytest.raises(TypeError, match="the cursor could not be read again"):
        kept.save(value)
    assert kept.value == reopen(path, start) == start
    with pytest.raises(TypeError, match="the cursor could not be read again"):
        Cursor(LOG, "", path=None, start=math.nan)


@pytest.mark.parametrize("function", ["open", "fsync", "replace"])
def test_write_that_fails_is_logged_once_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, function: str
) -> None:
    caplog.set_level("INFO")
    path = tmp_path / "cursor"
    kept = Cursor(LOG, "", path=path, start=0)

    def fail(*_args: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr(os, function, fail)
        assert [kept.save(value) for value in (1, 2, 2)] == [False] * 3
        assert kept.value == 0
    assert reopen(path, 9) == 0
    assert kept.save(2)
    assert kept.save(2)
    assert reopen(path, 9) == kept.value == 2
    assert [record.getMessage() for record in caplog.records] == [
        f"cursor file {path} cannot be written: No space left on device; trying again",
        f"cursor file {path} is written again",
    ]
    assert {record.name for record in caplog.records} == {"log"}


@pytest.mark.parametrize(("number", "is_opened"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EROFS, False)])
def test_full_disk_does_not_keep_a_source_from_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, is_opened: bool
) -> None:
    path = tmp_path / "cursor"
    assert reopen(path, 7) == 7

    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", fail)
        with pytest.raises(PluginError, match="cannot be written"):
            reopen(tmp_path / "new", 0)
        if not is_opened:
            with pytest.raises(PluginError, match="cannot be written: Read-only file system"):
                reopen(path, 0)
            return
        kept = Cursor(LOG, "", path=path, start=0)
        assert kept.value == 7
        assert not kept.save(8)
    assert kept.save(8)
    assert reopen(path, 0) == 8


def test_threads_save_whole_values(tmp_path: Path) -> None:
    path = tmp_path / "cursor"
    kept = Cursor(LOG, "", path=path, start=Pair("", 0))
    threads = [
        threading.Thread(target=lambda name=name: [kept.save(Pair(name * 50, number)) for number in range(20)])
        for name in "abc"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    file, offset = reopen(path, Pair("", 0))
    assert (file, offset) == kept.value
    assert (set(file) < set("abc"), len(file), offset) == (True, 50, 19)
