"""Tests opening and closing of the endpoint, TLS, and hosts that are slower than the clients."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

import pytest
from plugins.webhook.plugin import Config, Webhook
from support.http import Answer, BlockedHost, Hook, free_port, old_tls, read_all, signature, wait_until

from falco_plugin import Context
from falco_plugin.testing import RunningPlugin, run

HTTP = "http://127.0.0.1:0/hook"
HTTPS = "https://127.0.0.1:0/hook"

Start: TypeAlias = Callable[..., tuple[RunningPlugin, Hook]]


def free_url() -> str:
    return f"http://127.0.0.1:{free_port()}/hook"


# TLS


def test_endpoint_receives_events_over_tls(start: Start) -> None:
    host, hook = start(HTTPS)
    body = b"x" * 200_000
    with closing(hook.connect()) as connection:
        for _ in range(2):
            connection.request("POST", "/hook", body, {"X-Hub-Signature-256": signature(body)})
            assert Answer(connection.getresponse()).status == 200
        assert isinstance(connection.sock, ssl.SSLSocket)
        assert connection.sock.version() in {"TLSv1.2", "TLSv1.3"}
    assert [host.next_event().data for _ in range(2)] == [body, body]


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_handshake_rejects_old_tls_and_plain_requests(start: Start) -> None:
    host, hook = start(HTTPS)
    with hook.raw() as connection, pytest.raises(ssl.SSLError):
        old_tls().wrap_socket(connection)
    assert b"HTTP/1.1" not in hook.exchange(b"GET /healthz HTTP/1.1\r\n\r\n")
    assert hook.post(b"event").status == 200
    log = "\n".join(line.text for line in host.stop().log)
    assert "TLS handshake: UNSUPPORTED_PROTOCOL (1)" in log
    assert "TLS handshake: HTTP_REQUEST (1)" in log


# A host that is behind


def large_event(number: int) -> bytes:
    """Returns an event that is larger than the buffer of a pipe."""
    return b"%d" % number * 100_000


class SlowHost(BlockedHost):
    """The endpoint in a host that stops reading events after a while."""

    def __init__(self, library: Path, config: Mapping[str, object]) -> None:
        super().__init__(library, HTTP, config)
        self.hook = Hook(self.port)

    def fill(self) -> tuple[list[bytes], Answer]:
        """Sends events until the host is behind. Returns them, and the answer to the last one."""
        sent: list[bytes] = []
        while True:
            sent.append(large_event(len(sent)))
            answer = self.hook.post(sent[-1])
            if answer.status != 200:
                return sent, answer


@pytest.mark.slow
def test_endpoint_answers_503_while_falco_is_behind(library: Path, secret: str) -> None:
    config = {"secret": secret, "delivery_timeout": 0.3}
    with closing(SlowHost(library, config)) as host:
        sent, rejected = host.fill()
        assert (rejected.status, rejected.headers["Retry-After"]) == (503, "5")
        assert "all of the events may still be delivered" in rejected.text
        # Repeated attempts are not queued.
        for _ in range(2):
            rejected = host.hook.post(b"rejected")
            assert (rejected.status, rejected.headers["Retry-After"]) == (503, "5")
            assert "no event was delivered" in rejected.text
        assert [host.read_event() for _ in sent] == sent
        wait_until(lambda: host.hook.post(b"accepted").status == 200)
        assert host.read_event() == b"accepted"


@pytest.mark.slow
def test_large_batch_waits_at_most_delivery_timeout(library: Path, secret: str) -> None:
    config = {"secret": secret, "delivery_timeout": 0.3, "capacity": 2, "max_body": 32 << 20}
    with closing(SlowHost(library, config)) as host:
        lines = [large_event(number) for number in range(100)]
        rejected = host.hook.post(b"\n".join(lines), Content_Type="application/x-ndjson")
        assert (rejected.status, rejected.headers["Retry-After"]) == (503, "5")
        assert "some of the events may still be delivered" in rejected.text
        # The first lines are delivered, and the next request after them.
        with ThreadPoolExecutor(1) as reader:
            reading = reader.submit(lambda: list(iter(host.read_event, b"after")))
            wait_until(lambda: host.hook.post(b"after").status == 200)
            delivered = reading.result(timeout=20)
        assert delivered == lines[: len(delivered)]


# Opening and closing


def test_stop_delivers_each_event_answered_with_200(start: Start) -> None:
    host, hook = start(free_url())
    accepted: list[bytes] = []
    statuses: set[int] = set()

    def client(number: int) -> None:
        for turn in range(100_000):
            body = b"%d/%d" % (number, turn)
            try:
                status = hook.post(body).status
            except (OSError, http.client.HTTPException):
                return
            statuses.add(status)
            if status != 200:
                return
            accepted.append(body)

    with ThreadPoolExecutor(8) as clients:
        running = [clients.submit(client, number) for number in range(8)]
        wait_until(lambda: len(accepted) > 50)
        ran = host.stop()
        for future in running:
            future.result(timeout=20)
    assert statuses <= {200, 503}
    seen = Counter(event.data for event in ran.events)
    assert set(accepted) <= set(seen)
    assert set(seen.values()) == {1}
    assert hook.is_free()


def test_stop_does_not_wait_for_slow_clients(start: Start) -> None:
    host, hook = start(free_url(), request_timeout=600)
    in_headers, in_body, silent = (hook.raw() for _ in range(3))
    in_headers.sendall(b"POST /hook HTTP/1.1\r\nX-Slow: ")
    in_body.sendall(
        b"POST /hook HTTP/1.1\r\nX-Hub-Signature-256: sha256=00\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
    )
    assert in_body.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert hook.post(b"event").status == 200
    ran = host.stop()
    assert [event.data for event in ran.events] == [b"event"]
    assert hook.is_free()
    with in_headers, in_body, silent:
        assert read_all(in_headers) == b""
        assert read_all(in_body).startswith(b"HTTP/1.1 503 ")
        assert read_all(silent) == b""


def test_close_releases_threads_descriptors_and_port() -> None:
    plugin = Webhook()
    plugin.config = Config(allow_unsigned=True)
    plugin.init()

    url = free_url()

    def open_and_close() -> None:
        instance = plugin.open(url, Context())
        assert Hook(int(url.split(":")[2].partition("/")[0])).request("GET", "/healthz").status == 200
        instance.close()

    open_and_close()
    before = count_threads_and_descriptors()
    for _ in range(5):
        open_and_close()
    assert count_threads_and_descriptors() == before


def count_threads_and_descriptors() -> tuple[int, int]:
    return threading.active_count(), len(os.listdir("/proc/self/fd"))


def test_open_fails_if_the_port_is_in_use(library: Path, secret: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        url = f"http://127.0.0.1:{other.getsockname()[1]}/hook"
        ran = run(library, url, config={"secret": secret})
    assert ran.result == "failure"
    assert f"cannot listen on {url.removesuffix('/hook')}: " in str(ran.error)
    assert "Address already in use" in str(ran.error)
