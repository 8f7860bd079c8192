"""Yields the records of all pages as one stream, and saves the cursor."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import httpx
import msgspec

from falco_plugin import Context, source

from .api import Api, Page, RateLimited, Unusable, normalize
from .config import Config
from .cursor import Cursor, CursorFile
from .paging import Pages
from .rate_limit import describe
from .reports import Reports
from .times import Times

_Item: TypeAlias = "tuple[bytes, int | None] | source.PushEvent | None"

_LONG = 60.0
"""Seconds of a wait that is logged even if another one was logged less than a minute ago."""

_NOTABLE = 10.0
"""Seconds of the shortest wait for the rate limit that is logged after a page."""


class Feed:
    """Requests one page after the other.

    Args:
        api: requests the pages.
        cursors: stores the cursor.
        cursor: the page to begin with.
        pages: checks each page.
        config: of the plugin.
        log: of the plugin.
        now: returns the time in seconds, from any start.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        api: Api,
        cursors: CursorFile,
        cursor: Cursor,
        pages: Pages,
        config: Config,
        log: logging.Logger,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._api = api
        self._cursors = cursors
        # Links are compared with this URL, and are normalized too.
        self._cursor = msgspec.structs.replace(cursor, url=normalize(cursor.url))
        self._pages = pages
        self._config = config
        self._log = log
        self._now = now
        self._sleep = sleep
        self._reports = Reports(log, now)
        self._ready_at = now()
        self._has_worked = False
        self._times = Times(config.timestamp_field, log)

    async def poll(self, _context: Context) -> AsyncIterator[_Item]:
        """Yields the records, and a barrier before each cursor is saved. It is called again after an exception."""
        async with self._api.connect() as client:
            while True:
                self._reports.report_pending()
                # An attempt after a failure waits for the interval and the rate limit too.
                await self._sleep(max(self._ready_at - self._now(), 0))
                try:
                    page = await self._request(client)
                except Unusable as error:
                    if self._has_worked:
                        raise
                    # The configuration is probably wrong: end Falco while its operator is watching.
                    yield source.PushEvent(error=error)
                    return
                if page is None:
                    continue
                self._has_worked = True
                fresh = [record for record in page.records if record.id not in self._cursor.seen]
                for record in fresh:
                    try:
                        yield record.data, self._times.time_of(record)
                    except source.EventTooLargeError as error:
                        text = f"record {record.id!r:.100} is skipped: {error}"
                        self._reports.report(logging.ERROR, "too large", text)
                if fresh:
                    yield None
                self._advance(page)
                if page.refused_link is not None:
                    raise page.refused_link

    async def _request(self, client: httpx.AsyncClient) -> Page | None:
        """Returns the next page, or ``None`` if the API asks to wait.

        Raises:
            Unavailable: the API does not answer at the moment.
            Unusable: its answer cannot be used, or is the first one and has a link that cannot be followed.
            ValueError: the file of the token cannot be read, or does not contain a token.
        """
        url = self._cursor.url
        try:
            page = await self._api.page(client, url)
        except RateLimited as limit:
            self._postpone(limit.seconds)
            text = f"{limit.cause}: waiting for {describe(limit.seconds)} ({limit.answer})"
            self._reports.report(logging.WARNING, limit.cause, text, always=limit.seconds >= _LONG)
            return None
        # An error below must not shorten the wait.
        self._postpone(max(page.pause, self._config.interval))
        if self._pages.is_repeated(url, page.records):
            raise Unusable(
                f"the next page has the same {len(page.records)} records as the page before it: use an API that pages "
                "by Link headers, and check that no proxy changes the query of URLs"
            )
        if page.refused_link is None and (problem := self._pages.link_problem(url, page.next_url, len(page.records))):
            page = page._replace(next_url=None, refused_link=Unusable(problem))
        if page.refused_link is not None and not self._has_worked:
            raise page.refused_link
        return page

    def _advance(self, page: Page) -> None:
        """Moves the cursor past a page, and decides when to request the next one."""
        url, count = self._cursor.url, len(page.records)
        has_more = page.next_url is not None and page.next_url != url and self._pages.is_full(url, count)
        if hint := self._pages.add(url, page.next_url, page.records):
            self._log.warning("%s", hint)
        cursor = self._cursor.advance((record.id for record in page.records), page.next_url)
        if cursor != self._cursor:
            self._cursor = cursor
            self._cursors.save(cursor)
        if page.pause > max(self._config.interval, _NOTABLE):
            text = (
                f"few requests are left of the API's rate limit: waiting for {describe(page.pause)} "
                f"(rate_share is {self._config.rate_share:g}, the rest is left to other clients)"
            )
            self._reports.report(logging.INFO, "few requests are left", text, always=page.pause >= _LONG)
        self._postpone(max(page.pause, 0 if has_more else self._config.interval))

    def close(self) -> None:
        """Logs pending reports. The host's thread calls it once, when the source is closed."""
        self._reports.report_pending(always=True)
        self._times.close()

    def _postpone(self, seconds: float) -> None:
        self._ready_at = self._now() + seconds
