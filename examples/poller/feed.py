"""The records of all pages as one stream, and when the cursor is saved."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import TypeAlias

from falco_plugin import Context, source

from .api import Api, Page, RateLimited, Unusable
from .config import Config
from .cursor import Cursor, CursorFile
from .rate_limit import describe
from .times import Times

_Item: TypeAlias = "tuple[bytes, int | None] | source.PushEvent | None"


class Feed:
    """Asks for one page after the other."""

    def __init__(self, api: Api, cursors: CursorFile, cursor: Cursor, config: Config, log: logging.Logger) -> None:
        self._api = api
        self._cursors = cursors
        self._cursor = cursor
        self._config = config
        self._log = log
        self._has_worked = False
        self._times = Times(config.timestamp_field, log)

    async def poll(self, _context: Context) -> AsyncIterator[_Item]:
        """The records, and a barrier before each cursor is saved. It is called again after an exception."""
        async with self._api.connect() as client:
            while True:
                try:
                    page = await self._api.page(client, self._cursor.url)
                except RateLimited as limit:
                    self._log.warning("the rate limit is reached: waiting for %s", describe(limit.seconds))
                    await asyncio.sleep(limit.seconds)
                    continue
                except Unusable as error:
                    if self._has_worked:
                        raise
                    # A mistake in the configuration, which Falco's operator is told of at the start.
                    yield source.PushEvent(error=error)
                    return
                self._has_worked = True
                fresh = [record for record in page.records if record.id not in self._cursor.seen]
                for record in fresh:
                    try:
                        yield record.data, self._times.of(record)
                    except source.EventTooLargeError as error:
                        self._log.error("record %.100r is left out: %s", record.id, error)
                if fresh:
                    yield None
                if not self._advance(page):
                    await asyncio.sleep(self._config.interval)

    def _advance(self, page: Page) -> bool:
        """Moves the cursor beyond a page, and returns whether there may be more at once."""
        cursor = self._cursor.after((record.id for record in page.records), page.next_url)
        goes_on = bool(page.records) and cursor.url != self._cursor.url
        if cursor != self._cursor:
            self._cursor = cursor
            self._cursors.save(cursor)
        return goes_on

    def close(self) -> None:
        """Is called once when the source is closed."""
        self._times.close()
