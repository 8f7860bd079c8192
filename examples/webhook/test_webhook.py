"""Real requests over real sockets, to the plugin in the native host."""

from __future__ import annotations

import hashlib
import hmac
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
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TypeAlias

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from falco_plugin import Context
from falco_plugin.testing import RunningPlugin, run

WEBHOOK = Path(__file__).parent
SECRET = b"a secret of the sender"
NEXT_SECRET = b"the secret after it"
HIDDEN = "what no error may show"
HTTP = "http://127.0.0.1:0/hook"
HTTPS = "https://127.0.0.1:0/hook"


def signature(body: bytes, secret: bytes = SECRET) -> str:
    return "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.text = response.read().decode()


class Hook:
    """The endpoint, as its clients see it."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.port = port
        self._tls = tls

    def connect(self) -> http.client.HTTPConnection:
        if self._tls is not None:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=self._tls)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def raw(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def request(
        self, method: str, path: str, body: bytes | Iterable[bytes] | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        with closing(self.connect()) as connection:
            connection.request(method, path, body, headers or {})
            return Answer(connection.getresponse())

    def post(self, body: bytes, **headers: str) -> Answer:
        """A signed request."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("POST", "/hook", body, {"X-Hub-Signature-256": signature(body), **named})

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


def free_port_url() -> str:
    """For tests that use the port again: what the system chooses for port 0 is not made for that."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/hook"


def read_all(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plugin as Falco would load it."""
    path = tmp_path_factory.mktemp("webhook") / "libwebhook.so"
    command = [sys.executable, "-P", "-m", "falco_plugin", "build", str(WEBHOOK), "-o", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


@pytest.fixture(scope="session")
def secrets_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("secrets") / "webhook.secrets"
    path.write_bytes(SECRET + b"\n" + NEXT_SECRET + b"\n")
    return path


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "webhook")])
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
    certificate, private = folder / "cert.pem", folder / "key.pem"
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, private


@pytest.fixture
def start(
    start_plugin: Callable[..., RunningPlugin], library: Path, secrets_file: Path, certificate: tuple[Path, Path]
) -> Start:
    """Starts the endpoint in a host: the host, and the endpoint to its clients."""

    def start(params: str = HTTP, **config: object) -> tuple[RunningPlugin, Hook]:
        config = {"secrets_file": str(secrets_file), **config}
        tls = None
        if params.startswith("https"):
            config |= {"certificate": str(certificate[0]), "key": str(certificate[1])}
            tls = ssl.create_default_context(cafile=str(certificate[0]))
        host = start_plugin(library, params, config=config)
        return host, Hook(port_in(host.wait_for_log("listening on ").text), tls)

    return start


def port_in(text: str) -> int:
    found = re.search(r"listening on \w+://[^/]*:(\d+)$", text)
    assert found is not None
    return int(found[1])


# What is taken


def test_a_signed_request_is_an_event_with_the_bytes_of_its_body(start: Start) -> None:
    host, hook = start()
    body = b'{"text": "caf\xc3\xa9"}\r\n\x00\xff'
    assert hook.post(body).status == 200
    event = host.next_event()
    assert (event.data, event.source) == (body, "webhook")
    assert event.timestamp > 0


def test_every_secret_of_the_file_is_accepted(start: Start) -> None:
    host, hook = start()
    for secret in (SECRET, NEXT_SECRET):
        assert hook.post(secret[::-1], X_Hub_Signature_256=signature(secret[::-1], secret)).status == 200
        assert host.next_event().data == secret[::-1]


def test_the_header_of_the_signature_can_have_another_name_and_no_prefix(start: Start) -> None:
    host, hook = start(signature_header="X-Gitea-Signature")
    headers = {"x-gitea-signature": signature(b"event").removeprefix("sha256=")}
    assert hook.request("POST", "/hook", b"event", headers).status == 200
    assert host.next_event().data == b"event"


def test_without_secrets_requests_need_no_signature_where_that_is_allowed(start: Start) -> None:
    host, hook = start(secrets_file=None, allow_unsigned=True)
    assert hook.request("POST", "/hook?from=somebody", b"event").status == 200
    assert host.next_event().data == b"event"


def test_a_chunked_body_is_one_event_and_its_trailers_are_not_the_next_request(start: Start) -> None:
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


def test_lines_of_json_are_an_event_each(start: Start) -> None:
    host, hook = start()
    body = b'{"a": 1}\r\n\n{"b": 2}\n{"c": 3}'
    assert hook.post(body, Content_Type="application/x-ndjson; charset=utf-8").status == 200
    assert [host.next_event().data for _ in range(3)] == [b'{"a": 1}', b'{"b": 2}', b'{"c": 3}']


def test_of_lines_that_are_refused_none_is_an_event(start: Start) -> None:
    host, hook = start(event_size=10)
    assert hook.post(b"small\n" + b"l" * 11, Content_Type="application/x-ndjson").status == 413
    assert hook.post(b"after").status == 200
    assert host.next_event().data == b"after"


def test_more_lines_than_the_channel_holds_are_taken_as_the_host_takes_them(start: Start) -> None:
    host, hook = start(capacity=2)
    lines = [b"line %d" % number for number in range(500)]
    assert hook.post(b"\n".join(lines), Content_Type="application/x-ndjson").status == 200
    assert [host.next_event().data for _ in lines] == lines


def test_many_clients_at_once_lose_nothing_and_get_nothing_twice(start: Start) -> None:
    host, hook = start(threads=4)

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


# What is refused


def test_what_is_no_event_is_refused_with_its_reason(start: Start) -> None:
    host, hook = start(event_size=100, max_body=1000)
    assert hook.request("POST", "/hook", b"event").status == 401
    for wrong in (signature(b"other"), signature(b"event", b"guessed"), "sha256=", "sha256=é", "sha1=abc"):
        assert hook.post(b"event", X_Hub_Signature_256=wrong).status == 401
    assert hook.post(b"").status == 400
    assert hook.post(b"\r\n\n", Content_Type="application/x-ndjson").status == 400
    assert hook.post(b"x" * 101).status == 413
    assert hook.post(b"x" * 1001).status == 413
    assert hook.post(b"event", Content_Encoding="gzip").status == 415
    assert hook.request("POST", "/other", b"event").status == 404
    refused = hook.request("GET", "/hook")
    assert (refused.status, refused.headers["Allow"]) == (405, "POST")
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
    (b"X-Long: " + b"x" * 20000, b"", 413),
    # Where each body ends is not for a client to have two opinions on.
    (b"Content-Length: 5\r\nTransfer-Encoding: chunked", b"5\r\nevent\r\n0\r\n\r\n" + SECOND, 400),
    (b"Transfer-Encoding: chunked\r\nContent-Length: 5", b"5\r\nevent\r\n0\r\n\r\n" + SECOND, 400),
    (b"Content-Length: 5, 200", b"event" + SECOND, 400),
    (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", b"0\r\n\r\n" + SECOND, 501),
]


def test_malformed_and_too_long_requests_end_their_connection(start: Start) -> None:
    host, hook = start(max_body=1000)
    for headers, rest, status in MALFORMED:
        request = b"POST /hook HTTP/1.1\r\nX-Hub-Signature-256: sha256=00\r\n" + headers + b"\r\n\r\n" + rest
        assert re.findall(rb"HTTP/1.1 (\d+)", hook.exchange(request)) == [b"%d" % status], request
    assert host.stop().events == []


def test_a_client_in_the_middle_of_a_body_that_is_too_long_hears_of_it(start: Start) -> None:
    _, hook = start(max_body=1000)
    for length in ({"Content-Length": str(1 << 20)}, {}):
        # Without a length it is sent in chunks.
        parts = iter([b"x" * 1024] * 1024)
        refused = hook.request("POST", "/hook", parts, {"X-Hub-Signature-256": "sha256=00", **length})
        assert refused.status == 413


def test_health_is_told_while_the_source_is_open(start: Start) -> None:
    _, hook = start()
    assert hook.request("GET", "/healthz").status == 200
    head = hook.request("HEAD", "/healthz")
    assert (head.status, head.text) == (200, "")
    refused = hook.request("POST", "/healthz", b"event")
    assert (refused.status, refused.headers["Allow"]) == (405, "GET, HEAD")


def test_neither_bodies_nor_signatures_nor_secrets_are_logged(start: Start) -> None:
    host, hook = start()
    hook.post(b"a body to keep quiet about")
    hook.post(b"a body to keep quiet about", X_Hub_Signature_256="sha256=5ec2e7")
    hook.exchange(
        b"POST /hook HTTP/1.1\r\nX-Hub-Signature-256: sha256=5ec2e7\r\nTransfer-Encoding: chunked\r\n\r\nkeep quiet\r\n"
    )
    hook.exchange(b"GET //[keep quiet HTTP/1.1\r\n\r\n")
    hook.exchange(b"keep quiet\r\n\r\n")
    log = "\n".join(line.text for line in host.stop().log)
    assert "bad signature (1)" in log
    assert "malformed chunked body (1)" in log
    assert "127.0.0.1" in log
    for text in ("keep quiet", "5ec2e7", SECRET.decode(), NEXT_SECRET.decode()):
        assert text not in log


def test_refusals_do_not_fill_the_log(start: Start) -> None:
    host, hook = start()
    for _ in range(50):
        assert hook.post(b"event", X_Hub_Signature_256="sha256=00").status == 401
    lines = [line.text for line in host.stop().log if "refused" in line.text]
    assert len(lines) < 10
    assert sum(int(count) for line in lines for count in re.findall(r"bad signature \((\d+)\)", line)) == 50


# Time and connections


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
def test_a_client_that_sends_byte_by_byte_is_cut_off_after_the_time_of_one_request(
    start: Start, beginning: bytes
) -> None:
    host, hook = start(request_timeout=0.5, threads=2)
    with hook.raw() as slow:
        slow.sendall(beginning)
        with dripping(slow):
            # Others are served meanwhile.
            assert hook.post(b"event").status == 200
            assert re.findall(rb"HTTP/1.1 (\d+)", read_all(slow)) == [b"408"]
    assert host.next_event().data == b"event"


@contextmanager
def dripping(connection: socket.socket) -> Generator[None]:
    """Sends a byte now and then, faster than any timeout between two bytes."""
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


@pytest.mark.parametrize("params", [HTTP, HTTPS])
def test_connections_that_say_nothing_hold_up_nobody_and_are_closed(start: Start, params: str) -> None:
    host, hook = start(params, request_timeout=0.5, threads=1)
    silent = [hook.raw() for _ in range(20)]
    assert hook.post(b"event").status == 200
    assert host.next_event().data == b"event"
    for connection in silent:
        with connection:
            assert read_all(connection) == b""


def test_a_connection_is_kept_for_the_next_request(start: Start) -> None:
    host, hook = start()
    with closing(hook.connect()) as connection:
        for body in (b"one", b"two"):
            connection.request("POST", "/hook", body, {"X-Hub-Signature-256": signature(body)})
            assert Answer(connection.getresponse()).status == 200
            assert connection.sock is not None
    assert [host.next_event().data for _ in range(2)] == [b"one", b"two"]


def test_connections_beyond_the_limit_are_closed_and_those_within_are_served(start: Start) -> None:
    host, hook = start(max_connections=2)
    with closing(hook.connect()) as first, closing(hook.connect()) as second:
        for connection in (first, second):
            connection.request("GET", "/healthz")
            assert Answer(connection.getresponse()).status == 200
        with hook.raw() as third:
            assert read_all(third) == b""
        first.request("GET", "/healthz")
        assert Answer(first.getresponse()).status == 200
    host.wait_for_log("more than max_connections")

    def is_served_again() -> bool:
        try:
            return hook.request("GET", "/healthz").status == 200
        except OSError:
            return False

    wait_until(is_served_again)


# TLS


def test_events_come_over_tls(start: Start) -> None:
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
def test_tls_before_1_2_and_plain_requests_are_refused_at_the_handshake(start: Start) -> None:
    host, hook = start(HTTPS)
    with hook.raw() as connection, pytest.raises(ssl.SSLError):
        old_tls().wrap_socket(connection)
    assert b"HTTP/1.1" not in hook.exchange(b"GET /healthz HTTP/1.1\r\n\r\n")
    assert hook.post(b"event").status == 200
    log = "\n".join(line.text for line in host.stop().log)
    assert "TLS handshake: UNSUPPORTED_PROTOCOL (1)" in log
    assert "TLS handshake: HTTP_REQUEST (1)" in log


def old_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    # Without it the client's own library refuses what it is to offer.
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


# A host that does not come for more


def large_event(number: int) -> bytes:
    """More than a pipe holds."""
    return b"%d" % number * 100_000


class BlockedHost:
    """The plugin in a host whose events nobody reads, so that it takes no more after a while."""

    def __init__(self, library: Path, config: Mapping[str, object]) -> None:
        command = [sys.executable, "-P", "-m", "falco_plugin", "run", str(library), "--json"]
        command += ["--params", HTTP, "--config", json.dumps(config)]
        # As the other hosts here: a checkout need not belong to root.
        environment = {**os.environ, "FALCO_PLUGIN_ALLOW_WRITABLE": "1"}
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, start_new_session=True)
        assert self._process.stdout is not None
        self._lines = self._process.stdout
        self.hook = Hook(port_in(self._read("log", "listening on ")["text"]))

    def fill(self) -> tuple[list[bytes], Answer]:
        """Sends events until the host is behind: all of them, and what was answered to the last."""
        sent: list[bytes] = []
        while True:
            sent.append(large_event(len(sent)))
            answer = self.hook.post(sent[-1])
            if answer.status != 200:
                return sent, answer

    def read_event(self) -> bytes:
        return self._read("event", "")["data"].encode()

    def close(self) -> None:
        # The host may be in the middle of a write. The signal is for it; the command waits for it.
        self._lines.close()
        os.killpg(self._process.pid, signal.SIGINT)
        self._process.wait(20)

    def _read(self, kind: str, text: str) -> dict[str, str]:
        for line in self._lines:
            read: dict[str, str] = json.loads(line)
            if read["kind"] == kind and text in read.get("text", text):
                return read
        raise AssertionError("the host has ended")


def test_while_the_host_is_behind_clients_are_told_to_come_again(library: Path, secrets_file: Path) -> None:
    config = {"secrets_file": str(secrets_file), "delivery_timeout": 1, "threads": 2}
    with closing(BlockedHost(library, config)) as host:
        sent, refused = host.fill()
        assert (refused.status, refused.headers["Retry-After"]) == (503, "10")
        assert "all was queued and may be delivered" in refused.text
        # However often it is sent meanwhile.
        for _ in range(2):
            refused = host.hook.post(b"not taken")
            assert (refused.status, refused.headers["Retry-After"]) == (503, "10")
            assert "nothing was taken" in refused.text
        assert [host.read_event() for _ in sent] == sent
        wait_until(lambda: host.hook.post(b"taken").status == 200)
        assert host.read_event() == b"taken"


def test_lines_for_which_the_channel_has_no_room_wait_no_longer_than_a_delivery(
    library: Path, secrets_file: Path
) -> None:
    config = {"secrets_file": str(secrets_file), "delivery_timeout": 1, "capacity": 2, "max_body": 32 << 20}
    with closing(BlockedHost(library, config)) as host:
        lines = [large_event(number) for number in range(100)]
        refused = host.hook.post(b"\n".join(lines), Content_Type="application/x-ndjson")
        assert (refused.status, refused.headers["Retry-After"]) == (503, "10")
        assert "a part was queued" in refused.text
        # The part is the first lines, and the next request comes after them.
        with ThreadPoolExecutor(1) as reader:
            reading = reader.submit(lambda: list(iter(host.read_event, b"after")))
            wait_until(lambda: host.hook.post(b"after").status == 200)
            delivered = reading.result(timeout=20)
        assert delivered == lines[: len(delivered)]


# Opening and closing


def test_stopping_answers_and_delivers_what_was_answered_with_200(start: Start) -> None:
    host, hook = start(free_port_url(), threads=4)
    taken: list[bytes] = []
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
            taken.append(body)

    with ThreadPoolExecutor(8) as clients:
        running = [clients.submit(client, number) for number in range(8)]
        wait_until(lambda: len(taken) > 50)
        ran = host.stop()
        for future in running:
            future.result(timeout=20)
    assert statuses <= {200, 503}
    seen = Counter(event.data for event in ran.events)
    assert set(taken) <= set(seen)
    assert set(seen.values()) == {1}
    assert hook.is_free()


def test_stopping_waits_for_no_slow_client(start: Start) -> None:
    host, hook = start(free_port_url(), request_timeout=600, threads=3)
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


def test_no_thread_descriptor_or_port_is_left_by_a_source_that_was_closed(
    secrets_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(WEBHOOK.parents[1]))
    module = importlib.import_module("examples.webhook.plugin")
    plugin = module.Webhook()
    plugin.config = module.Config(secrets_file=str(secrets_file), threads=2)
    plugin.init()

    url = free_port_url()

    def open_and_close() -> None:
        instance = plugin.open(url, Context())
        assert Hook(int(url.split(":")[2].partition("/")[0])).request("GET", "/healthz").status == 200
        instance.close()

    open_and_close()
    before = left()
    for _ in range(5):
        open_and_close()
    assert left() == before


def left() -> tuple[int, int]:
    return threading.active_count(), len(os.listdir("/proc/self/fd"))


def test_an_address_that_is_taken_is_the_error_of_open(library: Path, secrets_file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        url = f"http://127.0.0.1:{other.getsockname()[1]}/hook"
        ran = run(library, url, config={"secrets_file": str(secrets_file)})
    assert ran.result == "failure"
    assert f"cannot listen on {url.removesuffix('/hook')}: " in str(ran.error)
    assert "Address already in use" in str(ran.error)


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ("", "open_params must be a URL with scheme, host and port, such as"),
        ("127.0.0.1:8080", "open_params must be a URL with scheme, host and port"),
        ("http://127.0.0.1/hook", "open_params must be a URL with scheme, host and port"),
        ("http://127.0.0.1:99999/hook", "open_params is no URL"),
        ("http://user:pass@127.0.0.1:8080/hook", "of scheme, host, port and path alone"),
        ("https://127.0.0.1:8080/hook", "open_params says https: name certificate and key"),
        ("http://127.0.0.1:8080/healthz", "the path /healthz is taken"),
    ],
)
def test_params_that_are_no_place_to_listen_say_what_to_write(
    library: Path, secrets_file: Path, params: str, error: str
) -> None:
    ran = run(library, params, config={"secrets_file": str(secrets_file)})
    assert ran.result == "failure"
    assert error in str(ran.error)
    assert "pass@" not in str(ran.error)


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ({}, "there is no secrets_file: name one, or set allow_unsigned: true"),
        ({"secrets_file": HIDDEN}, "secrets_file cannot be read: No such file or directory"),
        ({"secrets_file": "/"}, "secrets_file cannot be read: Is a directory"),
        ({"secrets_file": "/dev/null"}, "secrets_file is empty: write one secret a line into it"),
        ({"secrets_file": HIDDEN, "allow_unsigned": True}, "there are both secrets_file and allow_unsigned"),
        ({"allow_unsigned": True, "certificate": HIDDEN}, "there must be both certificate and key, or neither"),
        ({"allow_unsigned": True, "key": HIDDEN}, "there must be both certificate and key, or neither"),
        ({"allow_unsigned": True, "certificate": HIDDEN, "key": HIDDEN}, "certificate and key cannot be used: "),
        ({"allow_unsigned": True, "certificate": "/dev/null", "key": HIDDEN}, "certificate and key cannot be used: "),
    ],
)
def test_a_configuration_that_cannot_work_is_an_error_of_init(
    library: Path, config: dict[str, object], error: str
) -> None:
    ran = run(library, HTTP, config=config)
    assert ran.result == "failure"
    assert error in str(ran.error)
    assert HIDDEN not in str(ran)


TOO_SMALL = {
    "secrets_file": "",
    "certificate": "",
    "key": "",
    "signature_header": "",
    "event_size": 0,
    "max_body": 0,
    "capacity": 0,
    "threads": 0,
    "max_connections": 0,
    "request_timeout": 0,
    "delivery_timeout": 0,
}


@pytest.mark.parametrize(
    "config",
    [
        {"secret_file": HIDDEN},
        {name: [HIDDEN] for name in (*TOO_SMALL, "allow_unsigned")},
        TOO_SMALL,
        {"event_size": (64 << 20) + 1, "max_body": (256 << 20) + 1, "threads": 257, "signature_header": f"X: {HIDDEN}"},
    ],
    ids=["unknown", "wrong type", "too small", "too large"],
)
def test_a_configuration_that_does_not_fit_is_refused_with_each_name_and_no_value(
    library: Path, config: dict[str, object]
) -> None:
    ran = run(library, HTTP, config=config)
    assert ran.result == "failure"
    for name in config:
        assert name in str(ran.error)
    assert HIDDEN not in str(ran)


@pytest.mark.parametrize("config", ["- a list", "[]", "null"])
def test_a_configuration_that_is_no_map_is_refused(library: Path, config: str) -> None:
    assert run(library, HTTP, config=config).result == "failure"


def test_a_certificate_asks_for_https_and_a_key_with_a_password_is_refused(
    library: Path, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    config = {"allow_unsigned": True, "certificate": str(certificate[0]), "key": str(certificate[1])}
    assert "open_params says http, but init_config names a certificate" in str(run(library, HTTP, config=config).error)
    key = serialization.load_pem_private_key(certificate[1].read_bytes(), None)
    encrypted = tmp_path / "encrypted.pem"
    encrypted.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"password"),
        )
    )
    config["key"] = str(encrypted)
    assert "the key is encrypted, store it without a password" in str(run(library, HTTPS, config=config).error)
