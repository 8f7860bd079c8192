"""Tests the state file."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from plugins.poller.conftest import (
    PAGE,
    AuditApi,
    Reject,
    never,
    payloads,
    position,
    take,
    wait_until,
)

from falco_plugin.testing import RunningPlugin


def test_state_file_is_private_and_written_before_the_first_record(
    okta: AuditApi, start: Callable[..., RunningPlugin], state_file: Path
) -> None:
    okta.answers.append(never)
    url = f"{okta.url}&since={{start}}"
    plugin = start(url)
    wait_until(lambda: len(okta.requests) == 1)
    saved = position(state_file)["url"]
    assert state_file.stat().st_mode & 0o777 == 0o600
    assert list(state_file.parent.glob(".*")) == []
    since = datetime.fromisoformat(parse_qs(urlsplit(saved).query)["since"][0])
    assert timedelta() <= datetime.now(UTC) - since < timedelta(minutes=1)
    plugin.kill()
    start(url)
    wait_until(lambda: len(okta.requests) == 2)
    assert okta.requests[0] == okta.requests[1] == saved.removeprefix(okta.origin)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is damaged"),
        (b'{"open_params":"', "is damaged"),
        (b"\xff", "is damaged"),
        (b'{"open_params":"http://127.0.0.1/","cursor":{"url":"http://127.0.0.1/"}}', "belongs to other open_params"),
    ],
)
def test_state_file_that_cannot_be_used_is_an_error_at_the_start(
    content: bytes, reason: str, reject: Reject, state_file: Path
) -> None:
    state_file.write_bytes(content)
    assert reason in reject()
    assert state_file.read_bytes() == content


def test_state_file_that_cannot_be_written_is_an_error_at_the_start(reject: Reject, tmp_path: Path) -> None:
    assert "state_file cannot be used" in reject(state_file=str(tmp_path / "none/state.json"))


def test_poller_continues_when_the_state_file_cannot_be_written_later(
    okta: AuditApi, start: Callable[..., RunningPlugin], tmp_path: Path
) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    okta.add(1)
    plugin = start(okta.url, state_file=str(folder / "state.json"))
    take(plugin, 1)
    wait_until(lambda: "after=1" in position(folder / "state.json")["url"])
    folder.rename(tmp_path / "away")
    okta.add(2)
    take(plugin, 2)
    plugin.wait_for_log("cannot be written: No such file or directory; trying again")
    folder.mkdir()
    okta.add(1)
    take(plugin, 1)
    plugin.wait_for_log("is written again")
    wait_until(lambda: "after=4" in position(folder / "state.json")["url"])
    assert payloads(plugin.stop()) == okta.records


def test_poller_begins_again_without_a_state_file(okta: AuditApi, start: Callable[..., RunningPlugin]) -> None:
    added = okta.add(PAGE + 1)
    for _ in range(2):
        plugin = start(okta.url, state_file=None)
        take(plugin, len(added))
        assert payloads(plugin.stop()) == added
