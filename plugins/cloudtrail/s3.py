"""Reads the log files in a bucket."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import TypeAlias

from falco_plugin import Context, Cursor

from .bucket import Bucket, LogFile
from .client import Aws, ClosedError
from .config import Config
from .delivery import Delivery
from .downloads import Downloaded, Downloads
from .intervals import parse_interval
from .positions import Position
from .problems import AwsError, Kind
from .reports import Reports
from .trails import Trail, find_trails, parse_accounts

SCHEME = "s3://"
_BYTES_IN_MEMORY = 256 << 20
"""Bytes of the log files that are downloaded ahead."""
_SAVE_SECONDS = 1.0
"""Seconds between two barriers, after each of which the position is saved."""

_Event: TypeAlias = tuple[bytes, int]


class S3Source:
    """Reads the log files below a prefix: once, or again and again.

    Args:
        params: the open params, ``s3://bucket/prefix``.
        config: of the plugin.
        delivery: reads and counts records.
        cursor: the saved position, or the first one, see `first_position`.
        log: of the plugin.
        now: returns the time in seconds, from any start.

    Raises:
        ValueError: the open params or a setting is wrong.
        AwsError: the bucket cannot be listed, and another attempt would fail too.
    """

    def __init__(
        self,
        params: str,
        config: Config,
        delivery: Delivery,
        cursor: Cursor[Position],
        log: logging.Logger,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        name, _, self._prefix = params.removeprefix(SCHEME).partition("/")
        if not name:
            raise ValueError(f"open_params: {params} has no bucket: write s3://bucket/prefix")
        self._accounts = parse_accounts(config.accounts)
        self._config = config
        self._delivery = delivery
        self._cursor = cursor
        self._position = cursor.value
        self._log = log
        self._now = now
        self._aws = Aws(config.aws, config.s3_download_concurrency, Reports(log))
        self._bucket = Bucket(self._aws, name)
        try:
            self._bucket.check(self._prefix)
        except AwsError as error:
            if not self._aws.can_pass(error):
                raise
            log.warning("%s; trying again", error)
        self._missing: set[str] = set()

    def read(self, context: Context) -> Iterator[_Event | None]:
        """Yields the records of all log files, and barriers.

        Raises:
            AwsError: only an operator can make another attempt succeed.
        """
        try:
            with Downloads(self._aws, context, self._config.s3_download_concurrency) as downloads:
                while True:
                    yield from self._read_once(context, downloads)
                    self._delivery.metrics.lag.set(0)
                    if not self._config.s3_poll_seconds or context.wait(self._config.s3_poll_seconds):
                        return
        except ClosedError:
            return

    def _read_once(self, context: Context, downloads: Downloads) -> Iterator[_Event | None]:
        """Reads the log files that are not delivered yet."""
        trails = list(self._trails(context))
        files = self._bucket.log_files(context, downloads, trails, self._position.interval, self._position)
        saved_at = self._now()
        is_saved = True
        for file, future in self._download(files, downloads):
            try:
                downloaded = downloads.content(future)
            except AwsError as error:
                if error.kind is not Kind.OBJECT:
                    raise
                self._delivery.report_unreadable(str(error))
            else:
                yield from self._delivery.records(downloaded, f"s3://{self._bucket.name}/{file.key}")
            self._position.add(file.trail, file.name, file.key)
            is_saved = False
            if self._now() - saved_at >= _SAVE_SECONDS:
                yield None
                self._cursor.save(self._position)
                is_saved = True
                saved_at = self._now()
        if not is_saved:
            yield None
            self._cursor.save(self._position)

    def _trails(self, context: Context) -> Iterator[Trail]:
        found: set[str] = set()
        for trail in find_trails(self._prefix, self._accounts, lambda prefix: self._bucket.folders(context, prefix)):
            if not trail.is_ordered:
                self._check_unordered()
            found.add(trail.account)
            yield trail
        if missing := set(self._accounts) - found - self._missing:
            self._missing |= missing
            self._log.warning(
                "s3://%s/%s has no log files of %s: check s3AccountList",
                self._bucket.name,
                self._prefix,
                ", ".join(sorted(missing)),
            )

    def _check_unordered(self) -> None:
        """Raises ``ValueError`` for settings that need the layout of CloudTrail."""
        name = f"s3://{self._bucket.name}/{self._prefix}"
        if self._config.s3_poll_seconds:
            raise ValueError(
                f"open_params: {name} is not a folder of a trail, so s3PollSeconds cannot find new log files: "
                "write the path up to AWSLogs/, or below it"
            )
        if self._accounts:
            raise ValueError(f"open_params: {name} has no accounts for s3AccountList: write the path up to AWSLogs/")

    def _download(self, files: Iterator[LogFile], downloads: Downloads) -> Iterator[tuple[LogFile, Future[Downloaded]]]:
        """Yields log files in their order, while the next ones are downloaded."""
        started: deque[tuple[LogFile, Future[Downloaded]]] = deque()
        size = 0
        for file in files:
            while started and (
                len(started) >= self._config.s3_download_concurrency or size + file.size > _BYTES_IN_MEMORY
            ):
                size -= started[0][0].size
                yield started.popleft()
            started.append((file, downloads.start(self._bucket.name, file.key)))
            size += file.size
        yield from started


def first_position(config: Config) -> Position:
    """Returns the position to begin with.

    Raises:
        ValueError: ``s3Interval`` is wrong.
    """
    return Position(config.s3_interval, parse_interval(config.s3_interval, datetime.now(UTC)))
