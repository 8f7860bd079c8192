"""Tests `HttpReceiver` over sockets, with a thread that reads its events as a host does."""

from __future__ import annotations

import http.client
import json
import logging
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from support.http import Client, port_in, read_all, signature, wait_until
from support.paths import REPOSITORY

from falco_plugin import Context, PluginError, Secret, Timeout, source
from falco_plugin._declare.config.parser import parse
from falco_plugin._declare.config.schema import schema
from falco_plugin.receiving import HmacSignature, HttpReceiver, Item, ReceiverConfig, Rejection, Request, server
from falco_plugin.receiving.connection import Connection
from falco_plugin.receiving.delivery import Delivery

UNSIGNED = ReceiverConfig(allow_unsigned=True)
HIDDEN = "a value that no client may see"
NANOSECONDS = 1_800_000_000_000_000_001


class Sample(HttpReceiver):
    name = event_source = "sample"
    config: ReceiverConfig = UNSIGNED
    is_released = threading.Event()
    entered = most_entered = 0

    def check(self, request: Request) -> None:
        assert request.body == b""
        if request.headers.get("x-check") == "raises":
            raise KeyError(HIDDEN)
        super().check(request)

    def events(self, request: Request) -> Iterable[Item]:
        match request.headers.get("x-events"):
            case "timed":
                return [(request.body, NANOSECONDS), request.body]
            case "none":
                return []
            case "request":
                parts = [request.method, request.path, request.query, request.client, request.media_type]
                return [json.dumps([*parts, request.headers["x-twice"]]).encode()]
            case "too many":
                raise Rejection(HTTPStatus.TOO_MANY_REQUESTS, "too many requests", Retry_After="60")
            case "raises":
                return raises_after_first()
            case "wrong":
                return [b"right", "wrong"]  # type: ignore[list-item]
            case "naive time":
                return [b"right", (b"wrong", datetime(2026, 1, 1))]  # noqa: DTZ001
            case "negative time":
                return [(b"right", 1), (b"wrong", -1)]
            case "no pair":
                return [b"right", (b"wrong", 1, 2)]  # type: ignore[list-item]
            case "wide view":
                return [b"right", memoryview(bytes(400_000)).cast("Q")]  # type: ignore[list-item]
            case "waits":
                self.most_entered = max(self.most_entered, self.entered + 1)
                self.entered += 1
                self.is_released.wait(20)
                self.entered -= 1
        return super().events(request)


def raises_after_first() -> Iterator[bytes]:
    yield b"first"
    raise ValueError(HIDDEN)


class Listening(Client):
    """A plugin that listens, and the events that its host has read."""

    def __init__(self, plugin: HttpReceiver, port: int) -> None:
        super().__init__(port)
        self.plugin = plugin
        self.events: list[tuple[bytes, int | None]] = []

    def post(self, body: bytes, **headers: str) -> Any:
        return self.request("POST", "/hook", body, **headers)


@contextmanager
def listening(plugin: HttpReceiver, caplog: pytest.LogCaptureFixture) -> Iterator[Listening]:
    """Opens the source of a plugin, and reads its events until the end."""
    caplog.set_level(logging.INFO)
    instance = plugin.open("http://127.0.0.1:0/hook", Context())
    assert isinstance(instance, source.PushInstance)
    opened = Listening(plugin, port_in(caplog.messages[-1]))
    is_closing = threading.Event()

    def read() -> None:
        while not is_closing.is_set():
            instance.events.clear()
            with suppress(Timeout):
                instance.next_batch(instance.events)
            opened.events += [(bytes(event.data), event.timestamp) for event in instance.events]

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield opened
    finally:
        is_closing.set()
        reader.join()
        instance.close()


@pytest.fixture
def hook(caplog: pytest.LogCaptureFixture) -> Iterator[Listening]:
    with listening(Sample(), caplog) as opened:
        yield opened


# Events and answers


def test_default_events_are_the_documents_of_the_body(hook: Listening) -> None:
    assert hook.post(b'{"a": 1}\n{"b": 2}').status == 200
    assert [data for data, _ in hook.events] == [b'{"a": 1}', b'{"b": 2}']


def test_events_may_have_times(hook: Listening) -> None:
    assert hook.post(b"event", X_Events="timed").status == 200
    (_, first), (_, second) = hook.events
    assert first == NANOSECONDS
    assert second != NANOSECONDS


def test_request_without_events_is_accepted(hook: Listening) -> None:
    answer = hook.post(b"skipped", X_Events="none")
    assert (answer.status, answer.text, hook.events) == (200, "", [])
    assert answer.headers["Date"].endswith(" GMT")


def test_request_has_its_parts(hook: Listening) -> None:
    headers = {"X-Events": "request", "Content-Type": "Text/JSON ; charset=utf-8", "X-Twice": "caf\xe9"}
    assert hook.request("POST", "/h%6fok?a=%20&b", b"{}", headers).status == 200
    assert json.loads(hook.events[0][0]) == ["POST", "/hook", "a=%20&b", "127.0.0.1", "text/json", "caf\xe9"]


def test_rejection_reaches_client_and_log(hook: Listening, caplog: pytest.LogCaptureFixture) -> None:
    answer = hook.post(b"event", X_Events="too many")
    assert (answer.status, answer.text, answer.headers["Retry-After"]) == (429, "too many requests\n", "60")
    assert "rejected input: too many requests (1); last client: 127.0.0.1" in caplog.messages


def test_failure_of_plugin_is_answered_with_500_and_logged_once(
    hook: Listening, caplog: pytest.LogCaptureFixture
) -> None:
    for headers in ({"X_Events": "raises"}, {"X_Events": "raises"}, {"X_Events": "wrong"}, {"X_Check": "raises"}):
        answer = hook.post(b"event", **headers)
        assert answer.status == 500
        assert answer.text == f"{'check' if 'X_Check' in headers else 'events'} of the plugin failed\n"
    failures = [str(record.exc_info[1]) for record in caplog.records if record.exc_info]
    assert failures == [HIDDEN, "events must yield bytes or (bytes, timestamp), got str", repr(HIDDEN)]
    assert hook.post(b"event").status == 200
    assert [data for data, _ in hook.events] == [b"event"]


def test_event_that_is_too_large_does_not_hide_the_others(hook: Listening) -> None:
    large = hook.post(b"event", X_Events="wide view")
    assert (large.status, large.text) == (413, "an event is larger than 262144 bytes; the others were delivered\n")
    alone = hook.post(b"x" * 262_145)
    assert (alone.status, alone.text) == (413, "an event is larger than 262144 bytes\n")
    assert [data for data, _ in hook.events] == [b"right"]
    assert (hook.plugin.accepted_requests.value, hook.plugin.rejected_requests.value) == (0, 2)


@pytest.mark.parametrize("events", ["naive time", "negative time", "no pair"])
def test_request_with_an_event_that_falco_cannot_get_delivers_none(hook: Listening, events: str) -> None:
    assert hook.post(b"event", X_Events=events).status == 500
    assert hook.post(b"after").status == 200
    assert [data for data, _ in hook.events] == [b"after"]
    assert hook.plugin.rejected_requests.value == 1


def test_metrics_count_answers(hook: Listening) -> None:
    for status, path in ((200, "/hook"), (404, "/other"), (200, "/hook")):
        assert hook.request("POST", path, b"event").status == status
    assert hook.request("GET", "/healthz").status == 200
    plugin = hook.plugin
    assert (plugin.accepted_requests.value, plugin.rejected_requests.value) == (2, 1)
    assert plugin.postponed_requests.value == 0


# Verification


def test_recorded_request_is_rejected_after_the_tolerance(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "пароль 🔑".encode()
    plugin = Sample()
    plugin.config = ReceiverConfig(secret=Secret(secret.decode()))
    plugin.verification = HmacSignature("X-Sig", message="{timestamp}:{body}", timestamp="X-Time")
    now = int(time.time())
    digest = signature(b"%d:event" % now, secret).removeprefix("sha256=")
    headers = {"X_Sig": digest, "X_Time": str(now)}
    with listening(plugin, caplog) as hook:
        assert hook.post(b"event", **headers).status == 200
        assert hook.post(b"other", **headers).status == 401
        monkeypatch.setattr(time, "time", lambda: now + 302)
        assert hook.post(b"event", **headers).status == 401
        assert [data for data, _ in hook.events] == [b"event"]
    assert not any("пароль" in message or digest in message for message in caplog.messages)


def test_secret_in_a_file_can_be_replaced_while_falco_runs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "secret"
    file.write_text("old\n\n new \r\n")
    plugin = Sample()
    config = parse(json.dumps({"secret": f"file:{file}"}), ReceiverConfig)
    plugin.config = config

    def status(secret: bytes) -> int:
        return hook.post(b"event", X_Hub_Signature_256=signature(b"event", secret)).status

    with listening(plugin, caplog) as hook:
        assert [status(secret) for secret in (b"old", b"new", b"")] == [200, 200, 401]
        file.write_text("new")
        assert [status(secret) for secret in (b"old", b"new")] == [401, 200]
        file.unlink()
        assert [status(b"new") for _ in range(2)] == [503, 503]
        file.write_text("new")
        assert status(b"new") == 200
    errors = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert errors == ["secret: the file of this secret cannot be read: No such file or directory"]


def test_unverified_receiver_needs_a_decision() -> None:
    with pytest.raises(ValueError, match="secret is missing: set it, or set allow_unsigned: true"):
        ReceiverConfig()


def test_reference_lists_each_setting() -> None:
    page = (REPOSITORY / "docs/reference/receiving.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \|(.*?)\| (.*) \|$", page, re.MULTILINE)
    settings = json.loads(schema(ReceiverConfig))["properties"]
    assert [(name, text.replace("`", "")) for name, _, text in rows] == [
        (name, setting["description"]) for name, setting in settings.items()
    ]
    for name, default, _ in rows:
        assert json.loads(default.strip(" `") or "null") == settings[name]["default"], name


def test_other_configuration_is_rejected_with_remedy() -> None:
    plugin = Sample()
    plugin.config = "text"
    with pytest.raises(TypeError, match="config must be a ReceiverConfig, got str: derive its class"):
        plugin.open("http://127.0.0.1:0/hook", Context())


# Hostile clients


@pytest.mark.parametrize(("first", "second", "is_admitted"), [(40, 60, True), (40, 61, False), (1000, 1, False)])
def test_events_of_a_few_large_bodies_are_in_memory_together(first: int, second: int, is_admitted: bool) -> None:
    sender, _ = source.channel()
    delivery = Delivery(sender, timeout=0.01, most_bytes=100)
    with suppress(KeyError), delivery.admit(1000):
        raise KeyError
    with delivery.admit(first):
        if is_admitted:
            with delivery.admit(second):
                pass
        else:
            with pytest.raises(Rejection, match="Falco is behind: no event was delivered"), delivery.admit(second):
                pytest.fail("the body was admitted")
    with delivery.admit(second):
        pass


def test_bodies_beyond_the_limit_wait_for_the_first(caplog: pytest.LogCaptureFixture) -> None:
    plugin = Sample()
    plugin.config = ReceiverConfig(allow_unsigned=True, max_body=5)
    plugin.is_released = threading.Event()
    statuses: list[int] = []
    with listening(plugin, caplog) as hook:
        posts = [
            threading.Thread(target=lambda: statuses.append(hook.post(b"event", X_Events="waits").status))
            for _ in range(12)
        ]
        for post in posts:
            post.start()
        wait_until(lambda: plugin.entered >= 4)
        plugin.is_released.set()
        for post in posts:
            post.join()
    assert statuses == [200] * 12
    assert plugin.most_entered <= 4


POST = b"POST /hook HTTP/1.1\r\nContent-Length: 5\r\n\r\n"


def test_pipelined_requests_are_answered_in_order(hook: Listening) -> None:
    requests = [b"POST /hook HTTP/1.1\r\nContent-Length: 2\r\n\r\n%02d" % number for number in range(50)]
    answers = hook.exchange(b"".join(requests) + b"GET /other HTTP/1.1\r\n\r\n" + POST + b"never")
    assert answers.count(b"HTTP/1.1 200 OK\r\n") == 50
    assert answers.endswith(b"\r\n\r\nunknown path\n")
    assert [data for data, _ in hook.events] == [b"%02d" % number for number in range(50)]


@pytest.mark.parametrize(
    "framing",
    [b"Content-Length: %d\r\n\r\n%s", b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"],
)
def test_body_of_a_health_check_is_not_another_request(hook: Listening, framing: bytes) -> None:
    inner = POST + b"event"
    answers = hook.exchange(b"GET /healthz HTTP/1.1\r\n" + framing % (len(inner), inner))
    assert answers.count(b"HTTP/1.1 ") == 1
    assert b"\r\nConnection: close\r\n" in answers
    assert hook.post(b"after").status == 200
    assert [data for data, _ in hook.events] == [b"after"]


def test_health_check_does_not_occupy_its_connection(caplog: pytest.LogCaptureFixture) -> None:
    plugin = Sample()
    plugin.config = ReceiverConfig(allow_unsigned=True, request_timeout=0.2)
    with listening(plugin, caplog) as hook:
        # Returns when the receiver closes the connection.
        assert hook.exchange(b"GET /healthz HTTP/1.1\r\n\r\n").endswith(b"ok\n")


def test_request_is_shown_without_what_may_be_secret() -> None:
    request = Request("POST", "/secret", "secret", {"authorization": "secret"}, "127.0.0.1", b"secret")
    assert repr(request) == "Request(method='POST', client='127.0.0.1')"


@pytest.mark.parametrize(
    "cut",
    [
        b"POST /hook HTTP/1.1\r\nContent-Le",
        POST + b"even",
        b"POST /hook HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nevent\r\n",
        b"POST /hook HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nevent",
    ],
)
def test_request_that_ends_early_is_not_delivered(hook: Listening, cut: bytes) -> None:
    with hook.raw() as connection:
        connection.sendall(cut)
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection) == b""
    assert hook.post(b"event").status == 200
    assert [data for data, _ in hook.events] == [b"event"]


def test_tls_client_of_a_plain_port_is_rejected_immediately(hook: Listening, caplog: pytest.LogCaptureFixture) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with hook.raw() as connection, pytest.raises(ssl.SSLError):
        context.wrap_socket(connection)
    assert any("the client uses TLS: use http, or set open_params to https (1)" in line for line in caplog.messages)
    assert hook.post(b"event").status == 200


class SlowHandshake(socket.socket):
    """A socket with TLS whose handshake takes 6 s."""

    def __init__(self, connected: socket.socket) -> None:
        super().__init__(fileno=connected.detach())
        self.now = 0.0
        self.timeouts: list[float | None] = []

    def settimeout(self, value: float | None, /) -> None:
        self.timeouts.append(value)
        super().settimeout(value)

    def do_handshake(self) -> None:
        self.now += 6


def test_handshake_and_first_request_have_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    accepted, client = socket.socketpair()
    slow = SlowHandshake(accepted)
    monkeypatch.setattr(time, "monotonic", lambda: slow.now)
    with client:
        client.sendall(b"POST")
        client.shutdown(socket.SHUT_WR)
        unused: Any = None
        Connection(slow, "127.0.0.1", unused, unused, request_timeout=10).serve()
    assert slow.timeouts == [10, 4, 4]


@pytest.mark.slow
def test_connections_beyond_the_limit_are_closed_immediately(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_GRACE", 3600)
    plugin = Sample()
    plugin.config = ReceiverConfig(allow_unsigned=True, max_connections=50, request_timeout=5)
    with listening(plugin, caplog) as hook:
        connections = [hook.raw() for _ in range(1000)]
        assert threading.active_count() < 70
        for connection in connections[-900:]:
            with suppress(ConnectionResetError):
                assert connection.recv(1) == b""
        for connection in connections:
            connection.close()

        def is_served() -> bool:
            with suppress(OSError, http.client.HTTPException):
                return hook.post(b"event").status == 200
            return False

        wait_until(is_served)
    assert "more than 50 connections" in caplog.text


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"", b""),
        (b"POST /ho", b""),
        (POST.replace(b"Content", b"Expect: 100-continue\r\nContent"), b"HTTP/1.1 100 "),
        (b"GET /healthz HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 "),
    ],
    ids=["nothing", "part of a head", "a head", "health check"],
)
def test_client_without_a_complete_body_does_not_keep_others_away(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, sent: bytes, answer: bytes
) -> None:
    monkeypatch.setattr(server, "_GRACE", 0)
    plugin = Sample()
    plugin.is_released = threading.Event()
    plugin.config = ReceiverConfig(allow_unsigned=True, max_connections=3, request_timeout=3600)
    with listening(plugin, caplog) as hook, hook.raw() as kept, hook.raw() as waiting, hook.raw() as idle:
        kept.sendall(POST + b"first")
        assert kept.recv(1024).startswith(b"HTTP/1.1 200 ")
        waiting.sendall(POST.replace(b"HTTP/1.1", b"HTTP/1.1\r\nX-Events: waits") + b"event")
        wait_until(lambda: plugin.entered)
        idle.sendall(sent)
        assert not answer or idle.recv(1024).startswith(answer)
        assert hook.post(b"other").status == 200
        # Bytes that the server has not read reset the connection.
        with suppress(ConnectionResetError):
            assert (b"more than 3 connections" in read_all(idle)) == (b"100" in answer)
        # These two clients have sent a complete body.
        kept.sendall(POST + b"again")
        assert kept.recv(1024).startswith(b"HTTP/1.1 200 ")
        plugin.is_released.set()
        assert waiting.recv(1024).startswith(b"HTTP/1.1 200 ")
    assert sorted(data for data, _ in hook.events) == [b"again", b"event", b"first", b"other"]
    assert "more than 3 connections" in caplog.text


def test_close_does_not_wait_for_a_plugin_that_hangs(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_CLOSE_TIMEOUT", 0.1)
    plugin = Sample()
    plugin.is_released = threading.Event()
    with listening(plugin, caplog) as hook:
        connection = hook.raw()
        connection.sendall(POST.replace(b"HTTP/1.1", b"HTTP/1.1\r\nX-Events: waits") + b"event")
        wait_until(lambda: threading.active_count() > 3)
    assert (
        "1 requests still run 0 s after closing: let check, verify and events of the plugin return in time"
        in caplog.text
    )
    plugin.is_released.set()
    with connection:
        assert read_all(connection).startswith(b"HTTP/1.1 503 ")


def test_source_ends_if_accepting_fails(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: server.Server, connected: socket.socket, client: str) -> None:
        connected.close()
        raise MemoryError("no memory")

    monkeypatch.setattr(server.Server, "_admit", fail)
    plugin = Sample()
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    instance = plugin.open("http://127.0.0.1:0/hook", Context())
    assert isinstance(instance, source.PushInstance)
    Client(port_in(caplog.messages[-1])).raw().close()

    def ended() -> bool:
        instance.events.clear()
        try:
            instance.next_batch(instance.events)
        except Timeout:
            return False
        return True

    with pytest.raises((MemoryError, PluginError), match="no memory"):
        wait_until(ended)
    instance.close()
