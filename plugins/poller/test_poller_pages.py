"""Tests pages and rate limits of an API on a real connection."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from plugins.poller.conftest import AuditApi, payloads, position, status, take, wait_until
from support.polled_api import record

from falco_plugin.testing import RunningPlugin


@pytest.mark.parametrize("where", ["http://{other}/", "//{other}/", "https://{own}/", "http://{own}@{other}/"])
def test_token_is_not_sent_to_another_origin(
    where: str,
    okta: AuditApi,
    github: AuditApi,
    start: Callable[..., RunningPlugin],
    fail: Callable[..., str],
    cursor_file: Path,
) -> None:
    link = where.format(own=urlsplit(okta.url).netloc, other=urlsplit(github.url).netloc)
    okta.answers.extend(
        [
            status(200, ("Link", "</second>; rel=next"), body=b"[]"),
            # As often as it is asked before it is killed.
            *[status(200, ("Link", f"<{link}>; rel=next"), body=b"[]")] * 100,
        ]
    )
    plugin = start(okta.url)
    plugin.wait_for_log("Unusable: the link to the next page ")
    plugin.kill()
    assert position(cursor_file)["request"]["url"] == f"{okta.origin}/second"
    # A cursor file with such a URL is refused too.
    saved = cursor_file.read_text()
    requests = len(okta.requests)
    cursor_file.write_text(saved.replace(f"{okta.origin}/second", f"{github.origin}/"))
    assert f"the page in cursor_file is not at {okta.origin}, but the token is sent only there" in fail(okta.url)
    assert github.requests == []
    assert len(okta.requests) == requests


def test_next_link_may_be_relative_and_have_several_relations(
    okta: AuditApi, start: Callable[..., RunningPlugin]
) -> None:
    okta.answers.append(status(200, ("Link", '</y>; rel="prev", <x?a=1,2>; rel="last NEXT"'), body=b"[]"))
    start(okta.url)
    wait_until(lambda: len(okta.requests) == 2)
    assert okta.requests[1] == "/x?a=1,2"


def test_next_link_to_the_same_page_asks_for_it_again(okta: AuditApi, start: Callable[..., RunningPlugin]) -> None:
    body = b"[" + record(1) + b"]"
    okta.answers.extend([status(200, ("Link", f"<{okta.url}>; rel=next"), body=body)] * 3)
    plugin = start(okta.url)
    wait_until(lambda: not okta.answers)
    assert payloads(plugin.stop()) == [record(1)]


def test_poller_continues_after_a_rate_limit(okta: AuditApi, start: Callable[..., RunningPlugin]) -> None:
    okta.answers.append(status(429, ("Retry-After", "1")))
    added = okta.add(2)
    plugin = start(okta.url)
    plugin.wait_for_log("the rate limit is reached: waiting for 1 s")
    assert take(plugin, 2) == added


def test_close_ends_the_wait_for_a_rate_limit(okta: AuditApi, start: Callable[..., RunningPlugin]) -> None:
    okta.answers.append(status(429, ("Retry-After", "3000")))
    plugin = start(okta.url)
    plugin.wait_for_log("waiting for 3000 s,")
    assert plugin.stop().result == "interrupted"
    assert len(okta.requests) == 1
