"""Sends requests over sockets to the plugin in the native host."""

from __future__ import annotations

import http.client
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import TypeAlias

import pytest
from support.http import NEXT_SECRET, SECRET, Answer, Hook, read_all, signature, wait_until

from falco_plugin.testing import RunningPlugin

HTTP = "http://127.0.0.1:0/hook"
HTTPS = "https://127.0.0.1:0/hook"

Start: TypeAlias = Callable[..., tuple[RunningPlugin, Hook]]


# Accepted requests


def test_endpoint_delivers_signed_body_unchanged(start: Start) -> None:
    host, hook = start()
    body = b'{"text": "caf\xc3\xa9"}\r\n\x00\xff'
    assert hook.post(body).status == 200
    event = host.next_event()
    assert (event.data, event.source) == (body, "webhook")
    assert event.timestamp > 0


def test_endpoint_accepts_each_secret_of_the_file(start: Start) -> None:
    host, hook = start()
    for secret in (SECRET, NEXT_SECRET):
        assert hook.post(secret[::-1], X_Hub_Signature_256=signature(secret[::-1], secret)).status == 200
        assert host.next_event().data == secret[::-1]


def test_signature_header_is_configurable(start: Start) -> None:
    host, hook = start(signature_header="X-Gitea-Signature")
    headers = {"x-gitea-signature": signature(b"event").removeprefix("sha256=")}
    assert hook.request("POST", "/hook", b"event", headers).status == 200
    assert host.next_event().data == b"event"


def test_endpoint_accepts_unsigned_requests_if_allowed(start: Start) -> None:
    host, hook = start(secret=None, allow_unsigned=True)
    assert hook.request("POST", "/hook?from=somebody", b"event").status == 200
    assert host.next_event().data == b"event"


def test_chunked_body_is_one_event_without_its_trailers(start: Start) -> None:
    host, hook = start()
    with closing(hook.connect()) as connection:
        headers = {"X-Hub-Signature-256": signature(b"one event"), "Transfer-Encoding": "chunked"}
        connection.request("POST", "/hook", iter([b"one", b" ", b"event"]), headers, encode_chunked=True)
        assert Answer(connection.getresponse()).status == 200
    request = (
        b"POST /hook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nX-Hub-Signature-256: "
        + signature(b"two").encode()
        + b"\r\n\r\n3;name=value\r\ntwo\r\n0\r\nX-Trailer: value\r\n\r\n"
        + b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    assert re.findall(rb"HTTP/1.1 (\d+)", hook.exchange(request)) == [b"200", b"200"]
    assert [host.next_event().data for _ in range(2)] == [b"one event", b"two"]


def test_each_ndjson_line_is_an_event(start: Start) -> None:
    host, hook = start()
    body = b'{"a": 1}\r\n\n{"b": 2}\n{"c": 3}'
    assert hook.post(body, Content_Type="application/x-ndjson; charset=utf-8").status == 200
    assert [host.next_event().data for _ in range(3)] == [b'{"a": 1}', b'{"b": 2}', b'{"c": 3}']


def test_event_that_is_too_large_does_not_hide_its_batch(start: Start) -> None:
    host, hook = start(event_size=10)
    body = b"before\n" + b"l" * 11 + b"\nbehind"
    assert hook.post(body, Content_Type="application/x-ndjson").status == 413
    assert [host.next_event().data for _ in range(2)] == [b"before", b"behind"]
    assert hook.post(b"after").status == 200
    assert host.next_event().data == b"after"


def test_batch_may_exceed_the_channel_capacity(start: Start) -> None:
    host, hook = start(capacity=2)
    lines = [b"line %d" % number for number in range(500)]
    assert hook.post(b"\n".join(lines), Content_Type="application/x-ndjson").status == 200
    assert [host.next_event().data for _ in lines] == lines


def test_concurrent_clients_deliver_each_event_once(start: Start) -> None:
    host, hook = start()

    def client(number: int) -> list[bytes]:
        bodies = [b"%d/%d" % (number, turn) for turn in range(20)]
        with closing(hook.connect()) as connection:
            for body in bodies:
                connection.request("POST", "/hook", body, {"X-Hub-Signature-256": signature(body)})
                assert Answer(connection.getresponse()).status == 200
        return bodies

    with ThreadPoolExecutor(12) as clients:
        sent = [body for bodies in clients.map(client, range(12)) for body in bodies]
    assert Counter(event.data for event in host.stop().events) == Counter(sent)


# Rejected requests


def test_endpoint_rejects_invalid_requests(start: Start) -> None:
    host, hook = start(event_size=100, max_body=1000)
    assert hook.request("POST", "/hook", b"event").status == 401
    for wrong in (signature(b"other"), signature(b"event", b"guessed"), "sha256=", "sha256=é", "sha1=abc"):
        assert hook.post(b"event", X_Hub_Signature_256=wrong).status == 401
    assert hook.post(b"").status == 400
    assert hook.post(b"\r\n\n", Content_Type="application/x-ndjson").status == 400
    assert hook.post(b"x" * 101).status == 413
    assert hook.post(b"x" * 1001).status == 413
    assert hook.request("POST", "/other", b"event").status == 404
    rejected = hook.request("GET", "/hook")
    assert (rejected.status, rejected.headers["Allow"]) == (405, "POST")
    assert hook.request("HEAD", "/hook").status == 405
    assert hook.post(b"the only event").status == 200
    assert [event.data for event in host.stop().events] == [b"the only event"]


SECOND = b"POST /hook HTTP/1.1\r\nContent-Length: 6\r\n\r\nsecond"

MALFORMED = [
    (b"Content-Length: -1", b"", 400),
    (b"Content-Length: +5", b"event", 400),
    (b"Content-Length: five", b"event", 400),
    (b"Content-Length: 99999999999999999999", b"", 413),
    (b"Transfer-Encoding: gzip, chunked", b"", 501),
    (b"Transfer-Encoding: chunked", b"five\r\n", 400),
    (b"Transfer-Encoding: chunked", b"-5\r\nevent\r\n0\r\n\r\n", 400),
    (b"Transfer-Encoding: chunked", b"5\r\nevents\r\n", 400),
    (b"Transfer-Encoding: chunked", b"5;" + b"x" * 2000 + b"\r\nevent\r\n", 400),
    (b"Transfer-Encoding: chunked", b"0\r\n" + b"X: y\r\n" * 100 + b"\r\n", 400),
    (b"Transfer-Encoding: chunked", b"FFFFFFFF\r\n", 413),
    (b"Transfer-Encoding: chunked", b"200\r\n" + b"x" * 512 + b"\r\n1F0\r\n", 413),
    (b"X-Long: " + b"x" * 20000, b"", 431),
    # A proxy may interpret these differently.
    (b"Content-Length : 5", b"event", 400),
    (b"Content-Length\t: 5", b"event", 400),
    (b"Content-Length: 5\r\n 0", b"event", 400),
    (b"X-Folded: one\r\n\ttwo", b"", 400),
    (b"Content-Length: 5\r\nContent-Length: 6", b"event!", 400),
    (b"Content-Type: text/plain\r\nContent-Type: application/json\r\nContent-Length: 5", b"event", 400),
    (b": nameless", b"", 400),
    (b"X-Nul: \0", b"", 400),
    # The client declares the length of the body in two ways.
    (b"Content-Length: 5\r\nTransfer-Encoding: chunked", b"5\r\nevent\r\n0\r\n\r\n" + SECOND, 400),
    (b"Transfer-Encoding: chunked\r\nContent-Length: 5", b"5\r\nevent\r\n0\r\n\r\n" + SECOND, 400),
    (b"Content-Length: 5, 200", b"event" + SECOND, 400),
    (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", b"0\r\n\r\n" + SECOND, 501),
]


def test_malformed_request_ends_its_connection(start: Start) -> None:
    host, hook = start(max_body=1000)
    for headers, rest, status in MALFORMED:
        request = b"POST /hook HTTP/1.1\r\nX-Hub-Signature-256: sha256=00\r\n" + headers + b"\r\n\r\n" + rest
        assert re.findall(rb"HTTP/1.1 (\d+)", hook.exchange(request)) == [b"%d" % status], request
    assert host.stop().events == []


def test_client_gets_413_while_it_sends_an_oversized_body(start: Start) -> None:
    _, hook = start(max_body=1000)
    for length in ({"Content-Length": str(1 << 20)}, {}):
        # Without a length, the body is sent in chunks.
        parts = iter([b"x" * 1024] * 1024)
        rejected = hook.request("POST", "/hook", parts, {"X-Hub-Signature-256": "sha256=00", **length})
        assert rejected.status == 413


def test_health_check_answers_while_the_source_is_open(start: Start) -> None:
    _, hook = start()
    assert hook.request("GET", "/healthz").status == 200
    head = hook.request("HEAD", "/healthz")
    assert (head.status, head.text) == (200, "")
    rejected = hook.request("POST", "/healthz", b"event")
    assert (rejected.status, rejected.headers["Allow"]) == (405, "GET, HEAD")


def test_log_has_no_body_signature_or_secret(start: Start) -> None:
    host, hook = start()
    hook.post(b"a body to keep quiet about")
    hook.post(b"a body to keep quiet about", X_Hub_Signature_256="sha256=5ec2e7")
    hook.exchange(
        b"POST /hook HTTP/1.1\r\nX-Hub-Signature-256: sha256=5ec2e7\r\nTransfer-Encoding: chunked\r\n\r\nkeep quiet\r\n"
    )
    hook.exchange(b"GET //[keep quiet HTTP/1.1\r\n\r\n")
    hook.exchange(b"keep quiet\r\n\r\n")
    log = "\n".join(line.text for line in host.stop().log)
    assert "the signature matches no secret (1)" in log
    assert "malformed chunked body (1)" in log
    assert "127.0.0.1" in log
    for text in ("keep quiet", "5ec2e7", SECRET.decode(), NEXT_SECRET.decode()):
        assert text not in log


def test_repeated_rejections_are_logged_in_few_lines(start: Start) -> None:
    host, hook = start()
    for _ in range(50):
        assert hook.post(b"event", X_Hub_Signature_256="sha256=00").status == 401
    lines = [line.text for line in host.stop().log if "rejected input" in line.text]
    assert len(lines) < 10
    assert (
        sum(int(count) for line in lines for count in re.findall(r"the signature matches no secret \((\d+)\)", line))
        == 50
    )


# Time and connections


@pytest.mark.slow
@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"POST /hook HTTP/1.1\r\nX-Slow: ",
        b"POST /hook HTTP/1.1\r\nX-Hub-Signature-256: sha256=00\r\nContent-Length: 100000\r\n\r\n",
        b"POST /hook HTTP/1.1\r\nX-Hub-Signature-256: sha256=00\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n",
    ],
    ids=["request line", "headers", "body", "chunk"],
)
def test_slow_client_is_cut_off_after_request_timeout(start: Start, beginning: bytes) -> None:
    host, hook = start(request_timeout=0.5)
    with hook.raw() as slow:
        slow.sendall(beginning)
        with dripping(slow):
            # Other clients are served at the same time.
            assert hook.post(b"event").status == 200
            assert re.findall(rb"HTTP/1.1 (\d+)", read_all(slow)) == [b"408"]
    assert host.next_event().data == b"event"


@contextmanager
def dripping(connection: socket.socket) -> Generator[None]:
    """Sends single bytes, more often than any timeout between two bytes."""
    done = threading.Event()

    def drip() -> None:
        while not done.wait(0.02):
            try:
                connection.send(b"x")
            except OSError:
                return

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.mark.slow
@pytest.mark.parametrize("params", [HTTP, HTTPS])
def test_silent_connections_are_closed_without_delaying_others(start: Start, params: str) -> None:
    host, hook = start(params, request_timeout=0.5)
    silent = [hook.raw() for _ in range(20)]
    assert hook.post(b"event").status == 200
    assert host.next_event().data == b"event"
    for connection in silent:
        with connection:
            assert read_all(connection) == b""


def test_connection_is_kept_alive(start: Start) -> None:
    host, hook = start()
    with closing(hook.connect()) as connection:
        for body in (b"one", b"two"):
            connection.request("POST", "/hook", body, {"X-Hub-Signature-256": signature(body)})
            assert Answer(connection.getresponse()).status == 200
            assert connection.sock is not None
    assert [host.next_event().data for _ in range(2)] == [b"one", b"two"]


def test_silent_clients_do_not_keep_senders_away(start: Start) -> None:
    host, hook = start(max_connections=2)
    with hook.raw(), hook.raw():
        wait_until(lambda: is_served(hook))
    assert host.next_event().data == b"event"
    host.wait_for_log("more than 2 connections")


def is_served(hook: Hook) -> bool:
    """Returns whether a request is accepted, which may need a second."""
    try:
        return hook.post(b"event").status == 200
    except (OSError, http.client.HTTPException):
        return False
