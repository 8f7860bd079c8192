"""Tests that links to the next page are checked before they are saved and followed."""

from __future__ import annotations

import httpx
import pytest
from support.polled_api import PAGE, TOKEN, URL, Answer, Simulate, next_link, page, record

OWN = "https://api.example"


def then_link_to(*links: str, count: int = 2) -> Answer:
    """Answers with some new records and each of the links, and repeats the last answer."""

    def answer(number: int, _: httpx.Request) -> tuple[int, dict[str, str], bytes]:
        number = min(number, len(links))
        return 200, next_link(links[number - 1]), page(10 * number, count)

    return answer


REFUSED = {
    "http://[": "is not a URL: report this to the API's operator",
    f"{OWN}/\x7f": "is not a URL: report this to the API's operator",
    f"{OWN}:port/": "is not a URL: report this to the API's operator",
    "https://other.example/logs": f"leads to https://other.example, but the token is sent only to {OWN}: write the "
    "origin of the links into the URL, or let the proxy of the API correct them",
    "//other.example/logs": "leads to https://other.example, but",
    "http://api.example/logs": "leads to http://api.example, but",
    f"{OWN}:8443/logs": f"leads to {OWN}:8443, but",
    "ftp://api.example/logs": "leads to ftp://api.example, but",
    "file:///etc/passwd": "leads to file://, but",
    "javascript:alert(1)": "leads to javascript://, but",
    f"https://{TOKEN}@api.example/": "contains a user, which would replace the token: report this to the API's",
    f"https://api.example@{TOKEN[:3]}.example/": "contains a user",
}


@pytest.mark.parametrize(("link", "reason"), REFUSED.items())
def test_refused_link_is_not_saved_and_ends_the_source_at_the_start(link: str, reason: str, simulate: Simulate) -> None:
    poller = simulate(then_link_to(link))
    poller.run(100)
    assert "the link to the next page " in (poller.error or "")
    assert reason in (poller.error or "")
    assert TOKEN not in str((poller.error, poller.failures, poller.log))
    assert poller.saved_url == URL
    assert poller.urls == [URL]
    # No record is lost: Falco does not run, and the next start begins with this page.
    assert poller.events == []


@pytest.mark.parametrize(("link", "reason"), REFUSED.items())
def test_refused_link_costs_no_records_once_polling_has_worked(link: str, reason: str, simulate: Simulate) -> None:
    poller = simulate(then_link_to(f"{OWN}/second", link))
    poller.run(100)
    assert poller.error is None
    assert reason in poller.failures[0]
    assert len(set(poller.failures)) == 1
    assert poller.saved_url == f"{OWN}/second"
    assert set(poller.urls[1:]) == {f"{OWN}/second"}
    assert poller.events == [record(number) for number in (10, 11, 20, 21)]
    assert min(poller.gaps) >= 5


def test_refused_link_delivers_what_is_added_to_its_page(simulate: Simulate) -> None:
    def answer(number: int, _: httpx.Request) -> tuple[int, dict[str, str], bytes]:
        link = f"{OWN}/second" if number == 1 else "https://other.example/"
        return 200, next_link(link), page(10 * min(number, 2), min(number, 4))

    poller = simulate(answer)
    poller.run(100)
    assert poller.events == [record(number) for number in (10, 20, 21, 22, 23)]


LEADS_BACK = "leads back to a page that was read before: request the records oldest first, or report this"


@pytest.mark.parametrize(
    ("links", "reason"),
    [
        (["/b", URL], LEADS_BACK),
        (["/b", "/c", "/d", "/c"], LEADS_BACK),
        (["/b", f"{URL}#x"], LEADS_BACK),
        (["/b", "https://API.example:443/logs?limit=5"], LEADS_BACK),
        (["/b", "/b#x"], "leads to the same page, which is full: request the records oldest first"),
    ],
)
def test_poller_does_not_read_pages_in_a_loop(links: list[str], reason: str, simulate: Simulate) -> None:
    poller = simulate(then_link_to(*links, count=PAGE))
    poller.run(600)
    assert reason in poller.failures[0]
    assert len(set(poller.failures)) == 1
    assert len(poller.events) == len(set(poller.events)) == PAGE * len(links)
    assert poller.error is None
    assert len(poller.urls) <= len(links) + 600 / 5


def test_poller_does_not_deliver_a_page_again_when_the_api_ignores_the_cursor(simulate: Simulate) -> None:
    poller = simulate(lambda number, _: (200, next_link(f"/logs?after={number}"), page(0, PAGE)))
    poller.run(600)
    assert poller.events == [record(number) for number in range(PAGE)]
    assert set(poller.failures) == {
        "the next page has the same 5 records as the page before it: use an API that pages by Link headers or "
        "change next_request, and check that no proxy changes the query of URLs"
    }


@pytest.mark.parametrize(
    "link",
    [
        '<https://api.example/x>; rel="self"',
        "",
        ";;;,,,<<>>",
        "<https://api.example/x>",
        "<https://api.example/x>; rel=nextpage",
        "https://api.example/x; next",
    ],
)
def test_link_that_is_not_to_the_next_page_is_ignored(link: str, simulate: Simulate) -> None:
    poller = simulate(lambda *_: (200, {"Link": link}, page(0, 1)))
    poller.run(50)
    assert (poller.error, poller.failures, poller.events) == (None, [], [record(0)])
    assert set(poller.urls) == {URL}
