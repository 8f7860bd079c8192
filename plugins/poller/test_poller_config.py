"""Tests which configurations, tokens and URLs are rejected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from plugins.poller.config import Config
from plugins.poller.conftest import POLLER, TOKEN, AuditApi, Reject

from falco_plugin.polling.paging import SIZE_PARAMETERS
from falco_plugin.testing import run


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"start": "2026-11-01T00:00:00Z"}, "start is set, but open_params does not contain {start}"),
        ({"token": f"file:{TOKEN}"}, "token: the file of this secret cannot be read: No such file or directory"),
        ({"ca_file": TOKEN}, "ca_file cannot be used: "),
        ({"ca_file": "/dev/null"}, "ca_file cannot be used: "),
    ],
)
def test_configuration_is_rejected_when_unusable(changes: dict[str, Any], reason: str, reject: Reject) -> None:
    assert reason in reject(**changes)


SECONDS = [0, 24 * 3600 + 1, [1]]
INVALID = {
    "token": ["", [1], "file:", "env:NOT_SET"],
    "id_field": ["", [1]],
    "timestamp_field": ["", [1]],
    "auth_scheme": ["", "Bearer token", [1]],
    "cursor_file": ["", [1]],
    "start": ["yesterday", "2026-11-01T00:00:00", [1]],
    "interval": SECONDS,
    "rate_share": [0, 1.01, [1]],
    "timeout": SECONDS,
    "retry_wait": SECONDS,
    "max_body": [0, (1 << 30) + 1, [1]],
    "event_size": [0, (64 << 20) + 1, [1]],
    "ca_file": ["", [1]],
    "proxy": ["", "http://user:password@proxy:3128", [1]],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in INVALID.items() for value in values])
def test_each_setting_has_its_type_and_limits(name: str, value: object, reject: Reject) -> None:
    assert name in reject(**{name: value})


def test_all_settings_are_covered() -> None:
    assert set(INVALID) == set(Config.__struct_fields__)


def test_host_reports_each_wrong_setting_without_its_value(okta: AuditApi, fail: Callable[..., str]) -> None:
    wrong = {"tokn": TOKEN, **{name: [TOKEN] for name in INVALID}, "auth_scheme": f"Bearer {TOKEN}", "start": TOKEN}
    error = fail(okta.url, **wrong)
    for name in wrong:
        assert name in error
    assert okta.requests == []


def test_configuration_is_required(library: Path, okta: AuditApi) -> None:
    ran = run(library, okta.url)
    assert ran.result == "failure"
    for name in ("id_field", "timestamp_field"):
        assert name in str(ran.error)


@pytest.mark.parametrize("content", [" \n", f"{TOKEN}\n{TOKEN}", f"{TOKEN}é"])
def test_token_is_rejected_when_it_cannot_be_sent(content: str, reject: Reject, config: dict[str, Any]) -> None:
    Path(config["token"].removeprefix("file:")).write_text(content)
    assert "must contain only the token" in reject()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "must be the URL"),
        ("ftp://127.0.0.1/", "must be the URL"),
        ("https://", "must be the URL"),
        (f"https://user:{TOKEN}@127.0.0.1/", "the URL has a user or a fragment"),
        ("https://127.0.0.1/#x", "the URL has a user or a fragment"),
        ("http://192.0.2.1/logs", "use https"),
    ],
)
def test_url_is_rejected_when_unusable(url: str, reason: str, reject: Reject) -> None:
    assert reason in reject(url)


def test_readme_lists_the_parameters_that_set_the_page_size() -> None:
    text = (POLLER / "README.md").read_text()
    assert [name for name in SIZE_PARAMETERS if f"`{name}`" not in text] == []
