"""Tests which configurations and position files are rejected."""

from __future__ import annotations

from pathlib import Path

import pytest
from plugins.tail.conftest import HIDDEN, TAIL

from falco_plugin.testing import run


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff", b"[]", b'{"version": 1, "files": [{"path": "/log"}]}', b'{"version": 2, "files": []}'],
)
def test_open_rejects_damaged_position_file(content: bytes, tmp_path: Path) -> None:
    positions, log = tmp_path / "positions", tmp_path / "log"
    positions.write_bytes(content)
    log.write_bytes(b"line\n")
    ran = run(TAIL, str(log), config={"position_file": str(positions)})
    assert ran.result == "failure"
    assert ran.events == []
    assert str(positions) in ran.error
    assert "remove it" in ran.error
    assert positions.read_bytes() == content


def test_open_fails_if_the_position_file_is_unwritable(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"line\n")
    (tmp_path / ".positions.tmp").mkdir()
    ran = run(TAIL, str(log), config={"position_file": str(tmp_path / "positions")})
    assert (ran.result, ran.events) == ("failure", [])
    assert "position_file cannot be written" in ran.error


@pytest.mark.parametrize(
    ("config", "params", "error"),
    [
        ({"start": "end", "follow": False}, "log", "nothing to read"),
        ({}, " ; ", "must name a file"),
        ({"position_file": "/nonexistent/positions"}, "log", "create it"),
        ({"follow": False}, "/nonexistent/log", "does not exist"),
        ({"follow": False}, "/nonexistent/*.log", "matches no file"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_open_rejects_invalid_configuration(config: dict[str, object], params: str, error: str) -> None:
    ran = run(TAIL, params, config=config)
    assert (ran.result, ran.events) == ("failure", [])
    assert error in ran.error


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
def test_init_names_each_wrong_setting_without_its_value(config: dict[str, object]) -> None:
    ran = run(TAIL, "log", config=config)
    assert (ran.result, ran.events) == ("failure", [])
    for name in config:
        assert name in ran.error
    assert HIDDEN not in str(ran)


@pytest.mark.parametrize("config", ["follow: no", "[]", "null", '{"follow": false'])
def test_init_rejects_configuration_that_is_not_a_map(config: str) -> None:
    assert run(TAIL, "log", config=config).result == "failure"
