"""Decides whether a page is full, and whether the link to the next page leads forward."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from urllib.parse import parse_qsl

from .records import Record

SIZE_PARAMETERS = "limit", "per_page", "page_size", "max_results", "page[size]", "size", "count", "$top"
"""Names of URL parameters that set the number of records on a page. ``pageSize`` and ``page-size`` match too."""

_SMALLEST_FULL_PAGE = 10
"""Records of the smallest page that counts as full if the URL does not set the size."""

_CAPPED_PAGES = 3
"""Pages of the same size in a row from which the API's own largest page is inferred."""

_MOST_VISITED = 1000
"""URLs of pages that are remembered."""


def _normalize_name(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


_NAMES = frozenset(map(_normalize_name, SIZE_PARAMETERS))


def page_size(url: str) -> int | None:
    """Returns the number of records on a full page, or ``None`` if the URL does not set it."""
    query = url.partition("#")[0].partition("?")[2]
    for name, value in parse_qsl(query):
        if (
            _normalize_name(name) in _NAMES
            and value.isascii()
            and value.isdecimal()
            and len(value) < 10
            and int(value) > 0
        ):
            return int(value)
    return None


class Pages:
    """The pages that were read so far.

    Args:
        open_params: the first page's URL. Its page size applies to pages whose own URL does not set one.
    """

    def __init__(self, open_params: str) -> None:
        self._default_size = page_size(open_params)
        self._largest = 0
        self._last_page: tuple[str, bytes] | None = None
        self._visited: dict[str, None] = {}
        self._equal_sizes = 0
        self._last_size = 0
        self._has_hinted = False

    def is_full(self, url: str, count: int) -> bool:
        """Returns whether a page has as many records as fit, so that the next page probably has records too.

        If no URL sets the size, a page is full if it has at least ten records and no earlier page had more.
        """
        size = page_size(url) or self._default_size
        return count >= (max(self._largest, _SMALLEST_FULL_PAGE) if size is None else size)

    def is_repeated(self, url: str, records: Sequence[Record]) -> bool:
        """Returns whether a page has exactly the records of the preceding one, which has another URL."""
        return (
            bool(records)
            and self._last_page is not None
            and self._last_page[0] != url
            and self._last_page[1] == _digest(records)
        )

    def link_problem(self, url: str, next_url: str | None, count: int) -> str | None:
        """Returns why the link to the next page does not lead forward, or ``None`` if it does."""
        if next_url == url and self.is_full(url, count):
            target = "to the same page, which is full"
        elif next_url in self._visited:
            target = "back to a page that was read before"
        else:
            return None
        return (
            f"the link to the next page leads {target}: sort the records oldest first in open_params, or report this "
            "to the API's operator"
        )

    def add(self, url: str, next_url: str | None, records: Sequence[Record]) -> str | None:
        """Remembers a delivered page. Returns a hint if the URL requests more records than the API returns."""
        count = len(records)
        hint = self._hint(url, next_url, count)
        self._largest = max(self._largest, count)
        if records:
            self._last_page = url, _digest(records)
        if next_url is not None and next_url != url:
            self._visited[url] = None
            if len(self._visited) > _MOST_VISITED:
                del self._visited[next(iter(self._visited))]
        return hint

    def _hint(self, url: str, next_url: str | None, count: int) -> str | None:
        size = page_size(url) or self._default_size
        if size is None or not _SMALLEST_FULL_PAGE <= count < size or next_url is None or next_url == url:
            self._equal_sizes = 0
            return None
        self._equal_sizes = self._equal_sizes + 1 if count == self._last_size else 1
        self._last_size = count
        if self._equal_sizes < _CAPPED_PAGES or self._has_hinted:
            return None
        self._has_hinted = True
        return (
            f"{_CAPPED_PAGES} pages in a row have {count} records, but the URL requests {size}: if {count} is the "
            "API's limit, write it into open_params, because after a page that is not full the plugin waits for "
            "interval"
        )


def _digest(records: Sequence[Record]) -> bytes:
    digest = hashlib.sha256()
    for record in records:
        digest.update(len(record.data).to_bytes(8, "big"))
        digest.update(record.data)
    return digest.digest()
