"""Tests the configuration and open_params."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from plugins.poller.conftest import (
    TOKEN,
    AuditApi,
)

from falco_plugin.testing import run


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tokn": TOKEN}, "tokn"),
        ({"token_file": None}, "token_file"),
        ({"start": TOKEN}, "init_config does not fit: start: "),
        ({"start": "2026-11-01T00:00:00"}, "init_config does not fit: start: "),
        ({"start": "2026-11-01T00:00:00Z"}, "write {start} into open_params"),
        ({"token_file": TOKEN}, "token_file cannot be read: No such file or directory"),
        ({"ca_file": TOKEN}, "ca_file cannot be used: "),
        ({"ca_file": "/dev/null"}, "ca_file cannot be used: "),
    ],
)
def test_configuration_is_rejected_when_unusable(
    changes: dict[str, Any], reason: str, okta: AuditApi, fail: Callable[..., str]
) -> None:
    assert reason in fail(okta.url, **changes)
    assert okta.requests == []


SECONDS = ("interval", "timeout", "retry_wait")
SIZES = ("max_body", "event_size")
TEXTS = ("token_file", "id_field", "timestamp_field", "auth_scheme", "state_file", "ca_file", "proxy")


@pytest.mark.parametrize(
    "changes",
    [
        {name: [TOKEN] for name in (*SECONDS, *SIZES, *TEXTS, "rate_share", "start")},
        {**dict.fromkeys([*SECONDS, *SIZES, "rate_share"], 0), **dict.fromkeys(TEXTS, "")},
        {**dict.fromkeys(SECONDS, 24 * 3600 + 1), **dict.fromkeys(SIZES, (1 << 30) + 1), "rate_share": 1.01},
        {"auth_scheme": f"Bearer {TOKEN}", "proxy": f"http://user:{TOKEN}@proxy:3128"},
    ],
    ids=["wrong type", "too small", "too large", "wrong text"],
)
def test_configuration_error_names_each_wrong_setting(
    changes: dict[str, Any], okta: AuditApi, fail: Callable[..., str]
) -> None:
    error = fail(okta.url, **changes)
    for name in changes:
        assert name in error
    assert okta.requests == []


def test_configuration_is_required(library: Path, okta: AuditApi) -> None:
    ran = run(library, okta.url)
    assert ran.result == "failure"
    for name in ("token_file", "id_field", "timestamp_field"):
        assert name in str(ran.error)


@pytest.mark.parametrize("content", ["\n", f"{TOKEN}\n{TOKEN}", f"{TOKEN}é"])
def test_token_is_rejected_when_it_cannot_be_sent(
    content: str, okta: AuditApi, fail: Callable[..., str], config: dict[str, Any]
) -> None:
    Path(config["token_file"]).write_text(content)
    assert "must contain only the token" in fail(okta.url)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "must be the URL"),
        ("ftp://127.0.0.1/", "must be the URL"),
        ("https://", "must be the URL"),
        (f"https://user:{TOKEN}@127.0.0.1/", "without a user"),
        ("https://127.0.0.1/#x", "without a user and a fragment"),
        ("http://192.0.2.1/logs", "use https"),
    ],
)
def test_url_is_rejected_when_unusable(url: str, reason: str, fail: Callable[..., str]) -> None:
    assert reason in fail(url)
