"""Opening and closing of the endpoint, TLS, and hosts that are slower than the clients."""

from __future__ import annotations

import http.client
import importlib
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
from cryptography.hazmat.primitives import serialization
from support.http import Answer, BlockedHost, Hook, free_port, old_tls, read_all, signature, wait_until

from falco_plugin import Context
from falco_plugin.testing import RunningPlugin, run

WEBHOOK = Path(__file__).parent
HIDDEN = "what no error may show"
HTTP = "http://127.0.0.1:0/hook"
HTTPS = "https://127.0.0.1:0/hook"

Start: TypeAlias = Callable[..., tuple[RunningPlugin, Hook]]


def free_url() -> str:
    return f"http://127.0.0.1:{free_port()}/hook"


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


# A host that does not come for more


def large_event(number: int) -> bytes:
    """More than a pipe holds."""
    return b"%d" % number * 100_000


class SlowHost(BlockedHost):
    """The endpoint in a host that takes no more events after a while."""

    def __init__(self, library: Path, config: Mapping[str, object]) -> None:
        super().__init__(library, HTTP, config)
        self.hook = Hook(self.port)

    def fill(self) -> tuple[list[bytes], Answer]:
        """Sends events until the host is behind: all of them, and what was answered to the last."""
        sent: list[bytes] = []
        while True:
            sent.append(large_event(len(sent)))
            answer = self.hook.post(sent[-1])
            if answer.status != 200:
                return sent, answer


def test_while_the_host_is_behind_clients_are_told_to_come_again(library: Path, secrets_file: Path) -> None:
    config = {"secrets_file": str(secrets_file), "delivery_timeout": 1, "threads": 2}
    with closing(SlowHost(library, config)) as host:
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
    with closing(SlowHost(library, config)) as host:
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
    host, hook = start(free_url(), threads=4)
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
    host, hook = start(free_url(), request_timeout=600, threads=3)
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
    module = importlib.import_module("plugins.webhook.plugin")
    plugin = module.Webhook()
    plugin.config = module.Config(secrets_file=str(secrets_file), threads=2)
    plugin.init()

    url = free_url()

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
