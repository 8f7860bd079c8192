"""Tests that the next page is requested immediately after a full page, else after the interval."""

from __future__ import annotations

import httpx
import pytest
from support.polled_api import URL as SIMULATED_URL
from support.polled_api import Answer, Simulate, next_link, page

from falco_plugin.polling import Request
from falco_plugin.polling.paging import page_size

URL = SIMULATED_URL.partition("?")[0]


def pages_of(*counts: int, has_link: bool = True, query: str = "") -> Answer:
    """Answers with so many new records each, and then with none."""

    def answer(number: int, request: httpx.Request) -> tuple[int, dict[str, str], bytes]:
        count = counts[number - 1] if number <= len(counts) else 0
        # An empty page has a link to itself, as Okta's.
        target = f"{URL}?after={number}{query}" if count else str(request.url)
        return 200, next_link(target) if has_link else {}, page(100 * number, count)

    return answer


@pytest.mark.parametrize("per_answer", [1, 3, 12, 50, 999])
def test_poller_keeps_the_interval_when_each_page_brings_some_records(per_answer: int, simulate: Simulate) -> None:
    trickle = simulate(pages_of(*[per_answer] * 1000), f"{URL}?limit=1000")
    trickle.run(95)
    assert trickle.gaps == [10.1] * 9


def test_poller_asks_immediately_after_a_full_page_only(simulate: Simulate) -> None:
    backlog = simulate(pages_of(5, 5, 5, 4, 5, 0, 0))
    backlog.run(40)
    assert backlog.gaps == [0.1, 0.1, 0.1, 10.1, 0.1, 10.1, 10.1]
    assert len(backlog.events) == 24


def test_poller_keeps_the_interval_when_a_full_page_has_no_link(simulate: Simulate) -> None:
    growing = simulate(pages_of(5, 5, has_link=False))
    growing.run(25)
    assert growing.gaps == [10.1, 10.1]


@pytest.mark.parametrize(
    ("counts", "gaps"),
    [
        ([30, 30, 30, 7, 9, 29, 31], [0.1, 0.1, 0.1, 10.1, 10.1, 10.1, 0.1]),
        ([1, 1, 2, 2, 9], [10.1] * 5),
        ([10, 10, 9], [0.1, 0.1, 10.1]),
    ],
)
def test_poller_infers_the_page_size_when_the_url_has_none(
    counts: list[int], gaps: list[float], simulate: Simulate
) -> None:
    simulation = simulate(pages_of(*counts), URL)
    simulation.run(100)
    assert simulation.gaps[: len(gaps)] == gaps


def test_page_size_of_a_link_replaces_that_of_open_params(simulate: Simulate) -> None:
    simulation = simulate(pages_of(5, 3, 2, query="&limit=3"))
    simulation.run(20)
    assert simulation.gaps[:3] == [0.1, 0.1, 10.1]


@pytest.mark.parametrize(
    ("query", "size"),
    [
        ("limit=1000", 1000),
        ("a=b&per_page=100&c", 100),
        ("pageSize=7", 7),
        ("page-size=8", 8),
        ("page%5Bsize%5D=9", 9),
        ("%24top=10", 10),
        ("LIMIT=11#limit=12", 11),
        ("max_results=5&limit=6", 5),
        ("limit=0", None),
        ("limit=-1", None),
        ("limit=many&size=3", 3),
        ("limit=", None),
        ("limit=99999999999999999999", None),
        ("limit=²", None),
        ("unlimited=5", None),
        ("", None),
    ],
)
def test_page_size_is_read_from_the_url(query: str, size: int | None) -> None:
    assert page_size(Request(f"https://api.example/limit=1?{query}")) == size


def test_poller_logs_a_hint_when_the_api_caps_its_pages(simulate: Simulate) -> None:
    capped = simulate(pages_of(*[100] * 20), f"{URL}?limit=1000")
    capped.run(100)
    assert capped.log == [
        "3 pages in a row have 100 records, but the URL requests 1000: if 100 is the API's limit, write it into the "
        "URL, because after a page that is not full the plugin waits for interval"
    ]
