"""Decides whether a page is full, and whether the next page leads forward."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from urllib.parse import parse_qsl

from falco_plugin.polling.records import Record
from falco_plugin.polling.request import Request, identity_of

SIZE_PARAMETERS = "limit", "per_page", "page_size", "max_results", "page[size]", "size", "count", "$top"
"""Names of parameters of URLs that set the number of records on a page. ``pageSize`` and ``page-size`` match too."""

_SMALLEST_FULL_PAGE = 10
"""Records of the smallest page that counts as full if the request does not set the size."""

_CAPPED_PAGES = 3
"""Pages of the same size in a row from which the API's own largest page is inferred."""

_MOST_VISITED = 1000
"""Pages that are remembered."""

MOST_EMPTY = 20
"""Pages of a round in a row without records that are requested without waiting for ``interval``."""


def _normalize_name(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


_NAMES = frozenset(map(_normalize_name, SIZE_PARAMETERS))


def page_size(request: Request) -> int | None:
    """Returns the number of records on a full page, or ``None`` if the request does not set it.

    It is a parameter of the URL, or a member of the JSON.
    """
    for name, value in _parameters(request):
        if (
            _normalize_name(name) in _NAMES
            and value.isascii()
            and value.isdecimal()
            and len(value) < 10
            and int(value) > 0
        ):
            return int(value)
    return None


def _parameters(request: Request) -> Iterator[tuple[str, str]]:
    yield from parse_qsl(request.url.partition("#")[0].partition("?")[2])
    if isinstance(request.json, dict):
        yield from ((str(name), str(value)) for name, value in request.json.items())


class Pages:
    """The pages that were read so far.

    Args:
        first: the request for the first page. Its page size applies to requests that do not set one.
    """

    def __init__(self, first: Request) -> None:
        self._default_size = page_size(first)
        self._largest = 0
        self._last_page: tuple[Request, bytes] | None = None
        self._visited: dict[str, None] = {}
        self._equal_sizes = 0
        self._last_size = 0
        self._has_hinted = False
        self.empty_in_a_row: int = 0
        """The last delivered pages that have no records, but a next page."""

    def is_full(self, request: Request, count: int) -> bool:
        """Returns whether a page has as many records as fit, so that the next page probably has records too.

        If no request sets the size, a page is full if it has at least ten records and no earlier page had more.
        """
        size = page_size(request) or self._default_size
        return count >= (max(self._largest, _SMALLEST_FULL_PAGE) if size is None else size)

    def is_repeated(self, request: Request, records: Sequence[Record]) -> bool:
        """Returns whether a page has exactly the records of the preceding one, which has another request."""
        return (
            bool(records)
            and self._last_page is not None
            and self._last_page[0] != request
            and self._last_page[1] == _digest(records)
        )

    def problem_of_next(self, request: Request, following: Request, *, is_full: bool) -> str | None:
        """Returns why the next page does not lead forward, or ``None`` if it does."""
        if following == request and is_full:
            target = "to the same page, which is full"
        elif identity_of(following) in self._visited:
            target = "back to a page that was read before"
        else:
            return None
        return (
            f"the link to the next page leads {target}: request the records oldest first, or report this to the API's "
            "operator"
        )

    def begin_round(self) -> None:
        """Forgets the pages of the preceding round, because the next one may have the same."""
        self._last_page = None
        self._visited.clear()

    def add(self, request: Request, following: Request | None, records: Sequence[Record]) -> str | None:
        """Remembers a delivered page. Returns a hint if the request asks for more records than the API returns."""
        count = len(records)
        is_last = following is None or following == request
        hint = self._hint(request, count, is_last=is_last)
        self._largest = max(self._largest, count)
        if records:
            self._last_page = request, _digest(records)
        self.empty_in_a_row = 0 if records or is_last else self.empty_in_a_row + 1
        if not is_last:
            self._visited[identity_of(request)] = None
            if len(self._visited) > _MOST_VISITED:
                del self._visited[next(iter(self._visited))]
        return hint

    def _hint(self, request: Request, count: int, *, is_last: bool) -> str | None:
        size = page_size(request) or self._default_size
        if size is None or is_last or not _SMALLEST_FULL_PAGE <= count < size:
            self._equal_sizes = 0
            return None
        self._equal_sizes = self._equal_sizes + 1 if count == self._last_size else 1
        self._last_size = count
        if self._equal_sizes < _CAPPED_PAGES or self._has_hinted:
            return None
        self._has_hinted = True
        return (
            f"{_CAPPED_PAGES} pages in a row have {count} records, but the URL requests {size}: if {count} is the "
            "API's limit, write it into the URL, because after a page that is not full the plugin waits for interval"
        )


def _digest(records: Sequence[Record]) -> bytes:
    digest = hashlib.sha256()
    for record in records:
        digest.update(len(record.data).to_bytes(8, "big"))
        digest.update(record.data)
    return digest.digest()
