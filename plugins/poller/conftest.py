"""An HTTP server that behaves like Okta or GitHub, a simulated API, and the plugin in the native host."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import math
import os
import ssl
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, aclosing, suppress
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeAlias, cast
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
import pytest
from plugins.poller.api import Api
from plugins.poller.config import Config
from plugins.poller.cursor import CursorFile, first_url
from plugins.poller.feed import Feed
from plugins.poller.paging import Pages
from plugins.poller.plugin import Poller
from support.hosts import run_command
from support.libraries import KIND

from falco_plugin.testing import Run, RunningPlugin, run

POLLER = Path(__file__).parent

TOKEN = "a-secret-of-the-operator"
PAGE = 5
SIMULATED_URL = f"https://api.example/logs?limit={PAGE}"

Answer: TypeAlias = "Callable[[Handler], None]"
SimulatedAnswer: TypeAlias = Callable[[int, str], tuple[int, dict[str, str], bytes]]
"""Returns status, headers and body."""


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


def record(number: int) -> bytes:
    return b'{"uuid":"id-%d","published":"2026-11-20T08:00:%02d.250Z","eventType":"test"}' % (number, number % 60)


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
        "token_file": str(tmp_path / "token"),
        "id_field": "uuid",
        "timestamp_field": "published",
        "state_file": str(tmp_path / "state.json"),
        "interval": 0.02,
        "retry_wait": 0.02,
    }


@pytest.fixture
def state_file(config: dict[str, Any]) -> Path:
    return Path(config["state_file"])


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

    def reject(url: str = SIMULATED_URL, **changes: Any) -> str:
        with pytest.raises((ValueError, OSError)) as raised:  # noqa: PT012 - the tests check the message
            plugin = Poller()
            plugin.config = msgspec.convert({**config, **changes}, Config)
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


def position(state_file: Path) -> dict[str, Any]:
    return json.loads(state_file.read_bytes())["cursor"]


def wait_until_idle(api: AuditApi) -> None:
    """Waits until the API got another request and returned no new record."""
    seen = len(api.requests)
    wait_until(lambda: len(api.requests) >= seen + 2)


class _SimulationEnded(BaseException):
    pass


class Simulation:
    """Polls an API in simulated time, without sockets and without the host.

    Args:
        folder: for the state file and the token.
        answer: gets the number of the request, from 1, and its URL, and returns the API's answer.
        url: the open params.
        config: changes of the configuration.
    """

    LATENCY = 0.1
    """Simulated seconds from a request to its answer."""

    def __init__(self, folder: Path, answer: SimulatedAnswer, url: str = SIMULATED_URL, **config: Any) -> None:
        self.now = 1_800_000_000.0
        self.times: list[float] = []
        self.urls: list[str] = []
        self.events: list[bytes] = []
        self.failures: list[str] = []
        self.error: str | None = None
        self.log: list[str] = []
        self._answer = answer
        self._end = self.now
        self._state_file = folder / "state.json"
        token = folder / "token"
        token.write_text(TOKEN)
        self._config = Config(str(token), "uuid", "published", state_file=str(self._state_file), **config)
        self._feed = self._new_feed(url)

    def run(self, seconds: float, most_requests: float = math.inf) -> None:
        """Polls for so many simulated seconds, or until the source ends with an error."""
        self._end += seconds
        self._most_requests = most_requests
        with suppress(_SimulationEnded):
            asyncio.run(self._run())

    @property
    def gaps(self) -> list[float]:
        """Seconds between two requests, rounded."""
        return [round(later - earlier, 1) for earlier, later in itertools.pairwise(self.times)]

    @property
    def saved_url(self) -> str:
        return position(self._state_file)["url"]

    def requests_per(self, seconds: float) -> list[int]:
        """How many requests were sent in each such window, from the start of the simulation."""
        windows = Counter(int((time - self.times[0]) // seconds) for time in self.times)
        return [windows[number] for number in range(max(windows) + 1)]

    def _new_feed(self, url: str) -> Feed:
        log = logging.Logger("simulation")
        log.addHandler(ListHandler(self.log))
        cursors = CursorFile(str(self._state_file), url, log)
        api = SimulatedApi(url, self._config, self._respond)
        cursor = cursors.load(first_url(url, None))
        return Feed(api, cursors, cursor, Pages(url), self._config, log, lambda: self.now, self._sleep)

    async def _run(self) -> None:
        while True:
            try:
                async with aclosing(self._feed.poll(cast("Any", None))) as items:
                    async for item in items:
                        if isinstance(item, tuple):
                            self.events.append(item[0])
                        elif item is not None:
                            self.error = str(item.error)
                            return
            except Exception as failure:
                self.failures.append(str(failure))
                await self._sleep(self._config.retry_wait)

    async def _sleep(self, seconds: float) -> None:
        assert 0 <= seconds <= 24 * 3600
        self.now += seconds
        if self.now > self._end or len(self.times) >= self._most_requests:
            raise _SimulationEnded

    def _respond(self, request: httpx.Request) -> httpx.Response:
        self.times.append(self.now)
        self.urls.append(str(request.url))
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        code, headers, body = self._answer(len(self.times), str(request.url))
        headers = {"Date": formatdate(self.now, usegmt=True), **headers}
        self.now += self.LATENCY
        return httpx.Response(code, headers=headers, content=body)


class SimulatedApi(Api):
    def __init__(self, url: str, config: Config, respond: Callable[[httpx.Request], httpx.Response]) -> None:
        super().__init__(url, config)
        self._respond = respond

    def connect(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self._respond))


class ListHandler(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, line: logging.LogRecord) -> None:
        self._lines.append(line.getMessage())


def page(first: int, count: int) -> bytes:
    """The body of a page with so many records."""
    return b"[" + b",".join(map(record, range(first, first + count))) + b"]"


def next_link(url: str) -> dict[str, str]:
    return {"Link": f"<{url}>; rel=next"}


@pytest.fixture
def simulate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Simulation]:
    """Returns a simulation that did not start yet."""
    # A simulation has no connections: do not load the certificates of all authorities.
    monkeypatch.setattr("plugins.poller.api._tls_context", lambda _: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    # A simulation has no power failures: do not wait for the disk.
    monkeypatch.setattr(os, "fsync", lambda _: None)
    return lambda answer, *arguments, **config: Simulation(tmp_path, answer, *arguments, **config)


Simulate: TypeAlias = Callable[..., Simulation]
