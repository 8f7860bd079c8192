"""An API in simulated time, which a poller polls without sockets and without a host."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import math
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing, suppress
from email.utils import formatdate
from pathlib import Path
from typing import Any, TypeAlias, cast

import httpx

from falco_plugin import Fatal, RetryLater
from falco_plugin._declare.config.parser import parse
from falco_plugin.polling import HttpPoller, PollerConfig
from falco_plugin.polling.poller import open_feed

PAGE = 5
URL = f"https://api.example/logs?limit={PAGE}"
TOKEN = "a-secret-of-the-operator"

Answer: TypeAlias = Callable[[int, httpx.Request], tuple[int, dict[str, str], bytes]]
"""Gets the number of the request, from 1, and the request. Returns status, headers and body."""


class Records(HttpPoller):
    """Records of an API that pages by Link headers"""

    name = "records"
    id_field = "uuid"
    timestamp_field = "published"


class _SimulationEnded(BaseException):
    pass


class Simulation:
    """Polls an API in simulated time, without sockets and without the host.

    Args:
        folder: for the cursor file and the token.
        answer: the API.
        url: the open params.
        poller: the class of the plugin.
        now: the time at which the simulation begins, in seconds since the epoch.
        config: the configuration.
    """

    LATENCY = 0.1
    """Simulated seconds from a request to its answer."""

    def __init__(
        self,
        folder: Path,
        answer: Answer,
        url: str = URL,
        poller: type[HttpPoller] = Records,
        now: float = 1_800_000_000.0,
        **config: Any,
    ) -> None:
        self.now = now
        self.times: list[float] = []
        self.urls: list[str] = []
        self.requests: list[httpx.Request] = []
        self.events: list[bytes] = []
        self.failures: list[str] = []
        self.error: str | None = None
        self.log: list[str] = []
        self._answer = answer
        self._end = self.now
        self._cursor_file = folder / "cursor.json"
        self._poller = poller()
        settings = {"token": TOKEN, "cursor_file": str(self._cursor_file), **config}
        self._poller.config = parse(json.dumps(settings), PollerConfig)
        log = logging.getLogger(poller.name)
        log.handlers = [ListHandler(self.log)]
        log.setLevel(logging.INFO)
        log.propagate = False
        self._feed = open_feed(
            self._poller,
            url,
            transport=httpx.MockTransport(self._respond),
            now=lambda: self.now,
            sleep=self._sleep,
            clock=lambda: self.now,
        )

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
        return json.loads(self._cursor_file.read_bytes())["cursor"]["request"]["url"]

    def requests_per(self, seconds: float) -> list[int]:
        """How many requests were sent in each such window, from the start of the simulation."""
        windows = Counter(int((time - self.times[0]) // seconds) for time in self.times)
        return [windows[number] for number in range(max(windows) + 1)]

    async def _run(self) -> None:
        while True:
            try:
                async with aclosing(self._feed.poll(cast("Any", None))) as items:
                    async for item in items:
                        if isinstance(item, tuple):
                            self.events.append(item[0])
            except Fatal as error:
                self.error = str(error)
                return
            except RetryLater as error:
                await self._sleep(error.seconds)
            except Exception as failure:
                self.failures.append(str(failure))
                await self._sleep(self._poller.config.retry_wait)

    async def _sleep(self, seconds: float) -> None:
        assert 0 <= seconds <= 24 * 3600
        self.now += seconds
        if self.now > self._end or len(self.times) >= self._most_requests:
            raise _SimulationEnded

    def _respond(self, request: httpx.Request) -> httpx.Response:
        self.times.append(self.now)
        self.urls.append(str(request.url))
        self.requests.append(request)
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        code, headers, body = self._answer(len(self.times), request)
        headers = {"Date": formatdate(self.now, usegmt=True), **headers}
        self.now += self.LATENCY
        return httpx.Response(code, headers=headers, stream=httpx.ByteStream(body))


class ListHandler(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, line: logging.LogRecord) -> None:
        self._lines.append(line.getMessage())


def record(number: int) -> bytes:
    return b'{"uuid":"id-%d","published":"2026-11-20T08:00:%02d.250Z","eventType":"test"}' % (number, number % 60)


def page(first: int, count: int) -> bytes:
    """The body of a page with so many records."""
    return b"[" + b",".join(map(record, range(first, first + count))) + b"]"


def next_link(url: str) -> dict[str, str]:
    return {"Link": f"<{url}>; rel=next"}


Simulate: TypeAlias = Callable[..., Simulation]
