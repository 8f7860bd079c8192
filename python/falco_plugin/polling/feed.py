"""Yields the records of all pages as one stream, and saves the position."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, ParamSpec, TypeAlias, TypeVar

import httpx
import msgspec

from falco_plugin import Context, Cursor, Fatal, RetryLater, source
from falco_plugin.polling import records
from falco_plugin.polling.client import Client, RateLimited, Unusable, normalize
from falco_plugin.polling.paging import MOST_EMPTY, Pages
from falco_plugin.polling.position import Found, Position
from falco_plugin.polling.rate_limit import describe
from falco_plugin.polling.records import Record
from falco_plugin.polling.reports import Reports
from falco_plugin.polling.request import Request
from falco_plugin.polling.response import Response
from falco_plugin.polling.times import Times

if TYPE_CHECKING:
    from falco_plugin.polling.config import PollerConfig
    from falco_plugin.polling.poller import HttpPoller

_Item: TypeAlias = "tuple[bytes, int | None] | None"

P = ParamSpec("P")
T = TypeVar("T")

_SECOND = 1_000_000_000

_LONG = 60.0
"""Seconds of a wait that is logged even if another one was logged less than a minute ago."""

_NOTABLE = 10.0
"""Seconds of the shortest wait for the rate limit that is logged after a page."""


class Page(NamedTuple):
    """An answer with records."""

    records: list[Record]
    following: Request | None
    """The request for the next page. ``None`` if there is none yet, or if it must not be sent."""
    refused: Unusable | None
    """Why the next page is not requested."""
    has_more: bool
    """Whether the next page has records now."""
    is_inferred: bool
    """Whether ``has_more`` is inferred from the number of records."""
    pause: float
    """Seconds to wait before the next request because of the rate limit."""


class Feed:
    """Requests one page after the other.

    Args:
        poller: the plugin, which reads the answers.
        params: the open params.
        client: requests the pages.
        first: the request for the first page.
        cursor: stores the position.
        now: returns the time in seconds, from any start.
        sleep: waits so many seconds.
        clock: returns the time in seconds since the epoch.
    """

    def __init__(
        self,
        poller: HttpPoller,
        params: str,
        client: Client,
        first: Request,
        cursor: Cursor[Position],
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]],
        clock: Callable[[], float],
    ) -> None:
        self._poller = poller
        self._params = params
        self._client = client
        self._cursor = cursor
        # A position that could not be written is kept here.
        self._position = cursor.value
        self._pages = Pages(first)
        self._config: PollerConfig = poller.config
        self._log = poller.log
        self._now = now
        self._sleep = sleep
        self._clock = clock
        self._reports = Reports(self._log, now)
        self._times = Times(poller.timestamp_field, self._log)
        self._id_path = records.path_of(poller.id_field)
        self._time_path = records.path_of(poller.timestamp_field)
        self._ready_at = now()
        self._has_worked = False

    async def poll(self, _context: Context) -> AsyncIterator[_Item]:
        """Yields the records, and a barrier before each position is saved. It is called again after an exception."""
        async with self._client.connect() as connection:
            while True:
                self._reports.report_pending()
                # An attempt after a failure waits for the interval and the rate limit too.
                await self._sleep(max(self._ready_at - self._now(), 0))
                try:
                    page = await self._request(connection)
                except Unusable as error:
                    if self._has_worked:
                        raise
                    # The configuration is probably wrong: end Falco while its operator is watching.
                    raise Fatal(str(error)) from error.__cause__
                if page is None:
                    continue
                self._has_worked = True
                found: list[tuple[str, int | None]] = []
                is_fresh = False
                for record in page.records:
                    if (known := self._position.time_of(record.id)) is not None:
                        found.append((record.id, known))
                        continue
                    timestamp = self._times.time_of(record)
                    found.append((record.id, timestamp))
                    is_fresh = True
                    try:
                        yield record.data, timestamp
                    except source.EventTooLargeError as error:
                        text = f"record {record.id!r:.100} is skipped: {error}"
                        self._reports.report(logging.ERROR, "too large", text)
                if is_fresh:
                    yield None
                self._advance(page, found)
                if page.refused is not None:
                    raise page.refused

    async def _request(self, connection: httpx.AsyncClient) -> Page | None:
        """Returns the next page, or ``None`` if the API asks to wait.

        Raises:
            Unavailable: the API does not answer at the moment.
            Unusable: its answer cannot be used, or is the first one and has a link that cannot be followed.
            Exception: any exception of the plugin's method ``headers``, or ``Fatal`` or ``RetryLater`` of another one.
        """
        request = self._position.request
        try:
            response, pause = await self._client.send(connection, request)
        except RateLimited as limit:
            self._postpone(limit.seconds)
            text = f"{limit.cause}: waiting for {describe(limit.seconds)} ({limit.answer})"
            self._reports.report(logging.WARNING, limit.cause, text, always=limit.seconds >= _LONG)
            return None
        # An error below must not shorten the wait.
        self._postpone(max(pause, self._config.interval))
        found = self._records(response)
        if self._pages.is_repeated(request, found):
            raise Unusable(
                f"the next page has the same {len(found)} records as the page before it: use an API that pages "
                "by Link headers or change next_request, and check that no proxy changes the query of URLs"
            )
        page = self._page(response, found, pause)
        if page.refused is not None and not self._has_worked:
            raise page.refused
        return page

    def _records(self, response: Response) -> list[Record]:
        found = self._call(self._poller.records, response)
        return [records.read(raw, self._id_path, self._time_path) for raw in found]

    def _page(self, response: Response, found: list[Record], pause: float) -> Page:
        request = response.request
        answer = self._call(self._poller.has_more, response, len(found))
        is_full = self._pages.is_full(request, len(found)) if answer is None else answer
        following, refused = None, None
        try:
            if (following := self._call(self._poller.next_request, response)) is not None:
                following = self._client.check_next(following)
                # Each page of a round must be read before the next round begins. Elsewhere a page without records may
                # have itself as the next one until there are records, whatever the API states.
                is_full = self._poller.overlap is not None or (is_full and bool(found))
                if problem := self._pages.problem_of_next(request, following, is_full=is_full):
                    raise Unusable(problem)
        except Unusable as error:
            following, refused = None, error
        has_more = following is not None and following != request and is_full
        return Page(found, following, refused, has_more, answer is None, pause)

    def _call(self, method: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Calls a method of the plugin.

        Raises:
            Unusable: it raised an exception, because the answer is not as it expects.
        """
        try:
            return method(*arguments, **named)
        except (Fatal, RetryLater):
            raise
        except ValueError as error:
            raise Unusable(f"an answer of {self._client.origin} cannot be used: {error}") from None
        except Exception as error:
            name = getattr(method, "__name__", "a method")
            raise Unusable(
                f"an answer of {self._client.origin} cannot be used: {name} raised {type(error).__name__}: {error}"
            ) from error

    def _advance(self, page: Page, found: Found) -> None:
        """Moves the position past a page, and decides when to request the next one."""
        hint = self._pages.add(self._position.request, page.following, page.records)
        if hint and page.is_inferred and self._poller.overlap is None:
            self._log.warning("%s", hint)
        position = self._following(page, found)
        self._position = position
        self._cursor.save(position)
        if page.pause > max(self._config.interval, _NOTABLE):
            text = (
                f"few requests are left of the API's rate limit: waiting for {describe(page.pause)} "
                f"(rate_share is {self._config.rate_share:g}, the rest is left to other clients)"
            )
            self._reports.report(logging.INFO, "few requests are left", text, always=page.pause >= _LONG)
        is_endless = self._poller.overlap is not None and self._pages.empty_in_a_row >= MOST_EMPTY
        if is_endless:
            text = (
                f"{self._pages.empty_in_a_row} pages in a row have no records, but each has a next page: waiting for "
                "interval after each; new records are not requested until the last page: if this does not end, correct "
                "next_request"
            )
            self._reports.report(logging.WARNING, "no records", text)
        self._postpone(max(page.pause, 0 if page.has_more and not is_endless else self._config.interval))

    def _following(self, page: Page, found: Found) -> Position:
        """Returns the position behind a page."""
        overlap = self._poller.overlap
        if overlap is None:
            return self._position.after_page(found, page.following)
        request = page.following or self._position.request
        position = self._position.within_round(found, request, overlap, int(self._clock() * _SECOND))
        if page.following is not None or page.refused is not None:
            return position
        self._pages.begin_round()
        position = position.next_round(overlap)
        begin = datetime.fromtimestamp(position.since / _SECOND, UTC)
        first = self._call(self._poller.first_request, self._params, begin)
        return msgspec.structs.replace(position, request=normalize(first))

    def close(self) -> None:
        """Logs pending reports. The host's thread calls it once, when the source is closed."""
        self._reports.report_pending(always=True)
        self._times.close()

    def _postpone(self, seconds: float) -> None:
        self._ready_at = self._now() + seconds
