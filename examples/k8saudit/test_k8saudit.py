"""Audit events from real files and over real sockets, by the plugin in the native host."""

from __future__ import annotations

import http.client
import importlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from falco_plugin import Context
from falco_plugin.testing import RunningPlugin, collect, run

K8SAUDIT = Path(__file__).parent
SAMPLE = K8SAUDIT / "sample.jsonl"
REAL = K8SAUDIT.parents[2] / "shared/data/k8s-audit.jsonl"
HTTP = "http://127.0.0.1:0/k8s-audit"
HTTPS = "https://127.0.0.1:0/k8s-audit"
TIME = "2026-01-01T00:00:01.5Z"
NANOSECONDS = 1_767_225_601_500_000_000


def event(name: str, **more: object) -> bytes:
    """An audit event with a text by which it is known."""
    return json.dumps({"kind": "Event", "auditID": name, "stageTimestamp": TIME, **more}).encode()


def event_list(*items: bytes) -> bytes:
    return b'{"kind": "EventList", "items": [%s]}' % b", ".join(items)


def large_event(number: int, size: int) -> bytes:
    return event(str(number), padding="x" * size)


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plugin as Falco would load it."""
    path = tmp_path_factory.mktemp("k8saudit") / "libk8saudit.so"
    command = [sys.executable, "-P", "-m", "falco_plugin", "build", str(K8SAUDIT), "-o", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


# Texts and files


@pytest.mark.skipif(not REAL.exists(), reason="there are no real logs beside the checkout")
def test_each_line_of_a_log_is_an_event_at_the_time_of_its_stage(library: Path) -> None:
    lines = REAL.read_bytes().splitlines()
    events = collect(library, str(REAL))
    assert [each.data for each in events] == lines
    for each, line in zip(events, lines, strict=True):
        stage = datetime.fromisoformat(json.loads(line)["stageTimestamp"])
        assert each.timestamp == (stage - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
        assert each.source == "k8s_audit"


def test_the_text_of_an_event_is_all_of_it(library: Path) -> None:
    ran = run(library, str(SAMPLE))
    assert ran.texts == [each.data.decode() for each in ran.events]
    assert max(map(len, ran.texts)) > 1024


A, B, C = event("a"), event("b"), event("c")
ITEM = json.dumps({"auditID": "item", "stageTimestamp": TIME}).encode()


@pytest.mark.parametrize(
    ("text", "events"),
    [
        (A, [A]),
        (event_list(A, B), [A, B]),
        (event_list(ITEM), [ITEM]),
        (event_list(), []),
        (b'{"kind": "EventList", "items": null}', []),
        (b"[%s, %s]" % (A, event_list(B, C)), [A, B, C]),
        (b"[]", []),
        (b'[{"kind": "Pod"}, %s, 5, [%s]]' % (A, B), [A]),
        (event_list(b"5", A, b"null"), [A]),
        (b'{"kind":"Event","n":1.0e3,"n":12345678901234567890,"t":"\\u0041"}',) * 2,
    ],
)
def test_lists_and_arrays_are_split_and_events_stay_as_they_stand(
    text: bytes, events: list[bytes] | bytes, library: Path, tmp_path: Path
) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(text)
    wanted = [events] if isinstance(events, bytes) else events
    assert [each.data for each in collect(library, str(log))] == wanted


@pytest.mark.parametrize(
    "junk",
    [
        b"text",
        b"{",
        b'{"kind": "Event"',
        b'{"kind": "Event"} {}',
        b"{}",
        b"5",
        b'{"kind": "Pod"}',
        b'{"kind": 5}',
        b'{"kind": "EventList", "items": {}}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"kind":"Event","stageTimestamp":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=lambda junk: repr(junk[:40]),
)
def test_what_is_no_audit_event_is_left_out_and_counted(junk: bytes, library: Path, tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(b"\n".join([A, junk, b"", b"  ", B]))
    ran = run(library, str(log))
    assert (ran.result, [each.data for each in ran.events]) == ("eof", [A, B])
    (line,) = ran.log
    assert line.severity == "warning"
    assert re.fullmatch(r"not taken: a line: (no JSON|JSON without audit events) \(1\)", line.text)


@pytest.mark.parametrize(
    ("times", "wanted"),
    [
        ({"stageTimestamp": TIME}, NANOSECONDS),
        ({"stageTimestamp": "2026-01-01T01:00:01.500000001+01:00"}, NANOSECONDS),
        ({"stageTimestamp": TIME, "requestReceivedTimestamp": "2025-01-01T00:00:00Z"}, NANOSECONDS),
        ({"requestReceivedTimestamp": TIME}, NANOSECONDS),
        ({"stageTimestamp": None, "requestReceivedTimestamp": TIME}, NANOSECONDS),
        ({"stageTimestamp": "yesterday", "requestReceivedTimestamp": TIME}, NANOSECONDS),
        ({"stageTimestamp": "2026-01-01T00:00:00", "requestReceivedTimestamp": TIME}, NANOSECONDS),
        ({"stageTimestamp": "0001-01-01T00:00:00Z", "requestReceivedTimestamp": TIME}, NANOSECONDS),
        ({"stageTimestamp": "1970-01-01T00:00:00+10:00", "requestReceivedTimestamp": TIME}, NANOSECONDS),
        ({"stageTimestamp": "9999-12-31T23:59:59Z", "requestReceivedTimestamp": TIME}, NANOSECONDS),
        ({}, None),
        ({"stageTimestamp": 5, "requestReceivedTimestamp": {}}, None),
    ],
)
def test_the_time_of_an_event_is_that_of_its_stage_else_of_its_request_else_now(
    times: dict[str, object], wanted: int | None, library: Path, tmp_path: Path
) -> None:
    log = tmp_path / "audit.log"
    log.write_text(json.dumps({"kind": "Event", **times}))
    before = time.time_ns()
    (taken,) = collect(library, str(log))
    if wanted is None:
        assert before - 1_000_000_000 <= taken.timestamp <= time.time_ns()
    else:
        assert taken.timestamp == wanted


def test_a_folder_gives_its_files_from_the_oldest_on(library: Path, tmp_path: Path) -> None:
    for number, (name, text) in enumerate([("z.log", A), (".hidden", B + b"\r\n"), ("a", C)]):
        (tmp_path / name).write_bytes(text)
        os.utime(tmp_path / name, (number, number))
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "log").write_bytes(event("too deep"))
    assert [each.data for each in collect(library, str(tmp_path))] == [A, B, C]


def test_events_and_lines_that_are_too_large_are_left_out_and_counted(library: Path, tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    fits = event("fits")
    large, item = large_event(1, 100), b'{"auditID": "%s"}' % (b"i" * 200)
    log.write_bytes(b"\n".join([large, event_list(fits, item), b"x" * 2001, b"y" * 1_000_000, fits]))
    ran = run(library, str(log), config={"maxEventSize": len(fits), "webhookMaxBatchSize": 2000})
    assert [each.data for each in ran.events] == [fits, fits]
    text = "\n".join(line.text for line in ran.log)
    counts = re.findall(r"an event larger than maxEventSize \((\d)\)", text)
    assert sum(map(int, counts)) == 2
    assert re.search(r"a line longer than webhookMaxBatchSize \(2\)", text)


def test_a_file_that_is_not_there_is_the_error_of_open(library: Path, tmp_path: Path) -> None:
    ran = run(library, str(tmp_path / "audit.log"))
    assert ran.result == "failure"
    assert "No such file or directory" in str(ran.error)


# The webhook


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.text = response.read().decode()


class Hook:
    """The webhook, as an API server sees it."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.port = port
        self._tls = tls

    def connect(self) -> http.client.HTTPConnection:
        if self._tls is not None:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=self._tls)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def raw(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with closing(self.connect()) as connection:
            connection.request(method, path, body, named)
            return Answer(connection.getresponse())

    def post(self, body: Any, **headers: str) -> Answer:
        # As API servers do, with a time limit in the query.
        return self.request("POST", "/k8s-audit?timeout=30s", body, **{"Content_Type": "application/json", **headers})

    def exchange(self, request: bytes) -> bytes:
        """All that is answered to these bytes until the connection is closed."""
        with self.raw() as connection:
            connection.sendall(request)
            return read_all(connection)

    def is_free(self) -> bool:
        """Whether another may listen where this one did."""
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                other.bind(("127.0.0.1", self.port))
                other.listen()
            except OSError:
                return False
            return True


Start: TypeAlias = Callable[..., tuple[RunningPlugin, Hook]]


def read_all(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def port_in(text: str) -> int:
    found = re.search(r"listening on \w+://[^/]*:(\d+)/", text)
    assert found is not None
    return int(found[1])


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that signs itself, and its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "k8saudit")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "falco.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return file


@pytest.fixture
def start(start_plugin: Callable[..., RunningPlugin], library: Path, certificate: Path) -> Start:
    """Starts the webhook in a host: the host, and the webhook to its clients."""

    def start(params: str = HTTP, **config: object) -> tuple[RunningPlugin, Hook]:
        host = start_plugin(library, params, config={"sslCertificate": str(certificate), **config})
        tls = ssl.create_default_context(cafile=str(certificate)) if params.startswith("https") else None
        return host, Hook(port_in(host.wait_for_log("listening on ").text), tls)

    return start


@pytest.mark.parametrize("params", [HTTP, HTTPS])
def test_the_events_of_a_request_are_events_of_the_source(start: Start, params: str) -> None:
    host, hook = start(params)
    body = json.dumps(json.loads(event_list(A, B)), indent=2).encode()
    answer = hook.post(body, Content_Type="application/json; charset=utf-8")
    assert (answer.status, answer.text) == (200, "")
    taken = [host.next_event() for _ in range(2)]
    assert [json.loads(each.data)["auditID"] for each in taken] == ["a", "b"]
    assert [each.timestamp for each in taken] == [NANOSECONDS] * 2


@pytest.mark.parametrize("params", [HTTP, HTTPS])
def test_a_connection_is_kept_for_the_next_request(start: Start, params: str) -> None:
    host, hook = start(params)
    events = [large_event(number, 200_000) for number in range(3)]
    with closing(hook.connect()) as connection:
        for each in events:
            connection.request("POST", "/k8s-audit", each, {"Content-Type": "application/json"})
            assert Answer(connection.getresponse()).status == 200
            assert connection.sock is not None
    assert [host.next_event().data for _ in events] == events


def test_many_clients_at_once_lose_nothing(start: Start) -> None:
    host, hook = start()

    def client(number: int) -> list[bytes]:
        batches = [[event(f"{number}/{turn}/{part}") for part in range(5)] for turn in range(20)]
        assert {hook.post(event_list(*batch)).status for batch in batches} == {200}
        return [each for batch in batches for each in batch]

    with ThreadPoolExecutor(12) as clients:
        sent = [each for events in clients.map(client, range(12)) for each in events]
    taken = [host.next_event().data for _ in sent]
    assert sorted(taken) == sorted(sent)


def test_what_is_not_taken_is_refused_with_its_reason(start: Start) -> None:
    host, hook = start(webhookMaxBatchSize=1000)
    assert hook.post(b"no JSON").status == 400
    assert hook.post(b"").status == 400
    assert hook.post(b'{"kind": "Pod"}').status == 400
    assert hook.post(b"x" * 1001).status == 413
    assert hook.post(A, Content_Type="text/plain").status == 415
    assert hook.request("POST", "/k8s-audit", A).status == 415
    assert hook.post(A, Content_Encoding="gzip").status == 415
    assert hook.post(iter([A]), Transfer_Encoding="chunked").status == 411
    assert hook.request("POST", "/k8s-audit/more", A, Content_Type="application/json").status == 404
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        refused = hook.request(method, "/k8s-audit")
        assert (refused.status, refused.headers["Allow"]) == (405, "POST")
    assert hook.request("BREW", "/k8s-audit").status == 501
    assert hook.post(A).status == 200
    assert host.next_event().data == A
    assert [each.data for each in host.stop().events] == [A]


def test_of_a_list_what_can_be_taken_is_taken(start: Start) -> None:
    host, hook = start(maxEventSize=100)
    # It would not be smaller the next time: 200, so that it does not come again.
    assert hook.post(event_list(A, large_event(1, 100), b"5", B)).status == 200
    assert [host.next_event().data for _ in range(2)] == [A, B]
    log = "\n".join(line.text for line in host.stop().log)
    assert "an event larger than maxEventSize (1)" in log
    assert "an element without audit events (1)" in log


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST /k8s-audit HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /k8s-audit HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: five\r\n\r\n", 400),
        (
            b"POST /k8s-audit HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: "
            + b"9" * 9000
            + b"\r\n\r\n",
            413,
        ),
        (b"POST /k8s-audit HTTP/1.1\r\nContent-Type: application/json\r\n\r\n", 411),
        # Where a body ends is not for a client to have two opinions on.
        (
            b"POST /k8s-audit HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
            b"Content-Length: 40\r\n\r\n[]POST /k8s-audit HTTP/1.1\r\n\r\n",
            400,
        ),
        (
            b"POST /k8s-audit HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n[]POST /k8s-audit HTTP/1.1\r\n\r\n",
            411,
        ),
        (b"keep quiet\r\n\r\n", 400),
        (b"POST /k8s-audit HTTP/9.9\r\n\r\n", 505),
        (b"POST /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"POST /k8s-audit HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", 431),
        (b"POST /k8s-audit HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431),
    ],
    ids=lambda value: str(value)[:60],
)
def test_malformed_requests_end_their_connection(start: Start, request_: bytes, status: int) -> None:
    host, hook = start()
    assert re.findall(rb"HTTP/1.1 (\d+)", hook.exchange(request_)) == [b"%d" % status]
    ran = host.stop()
    assert ran.events == []
    assert "quiet" not in str(ran)


def test_a_client_in_the_middle_of_a_body_that_is_too_long_hears_of_it(start: Start) -> None:
    _, hook = start(webhookMaxBatchSize=1000)
    parts = iter([b"x" * 1024] * 4096)
    assert hook.post(parts, Content_Length=str(4 << 20)).status == 413


def test_a_client_that_leaves_in_the_middle_leaves_the_others_alone(start: Start) -> None:
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


def test_connections_beyond_the_limit_are_closed_and_those_within_are_served(start: Start) -> None:
    host, hook = start()
    silent = [hook.raw() for _ in range(64)]
    # Each has a thread by the time at which one more is closed.
    with hook.raw() as one_more:
        assert read_all(one_more) == b""
    host.wait_for_log("a connection beyond the 64 that are open")
    for connection in silent:
        connection.close()

    def is_served() -> bool:
        try:
            return hook.post(A).status == 200
        except (OSError, http.client.HTTPException):
            return False

    wait_until(is_served)
    assert host.next_event().data == A


def test_who_speaks_no_tls_is_refused_at_the_handshake(start: Start) -> None:
    host, hook = start(HTTPS)
    # What it sent is not all read, so that the connection may end with a reset.
    with suppress(ConnectionResetError):
        assert b"HTTP/1.1" not in hook.exchange(b"POST /k8s-audit HTTP/1.1\r\n\r\n")
    host.wait_for_log("a connection: HTTP_REQUEST (1)")
    assert hook.post(A).status == 200


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls_before_1_2_is_refused_at_the_handshake(start: Start) -> None:
    host, hook = start(HTTPS)
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    # Without it the client's own library refuses what it is to offer.
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with hook.raw() as connection, pytest.raises(ssl.SSLError):
        old.wrap_socket(connection)
    host.wait_for_log("a connection: UNSUPPORTED_PROTOCOL (1)")


def test_a_client_that_sends_byte_by_byte_is_cut_off_after_the_time_of_one_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(K8SAUDIT.parents[1]))
    monkeypatch.setattr(importlib.import_module("examples.k8saudit.server"), "_REQUEST_TIMEOUT", 0.3)
    plugin = importlib.import_module("examples.k8saudit.plugin").K8sAudit()
    plugin.config = importlib.import_module("examples.k8saudit.config").Config()
    port = free_port()
    instance = plugin.open(f"http://127.0.0.1:{port}/k8s-audit", Context())
    done = threading.Event()

    def drip(connection: socket.socket) -> None:
        # Faster than any timeout between two bytes.
        while not done.wait(0.02):
            with suppress(OSError):
                connection.send(b"x")

    try:
        with Hook(port).raw() as slow:
            slow.sendall(b"POST /k8s-audit HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 99999\r\n\r\n")
            dripping = threading.Thread(target=drip, args=(slow,))
            dripping.start()
            assert re.findall(rb"HTTP/1.1 (\d+)", read_all(slow)) == [b"408"]
            done.set()
            dripping.join()
    finally:
        done.set()
        instance.close()


def test_bodies_are_not_logged_and_refusals_do_not_fill_the_log(start: Start) -> None:
    host, hook = start()
    for _ in range(50):
        assert hook.post(b'{"kind": "keep quiet"}').status == 400
    lines = [line.text for line in host.stop().log if "not taken" in line.text]
    assert len(lines) < 10
    assert sum(int(count) for line in lines for count in re.findall(r"audit events \((\d+)\)", line)) == 50
    assert not any("quiet" in line for line in lines)


def test_while_falco_is_behind_clients_are_told_to_come_again(library: Path) -> None:
    command = [sys.executable, "-P", "-m", "falco_plugin", "run", str(library), "--json", "--params", HTTP]
    # A checkout need not belong to root.
    environment = {**os.environ, "FALCO_PLUGIN_ALLOW_WRITABLE": "1"}
    host = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, start_new_session=True)
    assert host.stdout is not None
    lines = (json.loads(line) for line in host.stdout)
    try:
        hook = Hook(port_in(next(line["text"] for line in lines if "listening on" in line.get("text", ""))))
        # Nobody reads what the host writes, so that it takes no more after a while.
        sent: list[bytes] = []
        while True:
            batch = [large_event(len(sent) + part, 200_000) for part in range(40)]
            answer = hook.post(event_list(*batch))
            if answer.status != 200:
                break
            sent += batch
        assert (answer.status, answer.headers["Retry-After"], answer.text) == (503, "5", "Falco is behind\n")
        taken = (line["data"].encode() for line in lines if line["kind"] == "event")
        assert [next(taken) for _ in sent] == sent
        # What was queued of the refused one may come once more before.
        with ThreadPoolExecutor(1) as reader:
            reading = reader.submit(lambda: A in taken)
            wait_until(lambda: hook.post(A).status == 200)
            assert reading.result(timeout=20)
    finally:
        # The host may be in the middle of a write. The signal is for it; the command waits for it.
        host.stdout.close()
        os.killpg(host.pid, signal.SIGINT)
        host.wait(20)


# Opening and closing


def free_port() -> int:
    """For tests that use the port again: what the system chooses for port 0 is not made for that."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def test_stopping_waits_for_no_client_and_frees_the_port(start: Start) -> None:
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


def test_no_thread_descriptor_or_port_is_left_by_a_source_that_was_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(K8SAUDIT.parents[1]))
    module = importlib.import_module("examples.k8saudit.plugin")
    plugin = module.K8sAudit()
    plugin.config = module.Config()
    port = free_port()

    def open_and_close() -> None:
        instance = plugin.open(f"http://127.0.0.1:{port}/k8s-audit", Context())
        hook = Hook(port)
        with closing(hook.connect()) as kept, hook.raw():
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


def test_without_a_host_it_listens_on_all_addresses(start: Start) -> None:
    host, hook = start("http://:0/k8s-audit")
    assert hook.post(A).status == 200
    assert host.next_event().data == A


def test_an_address_that_is_taken_is_the_error_of_open(library: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        url = f"http://127.0.0.1:{other.getsockname()[1]}/k8s-audit"
        ran = run(library, url)
    assert ran.result == "failure"
    assert f"cannot listen on {url}: Address already in use" in str(ran.error)


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ("http://127.0.0.1/k8s-audit", "open_params must be a URL with a port"),
        ("http://user:pass@127.0.0.1:99999/", "open_params is no URL"),
        ("ftp://127.0.0.1:9765/", "unknown scheme 'ftp': give a file, a folder, or a URL of http or https"),
        ("https://127.0.0.1:0/k8s-audit", "sslCertificate /does/not/exist cannot be used: "),
        ("", "open_params is empty"),
    ],
)
def test_params_that_cannot_work_say_what_to_write(library: Path, params: str, error: str) -> None:
    ran = run(library, params, config={"sslCertificate": "/does/not/exist"})
    assert ran.result == "failure"
    assert error in str(ran.error)
    assert "pass@" not in str(ran.error)


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ({"maxEventSize": 0}, "maxEventSize"),
        ({"webhookMaxBatchSize": "much"}, "webhookMaxBatchSize"),
        ({"sslCertificat": "x"}, "sslCertificat"),
    ],
)
def test_a_configuration_that_cannot_work_is_an_error_of_init(
    library: Path, config: dict[str, object], error: str
) -> None:
    ran = run(library, HTTP, config=config)
    assert ran.result == "failure"
    assert error in str(ran.error)
