"""A real HTTP server in the manner of Okta and GitHub, and the plugin in the native host."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from falco_plugin.testing import Run, RunningPlugin, run

POLLER = Path(__file__).parent
TOKEN = "a-secret-of-the-operator"
PAGE = 5

Answer: TypeAlias = "Callable[[Handler], None]"


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "waited in vain"
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
    """Pages of records, oldest first. ``answers`` are given before, one for each request."""

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
        # A host that is killed, or a request that is cut off, is no error of the server's.
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
    """A byte now and then, for ever."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n[")
    while not handler.api.closing.wait(0.05):
        handler.wfile.write(b" ")


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plugin as Falco would load it."""
    path = tmp_path_factory.mktemp("poller") / "libpoller.so"
    command = [sys.executable, "-P", "-m", "falco_plugin", "build", str(POLLER), "-o", str(path)]
    subprocess.run(command, check=True, capture_output=True)
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
    """Runs a source that must fail, and returns why."""

    def fail(url: str, **changes: Any) -> str:
        ran = run(library, url, config={**config, **changes})
        assert (ran.result, ran.events) == ("failure", []), str(ran)
        assert TOKEN not in str(ran)
        return ran.error or ""

    return fail


def take(plugin: RunningPlugin, count: int) -> list[bytes]:
    return [plugin.next_event(timeout=20).data for _ in range(count)]


def payloads(ran: Run) -> list[bytes]:
    return [event.data for event in ran.events]


def position(state_file: Path) -> dict[str, Any]:
    return json.loads(state_file.read_bytes())["cursor"]


def wait_until_idle(api: AuditApi) -> None:
    """Until nothing new was found once more."""
    seen = len(api.requests)
    wait_until(lambda: len(api.requests) >= seen + 2)


def test_each_record_is_given_once_and_in_order(api: AuditApi, start: Callable[..., RunningPlugin]) -> None:
    api.add(2 * PAGE + 2)
    plugin = start(api.url)
    take(plugin, len(api.records))
    for count in (1, PAGE - 3, 1, PAGE, 3 * PAGE, 2):
        added = api.add(count)
        assert take(plugin, count) == added
        wait_until_idle(api)
    assert payloads(plugin.stop()) == api.records


def test_a_restart_goes_on_after_the_last_record(api: AuditApi, start: Callable[..., RunningPlugin]) -> None:
    for count in (3, 0, 2, PAGE, 7):
        added = api.add(count)
        plugin = start(api.url)
        take(plugin, count)
        wait_until_idle(api)
        assert payloads(plugin.stop()) == added


def test_a_page_that_was_not_taken_as_a_whole_comes_again(
    api: AuditApi, library: Path, config: dict[str, Any], start: Callable[..., RunningPlugin]
) -> None:
    first, second = api.add(PAGE), api.add(2)
    # The host takes an event of the second page, and does not come back for more.
    assert payloads(run(library, api.url, config=config, limit=PAGE + 1))[:PAGE] == first
    assert take(start(api.url), len(second)) == second


def test_nothing_is_lost_where_falco_is_killed(api: AuditApi, start: Callable[..., RunningPlugin]) -> None:
    seen: list[bytes] = []
    for count in (1, 2 * PAGE, PAGE, PAGE + 1, 3):
        api.add(2 * PAGE)
        plugin = start(api.url)
        take(plugin, count)
        seen += payloads(plugin.kill())
    plugin = start(api.url)
    missing = set(api.records).difference(seen)
    while missing:
        missing.discard(plugin.next_event().data)
    seen += payloads(plugin.kill())
    assert list(dict.fromkeys(seen)) == api.records


def test_the_state_is_saved_before_the_first_record_and_readable_by_its_owner_alone(
    okta: AuditApi, start: Callable[..., RunningPlugin], state_file: Path
) -> None:
    okta.answers.append(never)
    url = f"{okta.url}&since={{start}}"
    plugin = start(url)
    wait_until(lambda: len(okta.requests) == 1)
    saved = position(state_file)["url"]
    assert state_file.stat().st_mode & 0o777 == 0o600
    assert list(state_file.parent.glob(".*")) == []
    since = datetime.fromisoformat(parse_qs(urlsplit(saved).query)["since"][0])
    assert timedelta() <= datetime.now(UTC) - since < timedelta(minutes=1)
    plugin.kill()
    start(url)
    wait_until(lambda: len(okta.requests) == 2)
    assert okta.requests[0] == okta.requests[1] == saved.removeprefix(okta.origin)


def test_the_start_is_the_one_of_the_configuration(okta: AuditApi, start: Callable[..., RunningPlugin]) -> None:
    start(f"{okta.url}&since={{start}}", start="2026-11-01T02:00:00+02:00")
    wait_until(lambda: bool(okta.requests))
    assert parse_qs(urlsplit(okta.requests[0]).query)["since"] == ["2026-11-01T00:00:00.000Z"]


def test_an_event_has_the_time_of_its_record(okta: AuditApi, start: Callable[..., RunningPlugin]) -> None:
    times = {
        b'"2026-11-20T08:00:00.123Z"': 1_795_161_600_123_000_000,
        b'"2026-11-20T09:00:00+01:00"': 1_795_161_600_000_000_000,
        b'"2026-11-20T08:00:00"': 1_795_161_600_000_000_000,
        b'"2026-11-20 09:00:00,5 +0100"': 1_795_161_600_500_000_000,
        b"1795161600123": 1_795_161_600_123_000_000,
        b"1795161600.123456789": 1_795_161_600_123_456_789,
        b'"1795161600"': 1_795_161_600_000_000_000,
        b"0": 0,
    }
    okta.records = [b'{"@timestamp":%b,"uuid":1}' % field for field in times]
    plugin = start(okta.url, timestamp_field="@timestamp")
    assert [plugin.next_event().timestamp for _ in times] == list(times.values())


def test_a_record_without_a_time_gets_that_of_its_arrival_and_is_reported(
    okta: AuditApi, start: Callable[..., RunningPlugin]
) -> None:
    fields = [b"null", b'"yesterday"', b"-1", b"1e300", b"true", b'{"a":1}']
    okta.records = [b'{"published":%b,"uuid":%d}' % (field, number) for number, field in enumerate(fields)]
    before = time.time_ns()
    plugin = start(okta.url)
    for _ in fields:
        assert before <= plugin.next_event().timestamp <= time.time_ns()
    assert [line.text for line in plugin.stop().log if "'published'" in line.text] == [
        "record '0' has no value in 'published'; the event gets the time of its arrival: correct timestamp_field "
        "(records so far: 1)",
        "record '1' has no time from 1970 to 2554 in 'published'; the event gets the time of its arrival: correct "
        "timestamp_field (records so far: 1)",
        "4 more records had no time from 1970 to 2554 in 'published' (records in all: 5)",
    ]


def test_a_record_is_as_it_came_but_for_white_space(okta: AuditApi, start: Callable[..., RunningPlugin]) -> None:
    okta.records = [
        b' {\n "uuid" : "a b",\t"n": 1.50, "big": 123456789012345678901234567890, "s": "\\u00e9\xc3\xa9\\/"} '
    ]
    compact = b'{"uuid":"a b","n":1.50,"big":123456789012345678901234567890,"s":"\\u00e9\xc3\xa9\\/"}'
    assert start(okta.url).next_event().data == compact


def test_records_without_an_id_are_known_by_their_content(
    github: AuditApi, start: Callable[..., RunningPlugin]
) -> None:
    github.records = [b'{"n":1}', b'{"n":2,"uuid":null}']
    plugin = start(github.url)
    take(plugin, 2)
    wait_until_idle(github)
    github.records.append(b'{"n":3,"uuid":["x"]}')
    take(plugin, 1)
    wait_until_idle(github)
    assert payloads(plugin.stop()) == github.records


def test_a_record_that_is_too_large_is_left_out_and_named(api: AuditApi, start: Callable[..., RunningPlugin]) -> None:
    api.add(1)
    large = b'{"uuid":"the-large-one","published":0,"text":"%b"}' % (b"private" * 100)
    api.records.append(large)
    api.add(2)
    plugin = start(api.url, event_size=200)
    take(plugin, 3)
    wait_until_idle(api)
    ran = plugin.stop()
    assert payloads(ran) == [record for record in api.records if record != large]
    assert sum("record 'the-large-one' is left out" in line.text for line in ran.log) == 1
    assert "private" not in str(ran.log)


def test_polling_goes_on_after_a_failure(github: AuditApi, start: Callable[..., RunningPlugin]) -> None:
    failures = [
        status(500),
        status(502, body=b"<html>"),
        status(503),
        status(408),
        hang_up,
        cut_off,
        trickle,
        never,
        status(401),
        status(403),
        status(404),
        status(302, ("Location", "/elsewhere")),
        status(200, body=b"<html>"),
        status(200, body=b'{"records":[]}'),
        status(200, body=b"[1]"),
        status(200, body=b'[{"uuid":"\xff"}]'),
        status(200, body=b"[" + b" " * 5000 + b"]"),
        status(200, ("Link", "<http://[>; rel=next"), body=b"[]"),
    ]
    plugin = start(github.url, timeout=0.5, max_body=4000)
    for number, answer in enumerate([github.serve, *failures]):
        github.answers.append(answer)
        wait_until(lambda: not github.answers)
        wait_until(lambda number=number: sum("called again in 0.02 s" in line.text for line in plugin.log) == number)
        added = github.add(2)
        assert take(plugin, 2) == added
    assert payloads(plugin.stop()) == github.records


def test_the_api_need_not_be_there_at_the_start(okta: AuditApi, start: Callable[..., RunningPlugin]) -> None:
    okta.answers.extend([status(500), hang_up, status(503)])
    added = okta.add(2)
    assert take(start(okta.url), 2) == added


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (status(401), "answers 401 Unauthorized: write a valid token into the token_file"),
        (status(403), "answers 403 Forbidden: give the token the permission"),
        (status(404), "answers 404 Not Found: correct open_params"),
        (status(400), "answers 400 Bad Request: correct open_params"),
        (status(301, ("Location", "/elsewhere")), "redirects are not followed"),
        (status(200, body=b"<html>"), "is no JSON array of objects"),
        (status(200, body=b'{"records":[]}'), "is no JSON array of objects (Expected `array`, got `object`)"),
        (status(200, body=b"[" + b" " * 5000 + b"]"), "is larger than 4000 bytes"),
    ],
)
def test_a_mistake_in_the_configuration_ends_the_source_at_the_start(
    answer: Answer, reason: str, okta: AuditApi, fail: Callable[..., str]
) -> None:
    okta.answers.append(answer)
    assert reason in fail(okta.url, max_body=4000)
    assert len(okta.requests) == 1


def test_after_a_rate_limit_polling_goes_on(okta: AuditApi, start: Callable[..., RunningPlugin]) -> None:
    okta.answers.append(status(429, ("Retry-After", "1")))
    added = okta.add(2)
    plugin = start(okta.url)
    plugin.wait_for_log("the rate limit is reached: waiting for 1 s")
    assert take(plugin, 2) == added


DATE = "Wed, 21 Oct 2015 07:28:00 GMT"
DATE_SECONDS = 1_445_412_480


@pytest.mark.parametrize(
    ("code", "headers", "seconds"),
    [
        (429, {"Retry-After": "90"}, 90),
        (429, {"Retry-After": "Wed, 21 Oct 2015 07:29:40 GMT"}, 100),
        (429, {"Retry-After": "90", "X-RateLimit-Reset": f"{DATE_SECONDS + 1000}"}, 90),
        (429, {"X-Rate-Limit-Reset": f"{DATE_SECONDS + 120}"}, 120),
        (429, {}, 60),
        (429, {"Retry-After": "1000000"}, 3600),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": f"{DATE_SECONDS + 130}"}, 130),
        (403, {"X-RateLimit-Remaining": "7", "Retry-After": "80"}, 80),
        (503, {"Retry-After": "70"}, 70),
    ],
)
def test_a_rate_limit_is_waited_for_by_the_clock_of_the_api(
    code: int, headers: dict[str, str], seconds: int, okta: AuditApi, start: Callable[..., RunningPlugin]
) -> None:
    okta.answers.append(status(code, ("Date", DATE), *headers.items()))
    plugin = start(okta.url)
    plugin.wait_for_log(f"waiting for {seconds} s,")
    assert plugin.stop().result == "interrupted"
    assert len(okta.requests) == 1


@pytest.mark.parametrize("answer", [never, trickle])
def test_a_close_ends_a_request_at_once(answer: Answer, okta: AuditApi, start: Callable[..., RunningPlugin]) -> None:
    okta.answers.append(answer)
    plugin = start(okta.url)
    wait_until(lambda: len(okta.requests) == 1)
    # It fails after ten seconds, where a request may take a minute.
    assert plugin.stop().result == "interrupted"


def test_a_token_can_be_replaced_while_falco_runs(
    okta: AuditApi, start: Callable[..., RunningPlugin], config: dict[str, Any]
) -> None:
    def authorize(handler: Handler) -> None:
        if handler.headers["Authorization"] == "SSWS the-new-one":
            handler.api.serve(handler)
        else:
            handler.reply(401)

    added = okta.add(1)
    plugin = start(okta.url, auth_scheme="SSWS")
    assert take(plugin, 1) == added
    assert set(okta.authorizations) == {f"SSWS {TOKEN}"}
    okta.answers.extend([authorize] * 1000)
    plugin.wait_for_log("answers 401 Unauthorized: write a valid token into ")
    Path(config["token_file"]).write_text("the-new-one")
    added = okta.add(1)
    assert take(plugin, 1) == added


def test_neither_token_nor_records_are_logged(okta: AuditApi, start: Callable[..., RunningPlugin]) -> None:
    private = b'{"uuid":"1","text":"private"}'

    def repeat(code: int) -> Answer:
        repeated = f"{TOKEN} private"
        headers = (("Set-Cookie", repeated), ("X-Token", repeated), ("Location", f"/{repeated}"))
        return lambda handler: handler.reply(code, repeated.encode(), *headers, phrase=repeated)

    def malformed(handler: Handler) -> None:
        handler.wfile.write(f"{TOKEN} private\r\n\r\n".encode())
        handler.close_connection = True

    okta.records.append(private)
    plugin = start(f"{okta.url}&key={TOKEN}", retry_wait=0.001)
    take(plugin, 1)
    failures = [repeat(401), repeat(403), repeat(500), repeat(200), repeat(302), malformed, cut_off, hang_up]
    okta.answers.extend([*failures, status(200, body=b'[{"private":1,}]'), repeat(429)])
    plugin.wait_for_log("waiting for 60 s")
    ran = plugin.stop()
    assert sum("failed" in line.text for line in ran.log) >= len(failures)
    assert TOKEN not in str(ran)
    assert "private" not in str(ran)


@pytest.mark.parametrize("where", ["http://{other}/", "//{other}/", "https://{own}/", "http://{own}@{other}/"])
def test_the_token_is_sent_to_no_other_origin(
    where: str, okta: AuditApi, github: AuditApi, start: Callable[..., RunningPlugin], fail: Callable[..., str]
) -> None:
    link = where.format(own=urlsplit(okta.url).netloc, other=urlsplit(github.url).netloc)
    okta.answers.append(status(200, ("Link", f"<{link}>; rel=next"), body=b"[]"))
    plugin = start(okta.url)
    plugin.wait_for_log(f"the next page is not at {okta.origin}: the token is sent there alone")
    plugin.kill()
    # Where the state file says so, neither.
    assert "the token is sent there alone" in fail(okta.url)
    assert github.requests == []
    assert len(okta.requests) == 1


def test_a_next_link_may_be_relative_and_have_several_relations(
    okta: AuditApi, start: Callable[..., RunningPlugin]
) -> None:
    okta.answers.append(status(200, ("Link", '</y>; rel="prev", <x?a=1,2>; rel="last NEXT"'), body=b"[]"))
    start(okta.url)
    wait_until(lambda: len(okta.requests) == 2)
    assert okta.requests[1] == "/x?a=1,2"


def test_a_link_to_the_same_page_asks_for_it_again(okta: AuditApi, start: Callable[..., RunningPlugin]) -> None:
    body = b"[" + record(1) + b"]"
    okta.answers.extend([status(200, ("Link", f"<{okta.url}>; rel=next"), body=body)] * 3)
    plugin = start(okta.url)
    wait_until(lambda: not okta.answers)
    assert payloads(plugin.stop()) == [record(1)]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is damaged"),
        (b'{"open_params":"', "is damaged"),
        (b"\xff", "is damaged"),
        (b'{"open_params":"http://127.0.0.1/","cursor":{"url":"http://127.0.0.1/"}}', "belongs to other open_params"),
    ],
)
def test_a_state_file_that_cannot_be_used_is_an_error_at_the_start(
    content: bytes, reason: str, okta: AuditApi, fail: Callable[..., str], state_file: Path
) -> None:
    state_file.write_bytes(content)
    assert reason in fail(okta.url)
    assert state_file.read_bytes() == content
    assert okta.requests == []


def test_a_state_file_that_cannot_be_written_is_an_error_at_the_start(
    okta: AuditApi, fail: Callable[..., str], tmp_path: Path
) -> None:
    assert "state_file cannot be used" in fail(okta.url, state_file=str(tmp_path / "none/state.json"))


def test_polling_goes_on_where_the_state_file_cannot_be_written_later(
    okta: AuditApi, start: Callable[..., RunningPlugin], tmp_path: Path
) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    okta.add(1)
    plugin = start(okta.url, state_file=str(folder / "state.json"))
    take(plugin, 1)
    wait_until(lambda: "after=1" in position(folder / "state.json")["url"])
    folder.rename(tmp_path / "away")
    okta.add(2)
    take(plugin, 2)
    plugin.wait_for_log("cannot be written: No such file or directory; trying again")
    folder.mkdir()
    okta.add(1)
    take(plugin, 1)
    plugin.wait_for_log("is written again")
    assert "after=4" in position(folder / "state.json")["url"]
    assert payloads(plugin.stop()) == okta.records


def test_without_a_state_file_each_start_begins_anew(okta: AuditApi, start: Callable[..., RunningPlugin]) -> None:
    added = okta.add(PAGE + 1)
    for _ in range(2):
        plugin = start(okta.url, state_file=None)
        take(plugin, len(added))
        assert payloads(plugin.stop()) == added


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tokn": TOKEN}, "tokn"),
        ({"token_file": None}, "token_file"),
        ({"start": TOKEN}, "init_config does not fit: start: "),
        ({"start": "2026-11-01T00:00:00"}, "init_config does not fit: start: "),
        ({"start": "2026-11-01T00:00:00Z"}, "write {start} into open_params"),
        ({"token_file": TOKEN}, "token_file cannot be read: No such file or directory"),
        ({"ca_file": TOKEN}, "ca_file cannot be used: "),
        ({"ca_file": "/dev/null"}, "ca_file cannot be used: "),
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused(
    changes: dict[str, Any], reason: str, okta: AuditApi, fail: Callable[..., str]
) -> None:
    assert reason in fail(okta.url, **changes)
    assert okta.requests == []


SECONDS = ("interval", "timeout", "retry_wait")
SIZES = ("max_body", "event_size")
TEXTS = ("token_file", "id_field", "timestamp_field", "auth_scheme", "state_file", "ca_file", "proxy")


@pytest.mark.parametrize(
    "changes",
    [
        {name: [TOKEN] for name in (*SECONDS, *SIZES, *TEXTS, "start")},
        {**dict.fromkeys([*SECONDS, *SIZES], 0), **dict.fromkeys(TEXTS, "")},
        {**dict.fromkeys(SECONDS, 24 * 3600 + 1), **dict.fromkeys(SIZES, (1 << 30) + 1)},
        {"auth_scheme": f"Bearer {TOKEN}", "proxy": f"http://user:{TOKEN}@proxy:3128"},
    ],
    ids=["wrong type", "too small", "too large", "wrong text"],
)
def test_a_configuration_that_does_not_fit_is_refused_with_each_name(
    changes: dict[str, Any], okta: AuditApi, fail: Callable[..., str]
) -> None:
    error = fail(okta.url, **changes)
    for name in changes:
        assert name in error
    assert okta.requests == []


def test_a_configuration_must_be_given(library: Path, okta: AuditApi) -> None:
    ran = run(library, okta.url)
    assert ran.result == "failure"
    for name in ("token_file", "id_field", "timestamp_field"):
        assert name in str(ran.error)


@pytest.mark.parametrize("content", ["\n", f"{TOKEN}\n{TOKEN}", f"{TOKEN}é"])
def test_a_token_that_cannot_be_sent_is_refused(
    content: str, okta: AuditApi, fail: Callable[..., str], config: dict[str, Any]
) -> None:
    Path(config["token_file"]).write_text(content)
    assert "must hold the token alone" in fail(okta.url)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "must be the URL"),
        ("ftp://127.0.0.1/", "must be the URL"),
        ("https://", "must be the URL"),
        (f"https://user:{TOKEN}@127.0.0.1/", "without a user"),
        ("https://127.0.0.1/#x", "without a user and a fragment"),
        ("http://192.0.2.1/logs", "say https"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused(url: str, reason: str, fail: Callable[..., str]) -> None:
    assert reason in fail(url)


def test_requests_go_through_the_proxy(github: AuditApi, start: Callable[..., RunningPlugin]) -> None:
    added = github.add(2)
    assert take(start("http://localhost:1/logs", proxy=github.origin), 2) == added
    assert github.requests[0] == "http://localhost:1/logs"


def test_a_server_must_have_a_certificate_of_a_known_authority(
    servers: ExitStack, start: Callable[..., RunningPlugin], tmp_path: Path
) -> None:
    api = AuditApi(last_page_has_link=True, tls=tls(tmp_path))
    servers.callback(api.close)
    added = api.add(2)
    stranger = start(api.url)
    stranger.wait_for_log("CERTIFICATE_VERIFY_FAILED")
    assert payloads(stranger.stop()) == []
    assert api.requests == []
    assert take(start(api.url, ca_file=str(tmp_path / "cert.pem")), 2) == added


def tls(folder: Path) -> ssl.SSLContext:
    """With a certificate for 127.0.0.1 that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "poller")])
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
    (folder / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context
