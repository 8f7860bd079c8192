"""Tests pollers for APIs whose pages are not linked by headers: their records, requests and errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.polled_api import Answer, Simulate, Simulation
from support.polled_pollers import Offsets, OnePassword, Slack

from falco_plugin import Fatal, RetryLater
from falco_plugin.errors import PluginError
from falco_plugin.polling import HttpPoller, Request, Response

ORIGIN = "https://api.example"
NOW = 1_800_000_000
"""The time at which simulations begin."""


def reply(body: object) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, json.dumps(body).encode()


def ids(simulation: Simulation, name: str) -> list[Any]:
    return [json.loads(event)[name] for event in simulation.events]


class OnePasswordApi:
    """Has some items, and gets one more with each request that finds none."""

    def __init__(self, count: int) -> None:
        self.items = [{"uuid": f"u{number}", "timestamp": "2027-01-15T08:00:00Z"} for number in range(count)]
        self.bodies: list[dict[str, Any]] = []

    def __call__(self, _number: int, request: httpx.Request) -> tuple[int, dict[str, str], bytes]:
        body = json.loads(request.content)
        self.bodies.append(body)
        assert (request.method, request.url.path) == ("POST", "/api/v2/signinattempts")
        assert request.headers["Content-Type"] == "application/json"
        begin = int(body.get("cursor", "c0")[1:])
        found = self.items[begin : begin + 5]
        end = begin + len(found)
        has_more = end < len(self.items)
        if not found:
            self.items.append({"uuid": f"u{begin}", "timestamp": "2027-01-15T09:00:00Z"})
        return reply({"cursor": f"c{end}", "has_more": has_more, "items": found})


def test_poller_follows_a_cursor_in_the_bodies_of_posts(simulate: Simulate) -> None:
    api = OnePasswordApi(12)
    simulation = simulate(api, ORIGIN, OnePassword, start="2027-01-01T00:00:00Z")
    simulation.run(32)
    assert ids(simulation, "uuid") == [f"u{number}" for number in range(13)]
    assert api.bodies[0] == {"limit": 5, "start_time": "2027-01-01T00:00:00+00:00"}
    assert api.bodies[1:4] == [{"cursor": "c5"}, {"cursor": "c10"}, {"cursor": "c12"}]
    # It waits only when there is nothing more, although the third page is not full.
    assert simulation.gaps[:4] == [0.1, 0.1, 10.1, 10.1]
    assert (simulation.error, simulation.failures) == (None, [])


def test_poller_continues_with_the_saved_post(simulate: Simulate) -> None:
    api = OnePasswordApi(12)
    simulate(api, ORIGIN, OnePassword).run(1)
    restarted = simulate(api, ORIGIN, OnePassword)
    restarted.run(1)
    assert api.bodies[-1] == {"cursor": "c12"}
    assert restarted.events == []


def test_poller_waits_when_an_empty_page_claims_to_have_more(simulate: Simulate) -> None:
    def answer(number: int, _: httpx.Request) -> tuple[int, dict[str, str], bytes]:
        items = [{"uuid": "u1"}] if number == 1 else []
        return reply({"cursor": "same", "has_more": True, "items": items})

    simulation = simulate(answer, ORIGIN, OnePassword)
    simulation.run(35)
    assert simulation.gaps == [0.1, 10.1, 10.1, 10.1]
    assert (ids(simulation, "uuid"), simulation.failures) == (["u1"], [])


class SlackApi:
    """Returns records newest first, in pages of five. The cursor is an offset from the newest record."""

    def __init__(self, times: list[int]) -> None:
        self.entries = [{"id": f"e{number}", "date_create": time} for number, time in enumerate(times)]
        self.oldest: list[int] = []
        self.simulation: Simulation

    def add(self, number: int, time: int) -> None:
        self.entries.append({"id": f"e{number}", "date_create": time})

    def __call__(self, _number: int, request: httpx.Request) -> tuple[int, dict[str, str], bytes]:
        query = request.url.params
        self.oldest.append(int(query["oldest"]))
        found = sorted(
            (entry for entry in self.entries if entry["date_create"] >= int(query["oldest"])),
            key=lambda entry: -int(entry["date_create"]),
        )
        begin = int(query.get("cursor", "0"))
        end = begin + 5
        cursor = str(end) if end < len(found) else ""
        return reply({"entries": found[begin:end], "response_metadata": {"next_cursor": cursor}})


def slack(simulate: Simulate, api: Answer, **config: Any) -> Simulation:
    return simulate(api, ORIGIN, Slack, start="2027-01-15T07:00:00Z", **config)


def test_round_delivers_each_record_once_when_the_newest_comes_first(simulate: Simulate) -> None:
    api = SlackApi([NOW - 1000 + 10 * number for number in range(12)])
    simulation = slack(simulate, api)
    simulation.run(5)
    assert ids(simulation, "id") == [f"e{number}" for number in range(11, -1, -1)]
    # The pages of a round follow each other immediately.
    assert simulation.gaps == [0.1, 0.1]
    api.add(12, NOW - 800)
    # A late record, within the overlap of a minute.
    api.add(13, NOW - 900)
    simulation.run(30)
    assert ids(simulation, "id")[12:] == ["e12", "e13"]
    newest = NOW - 890
    assert api.oldest[3] == newest - 60
    assert api.oldest[-1] == NOW - 800 - 60
    assert simulation.failures == []


def test_round_that_was_interrupted_continues_after_a_restart(simulate: Simulate) -> None:
    api = SlackApi([NOW - 1000 + number for number in range(12)])
    slack(simulate, api).run(5, most_requests=2)
    restarted = slack(simulate, api)
    restarted.run(30)
    # The second request's page was delivered, but its successor was not requested.
    assert ids(restarted, "id")[-2:] == ["e1", "e0"]
    assert len(restarted.events) <= 7


def test_round_does_not_skip_records_when_one_has_a_time_in_the_future(simulate: Simulate) -> None:
    api = SlackApi([NOW - 10, NOW + 100_000])
    simulation = slack(simulate, api)
    simulation.run(5)
    api.add(2, NOW + 3)
    simulation.run(30)
    assert ids(simulation, "id") == ["e1", "e0", "e2"]
    assert max(api.oldest) <= NOW + 40


def test_round_without_records_forgets_none(simulate: Simulate) -> None:
    api = SlackApi([NOW - 10])

    def answer(number: int, request: httpx.Request) -> tuple[int, dict[str, str], bytes]:
        return reply({"entries": [], "response_metadata": {"next_cursor": ""}}) if number == 2 else api(number, request)

    simulation = slack(simulate, answer)
    simulation.run(45)
    assert ids(simulation, "id") == ["e0"]
    assert len(simulation.requests) == 5


@pytest.mark.parametrize(("empty", "lines"), [(19, 0), (400, 4)])
def test_round_with_many_empty_pages_waits_and_is_reported(empty: int, lines: int, simulate: Simulate) -> None:
    def answer(number: int, _: httpx.Request) -> tuple[int, dict[str, str], bytes]:
        entries = [{"id": "e0", "date_create": NOW}] if number > empty else []
        return reply({"entries": entries, "response_metadata": {"next_cursor": "" if entries else str(number)}})

    simulation = slack(simulate, answer)
    simulation.run(200)
    assert ids(simulation, "id") == ["e0"] * (lines == 0)
    assert simulation.gaps[:19] == [0.1] * 19
    assert set(simulation.gaps[19:]) == {10.1}
    assert len(simulation.log) == lines
    assert all("have no records, but each has a next page: waiting for interval" in line for line in simulation.log)


@pytest.mark.parametrize("count", [1, 4, 5, 6, 11])
def test_round_is_not_confused_when_the_same_records_come_again(count: int, simulate: Simulate) -> None:
    api = SlackApi([NOW - 5 + number // 3 for number in range(count)])
    simulation = slack(simulate, api)
    simulation.run(100)
    assert sorted(ids(simulation, "id")) == sorted(f"e{number}" for number in range(count))
    assert (simulation.error, simulation.failures, simulation.log) == (None, [], [])


@given(
    st.lists(st.lists(st.integers(0, 60), max_size=14), min_size=1, max_size=6),
    st.lists(st.integers(1, 6), max_size=3),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rounds_deliver_each_record_in_spite_of_late_records_and_restarts(
    simulate: Simulate, tmp_path: Path, delays: list[list[int]], restarts: list[int]
) -> None:
    """Records appear up to a minute late, which is the overlap of this poller."""
    (tmp_path / "cursor.json").unlink(missing_ok=True)
    api = SlackApi([])
    now, delivered, count = float(NOW), [], 0
    for number, step in enumerate([*delays, [], []]):
        for delay in step:
            api.add(count, int(now) - delay)
            count += 1
        # A simulation that ends after some requests is a Falco that was stopped there.
        simulation = slack(simulate, api, now=now)
        simulation.run(45, most_requests=restarts[number] if number < len(restarts) else 100)
        now += 45
        delivered += ids(simulation, "id")
        assert (simulation.error, simulation.failures) == (None, [])
    assert set(delivered) == {f"e{number}" for number in range(count)}
    if not restarts:
        assert len(delivered) == count


def test_poller_follows_offsets_and_the_growing_last_page(simulate: Simulate) -> None:
    items = [{"meta": {"id": number}} for number in range(7)]

    def answer(number: int, request: httpx.Request) -> tuple[int, dict[str, str], bytes]:
        if number == 4:
            items.append({"meta": {"id": 7}})
        offset = int(request.url.params.get("offset", "0"))
        page = items[offset : offset + 5]
        return reply({"result": {"offset": offset, "total": len(items), "items": page}})

    simulation = simulate(answer, f"{ORIGIN}/log?limit=5", Offsets)
    simulation.run(40)
    assert [json.loads(event)["meta"]["id"] for event in simulation.events] == list(range(8))
    assert simulation.gaps == [0.1, 10.1, 10.1, 10.1]


# Answers that a poller does not expect


WRONG: dict[str, tuple[type[HttpPoller], object, str]] = {
    "no records": (OnePassword, {"cursor": "c", "has_more": False}, "no JSON array of objects in 'items'"),
    "wrong records": (OnePassword, {"cursor": "c", "has_more": False, "items": 5}, "Expected `array`, got `int`"),
    "record": (OnePassword, {"cursor": "c", "has_more": False, "items": [5]}, "Expected `object`"),
    "no member of a pointer": (Offsets, {"result": {}}, "it has no member 'items'"),
    "no cursor": (OnePassword, {"has_more": False, "items": []}, "next_request raised KeyError: 'cursor'"),
    "has_more": (OnePassword, {"cursor": "c", "items": []}, "has_more raised KeyError: 'has_more'"),
}


@pytest.mark.parametrize(("poller", "body", "reason"), WRONG.values(), ids=WRONG)
def test_unexpected_answer_ends_the_source_at_the_start(
    poller: type[HttpPoller], body: object, reason: str, simulate: Simulate
) -> None:
    simulation = simulate(lambda *_: reply(body), ORIGIN, poller)
    simulation.run(100)
    assert (simulation.error or "").startswith(f"an answer of {ORIGIN} cannot be used: ")
    assert reason in (simulation.error or "")
    assert len(simulation.requests) == 1


def test_unexpected_answer_later_costs_no_records(simulate: Simulate) -> None:
    def answer(number: int, _: httpx.Request) -> tuple[int, dict[str, str], bytes]:
        body: dict[str, Any] = {"cursor": f"c{number}", "has_more": False, "items": [{"uuid": f"u{number}"}]}
        if number == 2:
            del body["cursor"]
        return reply(body)

    simulation = simulate(answer, ORIGIN, OnePassword)
    simulation.run(30)
    assert simulation.error is None
    assert len(simulation.failures) == 1
    assert ids(simulation, "uuid")[:3] == ["u1", "u2", "u3"]


class FixedStart(HttpPoller):
    """Rounds that do not use their start"""

    name = "fixed"
    timestamp_field = "time"
    overlap = 5


class Impatient(OnePassword):
    """A poller that reads errors of answers with the status 200"""

    def records(self, response: Response) -> list[bytes]:
        match response.json.get("error"):
            case "slow down":
                raise RetryLater(100, "the API asks to wait")
            case "closed":
                raise Fatal("the account is closed")
        return response.records("items")


def test_methods_steer_the_source_by_exceptions(simulate: Simulate) -> None:
    answers = [
        {"cursor": "c1", "has_more": False, "items": [{"uuid": "u1"}]},
        {"error": "slow down"},
        {"cursor": "c2", "has_more": False, "items": [{"uuid": "u2"}]},
        {"error": "closed"},
    ]
    simulation = simulate(lambda number, _: reply(answers[number - 1]), ORIGIN, Impatient)
    simulation.run(1000)
    assert ids(simulation, "uuid") == ["u1", "u2"]
    assert simulation.gaps == [10.1, 100.1, 10.1]
    assert (simulation.error, simulation.failures) == ("the account is closed", [])


def test_rounds_need_a_request_that_uses_their_start(simulate: Simulate) -> None:
    with pytest.raises(ValueError, match="because each round begins at it"):
        simulate(lambda *_: reply([]), f"{ORIGIN}/log", FixedStart)


class WithoutTimes(HttpPoller):
    """Rounds of records without a time"""

    name = "without_times"
    overlap = 5


def test_rounds_need_the_times_of_records(simulate: Simulate) -> None:
    with pytest.raises(PluginError, match="WithoutTimes has overlap, but no timestamp_field"):
        simulate(lambda *_: reply([]), f"{ORIGIN}/log?since={{start}}", WithoutTimes)


# Requests and responses


@pytest.mark.parametrize(
    ("url", "values", "expected"),
    [
        ("https://a.example/x", {"a": 1}, "https://a.example/x?a=1"),
        ("https://a.example/x?a=1&b=2", {"a": "y z&"}, "https://a.example/x?a=y+z%26&b=2"),
        ("https://a.example/x?a=1&a=2", {"a": 3}, "https://a.example/x?a=3"),
        ("https://a.example/x", {"page[size]": 5}, "https://a.example/x?page%5Bsize%5D=5"),
    ],
)
def test_request_with_query_replaces_parameters(url: str, values: dict[str, str | int], expected: str) -> None:
    assert Request(url).with_query(**values).url == expected


LINKS: list[tuple[str, str | None]] = [
    ("</b>; rel=next", "https://a.example/b"),
    ('<https://a.example/c?x=1,2>; rel="last NEXT"', "https://a.example/c?x=1,2"),
    ('</p>; rel="prev"', None),
    ("", None),
    ("</b>", None),
]


@pytest.mark.parametrize(("header", "expected"), LINKS)
def test_response_has_the_link_of_its_header(header: str, expected: str | None) -> None:
    assert Response(Request("https://a.example/x/y"), {"link": header}, b"[]").link() == expected


DAMAGED: list[tuple[bytes, Callable[[Response], object], object]] = [
    (b'{"items":[{"id":1,"x":"\xff"},{"id":2}],"n":1}', lambda r: len(r.records("items")), 2),
    (b'{"items":[{"id":1,"x" 2},{"id":2}],"n":1}', lambda r: r.records("items")[1], b'{"id":2}'),
    (b'\xef\xbb\xbf {"items":[ {"id":1}]}', lambda r: r.records("items"), [b'{"id":1}']),
    (b'{"a~b":{"c/d":[{"id":1}]}}', lambda r: r.records("/a~0b/c~1d"), [b'{"id":1}']),
    (b'{"n":"\xff","cursor":"c"}', lambda r: r.json["cursor"], "c"),
]


@pytest.mark.parametrize(("body", "read", "expected"), DAMAGED)
def test_response_reads_damaged_json(body: bytes, read: Callable[[Response], object], expected: object) -> None:
    assert read(Response(Request("https://a.example/"), {}, body)) == expected


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"items":[{"id":1},', "items"),
        (b'{"items":[{"id":1 2},5]}', "items"),
        (b"[]", "items"),
        (b'{"a":{"b":{}}}', "/a/b"),
    ],
)
def test_response_rejects_body_without_records(body: bytes, field: str) -> None:
    with pytest.raises(ValueError, match=f"no JSON array of objects in '{field}'"):
        Response(Request("https://a.example/"), {}, body).records(field)
