"""Tests which configurations and position files are rejected."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from plugins.tail.config import Config
from plugins.tail.conftest import HIDDEN, TAIL
from plugins.tail.plugin import Tail

from falco_plugin import PluginError
from falco_plugin.testing import run


def failure(params: str = "log", **config: object) -> str:
    """Returns the error of init or open, which must not show hidden values."""
    with pytest.raises((ValueError, OSError, PluginError)) as raised:
        plugin = Tail()
        plugin.config = msgspec.convert(config, Config)
        plugin.open(params)
    message = str(raised.value)
    assert HIDDEN not in message
    return message


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b'{"plugin":"tail","open_params":"","version":1,"cursor":{"files":[{"path":"/log"}]}}',
        b'{"plugin":"tail","open_params":"","version":2,"cursor":{"files":[]}}',
    ],
)
def test_open_rejects_damaged_position_file(content: bytes, tmp_path: Path) -> None:
    positions = tmp_path / "positions"
    positions.write_bytes(content)
    error = failure(position_file=str(positions))
    assert str(positions) in error
    assert "remove it" in error or "remove the file" in error
    assert positions.read_bytes() == content


def test_source_fails_if_the_position_file_is_unwritable(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"line\n")
    (tmp_path / ".positions.tmp").mkdir()
    ran = run(TAIL, str(log), config={"position_file": str(tmp_path / "positions")})
    assert (ran.result, ran.events) == ("failure", [])
    assert ran.error is not None
    assert "positions cannot be written: Is a directory" in ran.error


@pytest.mark.parametrize(
    ("params", "config", "error"),
    [
        ("log", {"start": "end", "follow": False}, "nothing to read"),
        (" ; ", {}, "open_params is empty"),
        ("log", {"position_file": "/nonexistent/positions"}, "create it"),
    ],
)
def test_open_rejects_unusable_configuration(params: str, config: dict[str, object], error: str) -> None:
    assert error in failure(params, **config)


@pytest.mark.parametrize(
    ("params", "error"), [("/nonexistent/log", "does not exist"), ("/nonexistent/*.log", "matches no file")]
)
def test_missing_file_is_an_error_without_follow(params: str, error: str) -> None:
    ran = run(TAIL, params, config={"follow": False})
    assert (ran.result, ran.events) == ("failure", [])
    assert ran.error is not None
    assert error in ran.error


INVALID = {
    "follow": [HIDDEN],
    "start": ["", "middle"],
    "position_file": ["", [HIDDEN]],
    "poll_interval": [0, HIDDEN],
    "rotated_wait": [-1, HIDDEN],
    "event_size": [0, (64 << 20) + 1, HIDDEN],
    "max_open_files": [0, HIDDEN],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in INVALID.items() for value in values])
def test_each_setting_has_its_type_and_limits(name: str, value: object) -> None:
    assert name in failure(**{name: value})


def test_all_settings_are_covered() -> None:
    assert set(INVALID) == set(Config.__struct_fields__)


def test_host_reports_each_wrong_setting_without_its_value() -> None:
    ran = run(TAIL, "log", config={"folow": HIDDEN, **{name: [HIDDEN] for name in INVALID}, "start": HIDDEN})
    assert ran.result == "failure"
    for name in ("folow", *INVALID):
        assert name in str(ran.error)
    assert HIDDEN not in str(ran)
