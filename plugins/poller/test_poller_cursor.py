"""Tests the cursor file."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

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
from support.polled_api import URL

from falco_plugin.testing import RunningPlugin


def test_cursor_file_is_private_and_written_before_the_first_record(
    okta: AuditApi, start: Callable[..., RunningPlugin], cursor_file: Path
) -> None:
    okta.answers.append(never)
    url = f"{okta.url}&since={{start}}"
    plugin = start(url)
    wait_until(lambda: len(okta.requests) == 1)
    saved = position(cursor_file)["request"]["url"]
    assert cursor_file.stat().st_mode & 0o777 == 0o600
    assert list(cursor_file.parent.glob(".*")) == []
    since = datetime.fromisoformat(parse_qs(urlsplit(saved).query)["since"][0])
    assert timedelta() <= datetime.now(UTC) - since < timedelta(minutes=1)
    plugin.kill()
    start(url)
    wait_until(lambda: len(okta.requests) == 2)
    assert okta.requests[0] == okta.requests[1] == saved.removeprefix(okta.origin)


def test_cursor_file_of_another_url_is_an_error_at_the_start(reject: Reject, cursor_file: Path) -> None:
    saved = {"plugin": "poller", "open_params": "http://127.0.0.1/", "version": 1, "cursor": {"request": {"url": URL}}}
    content = json.dumps(saved)
    cursor_file.write_text(content)
    assert "belongs to other open_params" in reject()
    assert cursor_file.read_text() == content


def test_poller_continues_when_the_cursor_file_cannot_be_written_later(
    okta: AuditApi, start: Callable[..., RunningPlugin], tmp_path: Path
) -> None:
    folder = tmp_path / "cursor"
    folder.mkdir()
    okta.add(1)
    plugin = start(okta.url, cursor_file=str(folder / "cursor.json"))
    take(plugin, 1)
    wait_until(lambda: "after=1" in position(folder / "cursor.json")["request"]["url"])
    folder.rename(tmp_path / "away")
    okta.add(2)
    take(plugin, 2)
    plugin.wait_for_log("cannot be written: No such file or directory; trying again")
    folder.mkdir()
    okta.add(1)
    take(plugin, 1)
    plugin.wait_for_log("is written again")
    wait_until(lambda: "after=4" in position(folder / "cursor.json")["request"]["url"])
    assert payloads(plugin.stop()) == okta.records


def test_poller_begins_again_without_a_cursor_file(okta: AuditApi, start: Callable[..., RunningPlugin]) -> None:
    added = okta.add(PAGE + 1)
    for _ in range(2):
        plugin = start(okta.url, cursor_file=None)
        take(plugin, len(added))
        assert payloads(plugin.stop()) == added
