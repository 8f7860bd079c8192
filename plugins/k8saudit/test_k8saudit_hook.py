"""Sends audit events over sockets to the plugin in the native host."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

import msgspec
import pytest
from plugins.k8saudit.config import Config
from plugins.k8saudit.conftest import NANOSECONDS, event, event_list, large_event
from plugins.k8saudit.plugin import K8sAudit
from support.http import Answer, AuditHook, free_port, old_tls, read_all, wait_until

from falco_plugin import Context, Timeout, source
from falco_plugin.receiving import ReceiverConfig
from falco_plugin.testing import RunningPlugin, run

HTTP = "http://127.0.0.1:0/k8s-audit"
HTTPS = "https://127.0.0.1:0/k8s-audit"

Start: TypeAlias = Callable[..., tuple[RunningPlugin, AuditHook]]


A, B, C = event("a"), event("b"), event("c")


@pytest.mark.parametrize("params", [HTTP, HTTPS])
def test_webhook_delivers_events_of_a_request(start: Start, params: str) -> None:
    host, hook = start(params)
    body = json.dumps(json.loads(event_list(A, B)), indent=2).encode()
    answer = hook.post(body, Content_Type="application/json; charset=utf-8")
    assert (answer.status, answer.text) == (200, "")
    delivered = [host.next_event() for _ in range(2)]
    assert [json.loads(each.data)["auditID"] for each in delivered] == ["a", "b"]
    assert [each.timestamp for each in delivered] == [NANOSECONDS] * 2


BODIES = [
    ("application/json", A + B),
    ("application/json", [A, B]),
    ("application/json", A + b"\n" + B + b"\n"),
    ("application/x-ndjson", A + b"\r\n\r\n" + B),
    ("application/x-ndjson; charset=utf-8", b"\xef\xbb\xbf" + event_list(A) + b"\n" + B),
    ("application/json", b"node-1 " + A + b"\nnode-1 " + B),
    ("text/json", b"[" + A + b",\n" + B),
]


def test_webhook_reads_each_document_of_a_body(start: Start) -> None:
    host, hook = start()
    for kind, body in BODIES:
        assert hook.post(body, Content_Type=kind).status == 200, body
        assert [host.next_event().data for _ in range(2)] == [A, B], body


def test_damaged_line_of_a_body_hides_no_other(start: Start) -> None:
    host, hook = start()
    lines = [b'{"kind": "Event", "requestObject": [', A, b"]}", b'{"kind": "Event", "auditID": "cut', B, b"text"]
    assert hook.post(b"\n".join(lines), Content_Type="application/x-ndjson").status == 200
    assert [host.next_event().data for _ in range(4)] == [lines[0], A, lines[3], B]
    host.wait_for_log("an element has no audit events")


@pytest.mark.parametrize("params", [HTTP, HTTPS])
def test_connection_is_kept_alive(start: Start, params: str) -> None:
    host, hook = start(params)
    events = [large_event(number, 200_000) for number in range(3)]
    with closing(hook.connect()) as connection:
        for each in events:
            connection.request("POST", "/k8s-audit", each, {"Content-Type": "application/json"})
            assert Answer(connection.getresponse()).status == 200
            assert connection.sock is not None
    assert [host.next_event().data for _ in events] == events


def test_concurrent_clients_lose_no_event(start: Start) -> None:
    host, hook = start()

    def client(number: int) -> list[bytes]:
        batches = [[event(f"{number}/{turn}/{part}") for part in range(5)] for turn in range(20)]
        assert {hook.post(event_list(*batch)).status for batch in batches} == {200}
        return [each for batch in batches for each in batch]

    with ThreadPoolExecutor(12) as clients:
        sent = [each for events in clients.map(client, range(12)) for each in events]
    delivered = [host.next_event().data for _ in sent]
    assert sorted(delivered) == sorted(sent)


def test_webhook_rejects_invalid_requests(start: Start) -> None:
    host, hook = start(webhookMaxBatchSize=1000)
    assert hook.post(b"no JSON").status == 400
    assert hook.post(b"").status == 400
    assert hook.post(b'{"kind": "Pod"}').status == 400
    assert hook.post(b"x" * 1001).status == 413
    for kind in (
        "text/plain",
        "multipart/form-data; boundary=x",
        "multipart/form-data",
        "application/json; charset=utf-16",
    ):
        assert hook.post(A, Content_Type=kind).status == 415
    assert hook.request("POST", "/k8s-audit", A).status == 415
    assert hook.post(A, Content_Encoding="gzip").status == 415
    assert hook.request("POST", "/k8s-audit/more", A, Content_Type="application/json").status == 404
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        rejected = hook.request(method, "/k8s-audit")
        assert (rejected.status, rejected.headers["Allow"]) == (405, "POST")
    assert hook.request("BREW", "/k8s-audit").status == 405
    assert hook.post(A).status == 200
    assert host.next_event().data == A
    assert [each.data for each in host.stop().events] == [A]


def test_valid_events_of_a_mixed_list_are_delivered(start: Start) -> None:
    host, hook = start(maxEventSize=100)
    # The answer is 200 because sending the list again would not help.
    assert hook.post(event_list(A, large_event(1, 100), b"5", B)).status == 200
    assert [host.next_event().data for _ in range(2)] == [A, B]
    log = "\n".join(line.text for line in host.stop().log)
    assert "an event is larger than maxEventSize (1)" in log
    assert "an element has no audit events (1)" in log


MALFORMED = [
    (b"POST /k8s-audit HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: -1\r\n\r\n", 400),
    (b"POST /k8s-audit HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: five\r\n\r\n", 400),
    (
        b"POST /k8s-audit HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: " + b"9" * 9000 + b"\r\n\r\n",
        413,
    ),
    (b"POST /k8s-audit HTTP/1.1\r\nContent-Type: application/json\r\n\r\n", 411),
    # The client declares the length of the body in two ways.
    (
        b"POST /k8s-audit HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
        b"Content-Length: 40\r\n\r\n[]POST /k8s-audit HTTP/1.1\r\n\r\n",
        400,
    ),
    (
        b"POST /k8s-audit HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n[]POST /k8s-audit HTTP/1.1\r\n\r\n",
        400,
    ),
    # A proxy may interpret these differently.
    (b"POST /k8s-audit HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length : 2\r\n\r\n[]", 400),
    (b"POST /k8s-audit HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n 0\r\n\r\n[]", 400),
    (b"POST /k8s-audit HTTP/1.1\r\nContent-Type: application/json;\r\n a=b\r\nContent-Length: 2\r\n\r\n[]", 400),
    (b"keep quiet\r\n\r\n", 400),
    (b"POST /k8s-audit HTTP/9.9\r\n\r\n", 505),
    (b"POST /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
    (b"POST /k8s-audit HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", 431),
    (b"POST /k8s-audit HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431),
]


def test_malformed_request_ends_its_connection(start: Start) -> None:
    host, hook = start()
    for request, status in MALFORMED:
        assert re.findall(rb"HTTP/1.1 (\d+)", hook.exchange(request)) == [b"%d" % status], request[:100]
    ran = host.stop()
    assert ran.events == []
    assert "quiet" not in str(ran)


def test_client_gets_413_while_it_sends_an_oversized_body(start: Start) -> None:
    _, hook = start(webhookMaxBatchSize=1000)
    parts = iter([b"x" * 1024] * 4096)
    assert hook.post(parts, Content_Length=str(4 << 20)).status == 413


def test_disconnecting_client_does_not_affect_others(start: Start) -> None:
    host, hook = start()
    for beginning in (
        b"",
        b"POST /k8s",
        b"POST /k8s-audit HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{",
    ):
        with hook.raw() as connection:
            connection.sendall(beginning)
    assert hook.post(A).status == 200
    assert host.next_event().data == A


def test_silent_clients_do_not_keep_api_servers_away(start: Start) -> None:
    host, hook = start()
    silent = [hook.raw() for _ in range(64)]

    def is_served() -> bool:
        try:
            return hook.post(A).status == 200
        except (OSError, http.client.HTTPException):
            return False

    wait_until(is_served)
    host.wait_for_log("more than 64 connections")
    for connection in silent:
        connection.close()
    assert host.next_event().data == A


def test_handshake_rejects_plain_requests(start: Start) -> None:
    host, hook = start(HTTPS)
    assert b"HTTP/1.1" not in hook.exchange(b"POST /k8s-audit HTTP/1.1\r\n\r\n")
    host.wait_for_log("TLS handshake: HTTP_REQUEST (1)")
    assert hook.post(A).status == 200


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_handshake_rejects_old_tls(start: Start) -> None:
    host, hook = start(HTTPS)
    with hook.raw() as connection, pytest.raises(ssl.SSLError):
        old_tls().wrap_socket(connection)
    host.wait_for_log("TLS handshake: UNSUPPORTED_PROTOCOL (1)")


class PatientK8sAudit(K8sAudit):
    """The plugin with other limits."""

    def __init__(self, **limits: float) -> None:
        self.limits = limits

    def receiver_config(self) -> ReceiverConfig:
        return msgspec.structs.replace(super().receiver_config(), **self.limits)


@contextmanager
def listening(**limits: float) -> Generator[tuple[source.Instance, AuditHook]]:
    """Opens the webhook in this process, with other limits, and where no host reads its events."""
    plugin = PatientK8sAudit(**limits)
    plugin.config = Config()
    plugin.init()
    port = free_port()
    instance = plugin.open(f"http://127.0.0.1:{port}/k8s-audit", Context())
    try:
        yield instance, AuditHook(port)
    finally:
        instance.close()


def test_slow_client_is_cut_off_after_request_timeout() -> None:
    done = threading.Event()

    def drip(connection: socket.socket) -> None:
        # Send more often than any timeout between two bytes.
        while not done.wait(0.02):
            with suppress(OSError):
                connection.send(b"x")

    with listening(request_timeout=0.3) as (_, hook), hook.raw() as slow:
        slow.sendall(b"POST /k8s-audit HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 99999\r\n\r\n")
        dripping = threading.Thread(target=drip, args=(slow,))
        dripping.start()
        try:
            assert re.findall(rb"HTTP/1.1 (\d+)", read_all(slow)) == [b"408"]
        finally:
            done.set()
            dripping.join()


def test_repeated_rejections_are_logged_in_few_lines_without_bodies(start: Start) -> None:
    host, hook = start()
    for _ in range(50):
        assert hook.post(b'{"kind": "keep quiet"}').status == 400
    lines = [line.text for line in host.stop().log if "rejected input" in line.text]
    assert len(lines) < 10
    assert sum(int(count) for line in lines for count in re.findall(r"audit events \((\d+)\)", line)) == 50
    assert not any("quiet" in line for line in lines)


def test_webhook_rejects_batches_while_falco_is_behind() -> None:
    with listening(delivery_timeout=1) as (instance, hook), ThreadPoolExecutor(1) as client:
        for delivered in ("all of the events may still be delivered", "no event was delivered"):
            rejected = hook.post(event_list(A, B))
            assert (rejected.status, rejected.headers["Retry-After"]) == (503, "5")
            assert rejected.text == f"Falco is behind: {delivered}\n"
        assert next_events(instance) == [A, B]
        posting = client.submit(hook.post, C)
        # The events of the second attempt were not queued.
        assert next_events(instance) == [C]
        assert next_events(instance) == []
        assert posting.result(timeout=20).status == 200


def next_events(instance: source.Instance) -> list[bytes]:
    """Reads the next batch, as a host does, if there are events within a second or a client waits for its answer."""
    end = time.monotonic() + 1
    batch = instance.events
    batch.clear()
    while time.monotonic() < end:
        with suppress(Timeout):
            instance.next_batch(batch)
            break
    return [event.data for event in batch]


# Opening and closing


@pytest.mark.slow
def test_reloads_lose_no_event_answered_with_200(start: Start) -> None:
    url = f"http://127.0.0.1:{free_port()}/k8s-audit"
    host, hook = start(url)
    done = threading.Event()
    accepted: list[str] = []
    statuses: set[int] = set()

    def client(number: int) -> None:
        turn = 0
        while not done.is_set():
            turn += 1
            names = [f"{number}/{turn}/{part}" for part in range(5)]
            try:
                status = hook.post(event_list(*map(event, names))).status
            except (OSError, http.client.HTTPException):
                # Between two openings the port is closed.
                continue
            statuses.add(status)
            if status == 200:
                accepted.extend(names)

    delivered: list[str] = []
    with ThreadPoolExecutor(6) as clients:
        running = [clients.submit(client, number) for number in range(6)]
        try:
            for _ in range(5):
                enough = len(accepted) + 100
                wait_until(lambda enough=enough: len(accepted) > enough)
                delivered += [json.loads(each.data)["auditID"] for each in host.stop().events]
                host, _ = start(url)
        finally:
            done.set()
        for future in running:
            future.result(timeout=20)
    delivered += [json.loads(each.data)["auditID"] for each in host.stop().events]
    assert statuses <= {200, 503}
    assert set(accepted) <= set(delivered)
    assert len(delivered) == len(set(delivered))


def test_stop_waits_for_no_client_and_frees_the_port(start: Start) -> None:
    host, hook = start(f"http://127.0.0.1:{free_port()}/k8s-audit")
    beginnings = [b"", b"POST /k8s-audit HTTP/1.1\r\nX-Slow: "]
    beginnings.append(b"POST /k8s-audit HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{")
    connections = [hook.raw() for _ in beginnings]
    for connection, beginning in zip(connections, beginnings, strict=True):
        connection.sendall(beginning)
    assert hook.post(A).status == 200
    assert host.next_event().data == A
    assert host.stop().result == "interrupted"
    assert hook.is_free()
    for connection in connections:
        with connection:
            assert b"200" not in read_all(connection)


def test_close_releases_threads_descriptors_and_port() -> None:
    def open_and_close() -> None:
        with listening() as (instance, hook), closing(hook.connect()) as kept, hook.raw():
            kept.request("GET", "/k8s-audit")
            assert kept.getresponse().status == 405
            instance.close()

    def left() -> tuple[int, int]:
        return threading.active_count(), len(os.listdir("/proc/self/fd"))

    open_and_close()
    before = left()
    for _ in range(3):
        open_and_close()
    assert left() == before


def test_url_without_host_listens_on_all_addresses(start: Start) -> None:
    host, hook = start("http://:0/k8s-audit")
    assert hook.post(A).status == 200
    assert host.next_event().data == A


def test_open_fails_if_the_port_is_in_use(library: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        url = f"http://127.0.0.1:{other.getsockname()[1]}"
        ran = run(library, f"{url}/k8s-audit")
    assert ran.result == "failure"
    assert f"cannot listen on {url}: Address already in use" in str(ran.error)


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ("http://127.0.0.1/k8s-audit", "open_params must be a URL with http or https and a port"),
        ("http://user:pass@127.0.0.1:99999/", "open_params is not a valid URL"),
        (
            "ftp://127.0.0.1:9765/",
            "open_params has the scheme 'ftp': expected a file, a folder, or a URL with http or https",
        ),
        ("https://127.0.0.1:0/k8s-audit", "sslCertificate /does/not/exist cannot be used: "),
        ("", "open_params is empty"),
    ],
)
def test_open_rejects_invalid_params_with_remedy(params: str, error: str) -> None:
    plugin = K8sAudit()
    plugin.config = Config(ssl_certificate="/does/not/exist")
    with pytest.raises(ValueError, match=re.escape(error)) as raised:
        plugin.open(params, Context())
    assert "pass@" not in str(raised.value)


def test_init_rejects_invalid_configuration(library: Path) -> None:
    ran = run(library, HTTP, config={"maxEventSize": 0, "webhookMaxBatchSize": "much", "sslCertificat": "x"})
    assert ran.result == "failure"
    for name in ("maxEventSize", "webhookMaxBatchSize", "sslCertificat"):
        assert name in str(ran.error)
