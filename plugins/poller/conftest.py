"""An HTTP server that behaves like Okta or GitHub, and the plugin in the native host."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

import pytest
from plugins.poller.config import Config
from plugins.poller.plugin import Poller
from support.hosts import run_command
from support.libraries import KIND
from support.polled_api import PAGE, TOKEN, URL, record

from falco_plugin._declare.config.parser import parse
from falco_plugin.errors import PluginError
from falco_plugin.testing import Run, RunningPlugin, run

POLLER = Path(__file__).parent


Answer: TypeAlias = "Callable[[Handler], None]"


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "the condition did not become true"
        time.sleep(0.005)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: AuditApi

    def do_GET(self) -> None:
        self.api.requests.append(self.path)
        self.api.authorizations.append(self.headers["Authorization"])
        if self.api.answers:
            self.api.answers.popleft()(self)
        else:
            self.api.serve(self)

    def reply(self, status: int, body: bytes = b"", *headers: tuple[str, str], phrase: str | None = None) -> None:
        self.send_response_only(status, phrase)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class AuditApi:
    """Answers with pages of records, oldest first. Each of the ``answers`` replaces the next page."""

    def __init__(self, *, last_page_has_link: bool, tls: ssl.SSLContext | None = None) -> None:
        self.records: list[bytes] = []
        self.requests: list[str] = []
        self.authorizations: list[str | None] = []
        self.answers: deque[Answer] = deque()
        self.closing = threading.Event()
        self._last_page_has_link = last_page_has_link
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("OwnHandler", (Handler,), {"api": self}))
        self._server.daemon_threads = True
        self._server.block_on_close = False
        # A host that is killed, or a request that is cut off, is not an error of the server.
        self._server.handle_error = lambda *_: None
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        scheme = "http" if tls is None else "https"
        self.origin = f"{scheme}://127.0.0.1:{self._server.server_port}"
        self.url = f"{self.origin}/logs?limit={PAGE}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def add(self, count: int) -> list[bytes]:
        added = [record(len(self.records) + number) for number in range(count)]
        self.records += added
        return added

    def serve(self, handler: Handler) -> None:
        query = parse_qs(urlsplit(handler.path).query)
        begin = int(query.get("after", ["0"])[0])
        page = self.records[begin : begin + PAGE]
        end = begin + len(page)
        links = [("Link", f'<{self.url}>; rel="self"')]
        if self._last_page_has_link or end < len(self.records):
            links.append(("Link", f'<{self.url}&after={end}>; rel="next"'))
        handler.reply(200, b"[" + b",".join(page) + b"]", *links)


def status(code: int, *headers: tuple[str, str], body: bytes = b"") -> Answer:
    return lambda handler: handler.reply(code, body, *headers)


def never(handler: Handler) -> None:
    handler.api.closing.wait()
    handler.close_connection = True


def hang_up(handler: Handler) -> None:
    handler.close_connection = True


def cut_off(handler: Handler) -> None:
    handler.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n[{"uuid":')
    handler.close_connection = True


def trickle(handler: Handler) -> None:
    """Sends single bytes indefinitely."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n[")
    while not handler.api.closing.wait(0.05):
        handler.wfile.write(b" ")


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library of the plugin."""
    path = tmp_path_factory.mktemp("poller") / "libpoller.so"
    built = run_command("build", *KIND, POLLER, "-o", path)
    assert built.status == 0, built.stderr
    return path


@pytest.fixture
def servers() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def okta(servers: ExitStack) -> AuditApi:
    api = AuditApi(last_page_has_link=True)
    servers.callback(api.close)
    return api


@pytest.fixture
def github(servers: ExitStack) -> AuditApi:
    api = AuditApi(last_page_has_link=False)
    servers.callback(api.close)
    return api


@pytest.fixture(params=["okta", "github"])
def api(request: pytest.FixtureRequest) -> AuditApi:
    return request.getfixturevalue(request.param)


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    return {
        "token": f"file:{tmp_path / 'token'}",
        "id_field": "uuid",
        "timestamp_field": "published",
        "cursor_file": str(tmp_path / "cursor.json"),
        "interval": 0.02,
        "retry_wait": 0.02,
    }


@pytest.fixture
def cursor_file(config: dict[str, Any]) -> Path:
    return Path(config["cursor_file"])


@pytest.fixture
def start(library: Path, config: dict[str, Any]) -> Iterator[Callable[..., RunningPlugin]]:
    with ExitStack() as stack:

        def start(url: str, **changes: Any) -> RunningPlugin:
            return stack.enter_context(RunningPlugin(library, url, config={**config, **changes}))

        yield start


@pytest.fixture
def fail(library: Path, config: dict[str, Any]) -> Callable[..., str]:
    """Runs a source that must fail, and returns its error."""

    def fail(url: str, **changes: Any) -> str:
        ran = run(library, url, config={**config, **changes}, timeout=30)
        assert (ran.result, ran.events) == ("failure", []), str(ran)
        assert TOKEN not in str(ran)
        return ran.error or ""

    return fail


Reject: TypeAlias = Callable[..., str]


@pytest.fixture
def reject(config: dict[str, Any]) -> Reject:
    """Returns the error of init or open, which must not show the token."""

    def reject(url: str = URL, **changes: Any) -> str:
        with pytest.raises((ValueError, PluginError)) as raised:
            plugin = Poller()
            plugin.config = parse(json.dumps({**config, **changes}), Config)
            plugin.init()
            plugin.open(url)
        message = str(raised.value)
        assert TOKEN not in message
        return message

    return reject


def take(plugin: RunningPlugin, count: int) -> list[bytes]:
    return [plugin.next_event(timeout=20).data for _ in range(count)]


def payloads(ran: Run) -> list[bytes]:
    return [event.data for event in ran.events]


def position(cursor_file: Path) -> dict[str, Any]:
    return json.loads(cursor_file.read_bytes())["cursor"]


def wait_until_idle(api: AuditApi) -> None:
    """Waits until the API got another request and returned no new record."""
    seen = len(api.requests)
    wait_until(lambda: len(api.requests) >= seen + 2)
