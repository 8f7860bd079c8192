"""Tests failures of the API, and that secrets and records are not logged."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from plugins.poller.conftest import (
    TOKEN,
    Answer,
    AuditApi,
    Handler,
    cut_off,
    hang_up,
    never,
    payloads,
    status,
    take,
    trickle,
    wait_until,
)
from support.http import self_signed

from falco_plugin.testing import RunningPlugin


@pytest.mark.slow
def test_poller_continues_after_a_failure(github: AuditApi, start: Callable[..., RunningPlugin]) -> None:
    failures = [
        status(500),
        status(502, body=b"<html>"),
        status(503),
        status(408),
        hang_up,
        cut_off,
        trickle,
        never,
        status(401),
        status(403),
        status(404),
        status(302, ("Location", "/elsewhere")),
        status(200, body=b"<html>"),
        status(200, body=b'{"records":[]}'),
        status(200, body=b"[1]"),
        status(200, body=b"[" + b" " * 5000 + b"]"),
        status(200, ("Link", "<http://[>; rel=next"), body=b"[]"),
    ]
    plugin = start(github.url, timeout=0.5, max_body=4000)
    for number, answer in enumerate([github.serve, *failures]):
        github.answers.append(answer)
        wait_until(lambda: not github.answers)
        wait_until(lambda number=number: sum("called again in 0.02 s" in line.text for line in plugin.log) == number)
        added = github.add(2)
        assert take(plugin, 2) == added
    assert payloads(plugin.stop()) == github.records


def test_repeated_failure_is_logged_in_one_line(okta: AuditApi, start: Callable[..., RunningPlugin]) -> None:
    okta.answers.extend([status(500)] * 4)
    added = okta.add(1)
    plugin = start(okta.url)
    assert take(plugin, 1) == added
    lines = [line.text for line in plugin.stop().log if "the source failed" in line.text]
    assert ["Traceback" in line for line in lines] == [True, False, False, False]
    expected = f"the source failed again: Unavailable: {okta.origin} answers 500 Internal Server Error; it is called "
    for line in lines[1:]:
        assert expected in line
        assert "\n" not in line


def test_poller_waits_for_an_api_that_is_away_at_the_start(okta: AuditApi, start: Callable[..., RunningPlugin]) -> None:
    okta.answers.extend([status(500), hang_up, status(503)])
    added = okta.add(2)
    assert take(start(okta.url), 2) == added


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (status(401), "answers 401 Unauthorized: set a valid token"),
        (status(403), "answers 403 Forbidden: give the token the permission"),
        (status(404), "answers 404 Not Found: correct the URL"),
        (status(400), "answers 400 Bad Request: correct the URL"),
        (status(301, ("Location", "/elsewhere")), "redirects are not followed"),
        (status(200, body=b"<html>"), "is not a JSON array of objects"),
        (status(200, body=b'{"records":[]}'), "is not a JSON array of objects (Expected `array`, got `object`)"),
        (status(200, body=b"[" + b" " * 5000 + b"]"), "is larger than 4000 bytes"),
    ],
)
def test_poller_ends_at_the_start_when_the_configuration_is_wrong(
    answer: Answer, reason: str, okta: AuditApi, fail: Callable[..., str]
) -> None:
    okta.answers.append(answer)
    assert reason in fail(okta.url, max_body=4000)
    assert len(okta.requests) == 1


@pytest.mark.parametrize("answer", [never, trickle])
def test_close_cancels_a_request(answer: Answer, okta: AuditApi, start: Callable[..., RunningPlugin]) -> None:
    okta.answers.append(answer)
    plugin = start(okta.url)
    wait_until(lambda: len(okta.requests) == 1)
    # Without a cancellation the request would take a minute, and stop waits for ten seconds.
    assert plugin.stop().result == "interrupted"


def test_token_can_be_replaced_while_falco_runs(
    okta: AuditApi, start: Callable[..., RunningPlugin], config: dict[str, Any]
) -> None:
    def authorize(handler: Handler) -> None:
        if handler.headers["Authorization"] == "SSWS the-new-one":
            handler.api.serve(handler)
        else:
            handler.reply(401)

    added = okta.add(1)
    plugin = start(okta.url, auth_scheme="SSWS")
    assert take(plugin, 1) == added
    assert set(okta.authorizations) == {f"SSWS {TOKEN}"}
    okta.answers.extend([authorize] * 1000)
    plugin.wait_for_log("answers 401 Unauthorized: set a valid token")
    Path(config["token"].removeprefix("file:")).write_text("the-new-one")
    added = okta.add(1)
    assert take(plugin, 1) == added


def test_log_has_neither_token_nor_records(okta: AuditApi, start: Callable[..., RunningPlugin]) -> None:
    private = b'{"uuid":"1","text":"private"}'

    def repeat(code: int) -> Answer:
        repeated = f"{TOKEN} private"
        headers = (("Set-Cookie", repeated), ("X-Token", repeated), ("Location", f"/{repeated}"))
        return lambda handler: handler.reply(code, repeated.encode(), *headers, phrase=repeated)

    def malformed(handler: Handler) -> None:
        handler.wfile.write(f"{TOKEN} private\r\n\r\n".encode())
        handler.close_connection = True

    okta.records.append(private)
    plugin = start(f"{okta.url}&key={TOKEN}", retry_wait=0.001)
    take(plugin, 1)
    failures = [repeat(401), repeat(403), repeat(500), repeat(200), repeat(302), malformed, cut_off, hang_up]
    okta.answers.extend([*failures, status(200, body=b'[{"private":1,}]'), repeat(429)])
    plugin.wait_for_log("waiting for 60 s")
    ran = plugin.stop()
    assert sum("failed" in line.text for line in ran.log) >= len(failures)
    assert TOKEN not in str(ran)
    assert "private" not in str(ran)


def test_requests_go_through_the_proxy(github: AuditApi, start: Callable[..., RunningPlugin]) -> None:
    added = github.add(2)
    assert take(start("http://localhost:1/logs", proxy=github.origin), 2) == added
    assert github.requests[0] == "http://localhost:1/logs"


def test_server_needs_a_certificate_of_a_known_authority(
    servers: ExitStack, start: Callable[..., RunningPlugin], tmp_path: Path
) -> None:
    api = AuditApi(last_page_has_link=True, tls=tls(tmp_path))
    servers.callback(api.close)
    added = api.add(2)
    stranger = start(api.url)
    stranger.wait_for_log("CERTIFICATE_VERIFY_FAILED")
    assert payloads(stranger.stop()) == []
    assert api.requests == []
    assert take(start(api.url, ca_file=str(tmp_path / "cert.pem")), 2) == added


def tls(folder: Path) -> ssl.SSLContext:
    """Returns TLS with a self-signed certificate for 127.0.0.1."""
    for name, content in zip(("cert.pem", "key.pem"), self_signed(), strict=True):
        (folder / name).write_bytes(content)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context
