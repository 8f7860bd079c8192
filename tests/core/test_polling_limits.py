"""Tests that rate limits are respected before they are reached, and are shared with other clients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from support.polled_api import PAGE, Answer, Simulate, Simulation, next_link, page

MINUTE, HOUR = 60, 3600
FAR = 1_000_000_000

Headers = Callable[[int, int, float, float], dict[str, str]]
"""Returns headers for the limit, the remaining requests, the seconds until the reset, and the time."""


def three(prefix: str, reset: Callable[[float, float], str]) -> Headers:
    return lambda limit, remaining, left, now: {
        f"{prefix}Limit": str(limit),
        f"{prefix}Remaining": str(remaining),
        f"{prefix}Reset": reset(left, now),
    }


def from_now(left: float, _: float) -> str:
    return f"{left:.0f}"


def epoch(left: float, now: float) -> str:
    return f"{now + left:.0f}"


def structured(limit: int, remaining: int, left: float, _: float) -> dict[str, str]:
    return {
        "RateLimit-Policy": f'"burst";q=1000;w=1, "logs, all";q={limit};w={MINUTE};pk=:c29tZSwga2V5OyA9:',
        "RateLimit": f'"burst";r=900;t=1, "logs, all";r={remaining};t={left:.0f}',
    }


FORMS: dict[str, Headers] = {
    "okta": three("X-Rate-Limit-", epoch),
    "github": three("x-ratelimit-", epoch),
    "milliseconds": three("X-RateLimit-", lambda left, now: f"{1000 * (now + left):.0f}"),
    "microseconds": three("X-RateLimit-", lambda left, now: f"{1e6 * (now + left):.0f}"),
    "seconds from now": three("X-RateLimit-", from_now),
    "fraction": three("X-RateLimit-", lambda left, now: f"{now + left:.3f}"),
    "draft, three headers": lambda limit, remaining, left, _: {
        "RateLimit-Limit": f"{limit}, {limit};w={MINUTE}, 5000;w={HOUR}",
        "RateLimit-Remaining": str(remaining),
        "RateLimit-Reset": f"{left:.0f}",
    },
    "draft, one header": lambda limit, remaining, left, _: {
        "RateLimit": f"limit={limit}, remaining={remaining}, reset={left:.0f}"
    },
    "draft, structured": structured,
    "draft, tokens": lambda limit, remaining, left, _: {
        "RateLimit-Policy": f"logs;q={limit};w={MINUTE}",
        "RateLimit": f"logs;r={remaining};t={left:.0f}",
    },
    "draft, without a limit": lambda _limit, remaining, left, _now: {"RateLimit": f'"x";r={remaining};t={left:.0f}'},
}


class Limited:
    """An API with a backlog, and a limit on requests in windows of a minute. ``others`` use it in each window too."""

    def __init__(self, headers: Headers, *, limit: int = 60, others: int = 0) -> None:
        self.simulation: Simulation
        self.refused = 0
        self._headers = headers
        self._limit = limit
        self._others = others
        self._window = -1
        self._used = 0

    def __call__(self, number: int, _: httpx.Request) -> tuple[int, dict[str, str], bytes]:
        now = self.simulation.now
        window = int((now - self.simulation.times[0]) // MINUTE)
        if window != self._window:
            self._window, self._used = window, self._others
        self._used += 1
        left = MINUTE - (now - self.simulation.times[0]) % MINUTE
        headers = self._headers(self._limit, max(self._limit - self._used, 0), left, now)
        if self._used > self._limit:
            self.refused += 1
            return 429, headers, b""
        return 200, headers | next_link(f"/logs?limit={PAGE}&after={number}"), page(PAGE * number, PAGE)


def limited(simulate: Simulate, api: Limited, seconds: float = 4 * MINUTE, **config: Any) -> Simulation:
    api.simulation = simulation = simulate(api, **config)
    simulation.run(seconds)
    return simulation


@pytest.mark.parametrize("form", FORMS)
def test_poller_leaves_half_of_the_limit_to_others(form: str, simulate: Simulate) -> None:
    api = Limited(FORMS[form])
    used = limited(simulate, api).requests_per(MINUTE)
    most = 31 if "without a limit" not in form else 60
    assert api.refused == 0
    assert all(20 <= requests <= most for requests in used), used


@pytest.mark.parametrize("share", [0.01, 0.1, 0.25, 0.9, 1.0])
def test_poller_uses_no_more_than_its_share(share: float, simulate: Simulate) -> None:
    api = Limited(FORMS["okta"])
    used = limited(simulate, api, rate_share=share).requests_per(MINUTE)
    assert api.refused == 0
    # A request is needed to know how many remain.
    assert all(0.75 * 60 * share - 1 <= requests <= 60 * share + 1 for requests in used), used


@pytest.mark.parametrize("others", [20, 29, 45, 59])
def test_poller_stops_at_the_share_of_others_when_they_use_it(others: int, simulate: Simulate) -> None:
    api = Limited(FORMS["github"], others=others)
    used = limited(simulate, api).requests_per(MINUTE)
    assert api.refused == 0
    assert all(1 <= requests <= max(31 - others, 1) for requests in used), used


def test_poller_keeps_the_interval_when_the_limit_allows_more(simulate: Simulate) -> None:
    def okta(number: int, _: httpx.Request) -> tuple[int, dict[str, str], bytes]:
        headers = FORMS["okta"](60, 60 - number, MINUTE, simulation.now)
        return 200, headers | next_link(f"/logs?limit=1000&after={number}"), page(number, 1)

    simulation = simulate(okta, "https://api.example/logs?limit=1000")
    simulation.run(5 * MINUTE)
    # Fewer requests follow as fewer remain.
    assert simulation.gaps[:20] == [10.1] * 20
    assert simulation.gaps == sorted(simulation.gaps)
    assert simulation.gaps[-1] > 10.1


WRONG_RESETS = {
    "missing": None,
    "empty": "",
    "past": "1000000000",
    "now": "0",
    "negative": "-60",
    "far": "99999999999",
    "very far": "9" * 30,
    "tomorrow": "86400",
    "no number": "soon",
    "not finite": "nan",
    "infinite": "inf",
    "several": "1, 2, 3",
    "not ASCII": "٣",
}


@pytest.mark.parametrize("code", [200, 429, 403])
@pytest.mark.parametrize("reset", WRONG_RESETS.values(), ids=WRONG_RESETS)
def test_wrong_reset_neither_spins_nor_stops(reset: str | None, code: int, simulate: Simulate) -> None:
    def answer(number: int, _: httpx.Request) -> tuple[int, dict[str, str], bytes]:
        headers = {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "0"}
        if reset is not None:
            headers["X-RateLimit-Reset"] = reset.encode().decode("latin-1")
        return code, headers | next_link(f"/logs?limit={PAGE}&after={number}"), page(PAGE * number, PAGE)

    simulation = simulate(answer)
    simulation.run(5 * HOUR, most_requests=10)
    assert simulation.error is None
    assert all(1 <= gap <= HOUR + 1 for gap in simulation.gaps)
    assert len(simulation.times) >= 5


@pytest.mark.parametrize("remaining", ["59", "-1", "unlimited", ""])
def test_poller_continues_while_requests_remain(remaining: str, simulate: Simulate) -> None:
    headers = {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": remaining, "X-RateLimit-Reset": "30"}
    simulation = simulate(lambda *_: (200, headers, page(0, 1)))
    simulation.run(100)
    assert simulation.gaps == [10.1] * 9


def refused_with(code: int, headers: dict[str, str], body: bytes = b"") -> Answer:
    return lambda *_: (code, headers, body)


@pytest.mark.parametrize(
    ("headers", "waits"),
    [
        ({}, [60, 120, 240, 480, 960, 1920, 3600, 3600]),
        ({"Retry-After": "1"}, [1, 2, 4, 8, 16, 32, 64, 128]),
        ({"Retry-After": "0"}, [1, 2, 4, 8]),
        ({"Retry-After": "-5"}, [60, 120]),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "30"}, [30, 60, 120]),
        ({"RateLimit": '"day";r=0;t=900, "second";r=9;t=1', "RateLimit-Policy": '"day";q=5;w=86400'}, [900, 1800]),
        ({"RateLimit-Policy": '"p";q=5;w=20', "RateLimit": '"p";r=0'}, [20, 40]),
        ({"RateLimit": '"bytes";r=0;t=900', "RateLimit-Policy": '"bytes";q=5;w=9;qu="content-bytes"'}, [60, 120]),
    ],
)
def test_refusals_in_a_row_back_off(headers: dict[str, str], waits: list[float], simulate: Simulate) -> None:
    simulation = simulate(refused_with(429, headers))
    simulation.run(4 * HOUR)
    assert simulation.gaps[: len(waits)] == [wait + 0.1 for wait in waits]


def test_refusals_start_again_after_a_success(simulate: Simulate) -> None:
    def answer(number: int, _: httpx.Request) -> tuple[int, dict[str, str], bytes]:
        return (200 if number % 3 == 0 else 429), {"Retry-After": "20"}, page(0, 1)

    simulation = simulate(answer)
    simulation.run(200)
    assert simulation.gaps[:6] == [20.1, 40.1, 10.1, 20.1, 40.1, 10.1]


def test_limit_holds_for_an_attempt_after_a_failure(simulate: Simulate) -> None:
    def answer(number: int, _: httpx.Request) -> tuple[int, dict[str, str], bytes]:
        used_up = {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "300"}
        return 200, used_up | next_link("https://other.example/" if number > 1 else "/b"), page(number, 1)

    simulation = simulate(answer)
    simulation.run(1000)
    assert len(simulation.failures) == 3
    assert simulation.gaps == [300.1] * 3


def test_limit_holds_after_a_page_that_is_refused(simulate: Simulate) -> None:
    used_up = {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "300"}
    simulation = simulate(lambda number, _: (200, used_up | next_link(f"/logs?after={number}"), page(0, PAGE)))
    simulation.run(1000)
    assert len(simulation.failures) == 3
    assert simulation.gaps == [300.1] * 3


GITHUB = {"X-RateLimit-Limit": "30", "X-RateLimit-Remaining": "14", "X-RateLimit-Reset": "1800000060"}
PLENTY = GITHUB | {"X-RateLimit-Remaining": "29"}
SECONDARY = b'{"message":"You have exceeded a secondary rate limit. Please wait a few minutes."}'


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (GITHUB, SECONDARY),
        ({}, SECONDARY),
        (GITHUB, b""),
        (GITHUB, b'{"message":"Forbidden"}'),
        ({}, b'{"errorCode":"E0000047","errorSummary":"API call exceeded rate limit due to too many requests."}'),
        ({}, b"<html>error code: 1015. You are being rate limited"),
        ({}, b'{"reason":"userRateLimitExceeded"}'),
        ({}, b"Request was throttled."),
        ({}, b'{"reason":"quotaExceeded"}'),
        ({"RateLimit": '"x";r=3;t=9'}, b""),
        (GITHUB | {"X-RateLimit-Remaining": "0"}, b"must have admin rights"),
        ({"Retry-After": "60"}, b"must have admin rights"),
    ],
)
def test_403_is_a_rate_limit_by_headers_or_body(headers: dict[str, str], body: bytes, simulate: Simulate) -> None:
    simulation = simulate(refused_with(403, headers, body))
    simulation.run(200)
    assert (simulation.error, simulation.failures) == (None, [])
    assert simulation.gaps[0] == pytest.approx(60.1)
    assert simulation.log[0].startswith("the rate limit is reached: waiting for 60 s, until ")
    assert simulation.log[0].endswith(
        " (403 Forbidden; if this does not end, give the token the permission to read this log)"
    )


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b""),
        ({}, b"<html>Forbidden</html>"),
        (PLENTY, b'{"message":"Resource not accessible by personal access token"}'),
        (PLENTY, b'{"message":"Must have admin rights to Organization."}'),
        ({}, b'{"errorSummary":"You do not have permission to perform the requested action"}'),
        ({}, b" " * (1 << 20) + SECONDARY),
        ({"X-RateLimit-Limit": "30"}, b""),
    ],
)
def test_403_is_a_missing_permission_without_a_rate_limit(
    headers: dict[str, str], body: bytes, simulate: Simulate
) -> None:
    simulation = simulate(refused_with(403, headers, body))
    simulation.run(200)
    assert simulation.error == (
        "https://api.example answers 403 Forbidden: give the token the permission to read this log"
    )


@pytest.mark.parametrize("code", [400, 401, 404])
def test_other_refusals_are_not_rate_limits(code: int, simulate: Simulate) -> None:
    simulation = simulate(refused_with(code, GITHUB, SECONDARY))
    simulation.run(200)
    assert (simulation.error or "").startswith(f"https://api.example answers {code} ")


def test_short_waits_are_logged_once_a_minute_and_long_ones_always(simulate: Simulate) -> None:
    def answer(number: int, _: httpx.Request) -> tuple[int, dict[str, str], bytes]:
        wait = 500 if number == 8 else 5
        return (429 if number % 2 == 0 else 200), {"Retry-After": str(wait)}, page(0, 1)

    simulation = simulate(answer)
    simulation.run(660)
    shown = [line.replace(line[line.index(", until") : line.index(" (429")], "") for line in simulation.log]
    assert shown == [
        "the rate limit is reached: waiting for 5 s (429 Too Many Requests)",
        "the rate limit is reached: waiting for 500 s (429 Too Many Requests); 2 more since the last report",
        "the rate limit is reached: waiting for 5 s (429 Too Many Requests)",
        "the rate limit is reached: waiting for 5 s (429 Too Many Requests); 3 more since the last report",
    ]


def test_wait_for_the_share_of_others_is_logged(simulate: Simulate) -> None:
    headers = {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "20", "X-RateLimit-Reset": "90"}
    simulation = simulate(lambda *_: (200, headers, page(0, 1)))
    simulation.run(100)
    assert len(simulation.log) == 2
    assert simulation.log[0].startswith("few requests are left of the API's rate limit: waiting for 90 s, until ")
    assert simulation.log[0].endswith(" (rate_share is 0.5, the rest is left to other clients)")


DATE = "Wed, 21 Oct 2015 07:28:00 GMT"
DATE_SECONDS = 1_445_412_480


@pytest.mark.parametrize(
    ("code", "headers", "seconds"),
    [
        (429, {"Retry-After": "90"}, 90),
        (429, {"Retry-After": "Wed, 21 Oct 2015 07:29:40 GMT"}, 100),
        (429, {"Retry-After": f"{DATE_SECONDS + 75}"}, 75),
        (429, {"Retry-After": "Wed, 21 Oct 2015 07:00:00 GMT"}, 1),
        (429, {"Retry-After": "90", "X-RateLimit-Reset": f"{DATE_SECONDS + 1000}"}, 90),
        (429, {"X-Rate-Limit-Reset": f"{DATE_SECONDS + 120}"}, 120),
        (429, {"X-RateLimit-Reset": "2015-10-21T07:30:30Z"}, 150),
        (429, {}, 60),
        (429, {"Retry-After": "1000000"}, 3600),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": f"{DATE_SECONDS + 130}"}, 130),
        (403, {"X-RateLimit-Remaining": "7", "Retry-After": "80"}, 80),
        (503, {"Retry-After": "70"}, 70),
        (500, {"Retry-After": "75"}, 75),
    ],
)
def test_poller_waits_for_a_rate_limit_by_the_clock_of_the_api(
    code: int, headers: dict[str, str], seconds: int, simulate: Simulate
) -> None:
    simulation = simulate(refused_with(code, {"Date": DATE, **headers}))
    simulation.run(seconds + 1)
    assert f"waiting for {seconds} s," in simulation.log[0]
    assert simulation.gaps == [seconds + 0.1]
