"""The times of records, and reports of records whose time cannot be read."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from falco_plugin import source
from falco_plugin.polling.records import Record

_REPORT_INTERVAL = 60.0
"""Seconds between two log lines for the same cause."""


class Times:
    """Reads the times of records, and logs each cause of an unreadable time at most once a minute, with a count.

    Args:
        field: the field with the time. If it is empty, records have no time.
        log: where reports go. The content of records is not logged, except for ids.
        clock: returns seconds.
    """

    def __init__(self, field: str, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._has_reported_zone = False
        self._field = field
        self._causes = (
            _Cause(f"no value in {field!r}", "correct timestamp_field", clock),
            _Cause(f"no time from 1970 to 2554 in {field!r}", "correct timestamp_field", clock),
        )

    def time_of(self, record: Record) -> int | None:
        """Returns the time of a record in nanoseconds since the epoch; ``None`` if it cannot be read."""
        if not self._field:
            return None
        missing, unreadable = self._causes
        if record.time is None:
            missing.count(record, self._log)
            return None
        try:
            parsed = source.parse_timestamp(record.time)
        except ValueError:
            unreadable.count(record, self._log)
            return None
        if not (parsed.has_zone or self._has_reported_zone):
            self._has_reported_zone = True
            self._log.warning(
                "record %.100r has a time without a time zone in %r; all such times are read as UTC",
                record.id,
                self._field,
            )
        return parsed.nanoseconds

    def close(self) -> None:
        """Logs the records that no report has counted yet."""
        for cause in self._causes:
            cause.log_rest(self._log)


class _Cause:
    """Records whose time cannot be read for the same reason."""

    def __init__(self, found: str, remedy: str, clock: Callable[[], float]) -> None:
        self._found = found
        self._remedy = remedy
        self._clock = clock
        self._count = 0
        self._reported = 0
        self._next_report = float("-inf")

    def count(self, record: Record, log: logging.Logger) -> None:
        self._count += 1
        now = self._clock()
        if now < self._next_report:
            return
        self._next_report = now + _REPORT_INTERVAL
        self._reported = self._count
        log.warning(
            "record %.100r has %s; the event gets the time of its arrival: %s (records so far: %d)",
            record.id,
            self._found,
            self._remedy,
            self._count,
        )

    def log_rest(self, log: logging.Logger) -> None:
        if more := self._count - self._reported:
            self._reported = self._count
            log.warning("%d more records had %s (records in all: %d)", more, self._found, self._count)
