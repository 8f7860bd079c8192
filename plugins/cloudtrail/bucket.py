"""Lists the log files in a bucket."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any, NamedTuple

from falco_plugin import Context

from .client import Aws
from .downloads import Downloads
from .intervals import Interval
from .positions import Position
from .trails import LogName, Trail, is_log_file, parse_name

_KEYS_IN_MEMORY = 100_000
"""Keys that are listed ahead, in all trails together."""
_LEAST_KEYS, _MOST_KEYS = 20, 1000
"""Keys of the smallest and of the largest page, which S3 limits."""


class LogFile(NamedTuple):
    """A log file in a bucket."""

    trail: Trail
    name: LogName
    key: str
    size: int

    @property
    def order(self) -> tuple[str, str]:
        """Files of all trails are read in this order."""
        return self.name.minute if self.trail.is_ordered else "", self.key


class Bucket:
    """A bucket, and its listings.

    Args:
        aws: makes the requests.
        name: of the bucket.
    """

    def __init__(self, aws: Aws, name: str) -> None:
        self._aws = aws
        self.name = name

    def check(self, prefix: str) -> None:
        """Lists a single key, to find mistakes when the source is opened.

        Raises:
            AwsError: the bucket cannot be listed.
        """
        self._aws.call("s3", self._action(prefix), lambda client: self._page(client, Prefix=prefix, MaxKeys=1))

    def folders(self, context: Context, prefix: str) -> list[str]:
        """Returns the folders directly below a prefix.

        Raises:
            AwsError: the bucket cannot be listed.
            ClosedError: the source was closed.
        """
        pages = self._pages(context, Prefix=prefix, Delimiter="/")
        return [folder["Prefix"] for page in pages for folder in page.get("CommonPrefixes", ())]

    def log_files(
        self, context: Context, downloads: Downloads, trails: list[Trail], interval: Interval, position: Position
    ) -> Iterator[LogFile]:
        """Yields the log files of trails that were not delivered: all trails together in the order of their times.

        Args:
            context: of the source.
            downloads: lists the first pages of the trails, at the same time.
            trails: to read.
            interval: of the names. Files with other names are yielded too.
            position: has the log files that were delivered.
        """
        size = min(max(_KEYS_IN_MEMORY // max(len(trails), 1), _LEAST_KEYS), _MOST_KEYS)
        listings: list[tuple[Future[list[LogFile]], Iterator[list[LogFile]]]] = []
        for trail in trails:
            pages = self._log_files(context, trail, size, interval, position)
            listings.append((downloads.submit(partial(next, pages)), pages))

        def read(first: Future[list[LogFile]], pages: Iterator[list[LogFile]]) -> Iterator[LogFile]:
            yield from downloads.result(first)
            for page in pages:
                yield from page

        return heapq.merge(*(read(*listing) for listing in listings), key=lambda file: file.order)

    def _log_files(
        self, context: Context, trail: Trail, size: int, interval: Interval, position: Position
    ) -> Iterator[list[LogFile]]:
        """Yields the log files in each page of a listing."""
        start = position.key_before(trail, interval.start)
        options = {"Prefix": trail.prefix, "MaxKeys": size, **({"StartAfter": start} if start else {})}
        for page in self._pages(context, **options):
            yield list(_select(trail, page, interval, position))

    def _pages(self, context: Context, **options: Any) -> Iterator[dict[str, Any]]:
        action = self._action(options["Prefix"])
        while True:
            page = self._aws.persist(context, "s3", action, lambda client: self._page(client, **options))
            yield page
            if not page.get("IsTruncated"):
                return
            options["ContinuationToken"] = page["NextContinuationToken"]

    def _page(self, client: Any, **options: Any) -> dict[str, Any]:
        page: dict[str, Any] = client.list_objects_v2(Bucket=self.name, **options)
        return page

    def _action(self, prefix: str) -> str:
        return f"list s3://{self.name}/{prefix}"


def _select(trail: Trail, page: dict[str, Any], interval: Interval, position: Position) -> Iterator[LogFile]:
    for item in page.get("Contents", ()):
        key = item["Key"]
        name = parse_name(key)
        if not is_log_file(key) or (name.minute and not interval.contains(name.minute)):
            continue
        if not position.has(trail, name, key):
            yield LogFile(trail, name, key, item["Size"])
