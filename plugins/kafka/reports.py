"""Logs each kind of problem at most once a minute, with a count."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable

from confluent_kafka import KafkaError, Message, TopicPartition

_INTERVAL = 60.0
"""Seconds between two log lines of one kind."""


class Reports:
    """Logs problems after which the source continues.

    Args:
        log: receives the lines.
        now: returns the time in seconds, from any start.
    """

    def __init__(self, log: logging.Logger, now: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._now = now
        self._logged: dict[str, float] = {}
        self._counts: Counter[str] = Counter()
        self._reported: Counter[str] = Counter()

    def log_partitions(self, change: str, partitions: list[TopicPartition]) -> None:
        """Logs a change of the assigned partitions."""
        if partitions:
            names = ", ".join(f"{partition.topic} [{partition.partition}]" for partition in partitions)
            self._log.info("partitions %s: %s", change, names)

    def log_client_error(self, error: KafkaError) -> None:
        """Logs an error from which the client recovers by itself."""
        if self._is_due(error.name()):
            self._log.warning("%s (%s); trying again", error.str(), error.name())

    def log_failed_commit(self, error: KafkaError) -> None:
        """Logs a failed commit. No record is lost: at worst these records are delivered again."""
        if self._is_due(f"commit: {error.name()}"):
            self._log.warning("commit failed: %s (%s); trying again with the next one", error.str(), error.name())

    def count_oversized(self, record: Message, size: int, event_size: int) -> None:
        """Counts a record that is too large for an event."""
        text = f"a record of {size} bytes is larger than event_size, {event_size}, and is skipped (skipped so far: %d)"
        self._count(logging.ERROR, "records larger than event_size", record, text)

    def count_missing_framing(self, record: Message) -> None:
        """Counts a record that does not have the configured framing."""
        self._count(
            logging.WARNING,
            f"records of {record.topic()} that do not begin with a 0 byte and a schema id",
            record,
            "the record does not begin with a 0 byte and a schema id, and is delivered unchanged: set framing to none "
            "if no record of the topic does (such records so far: %d)",
        )

    def count_unexpected_framing(self, record: Message) -> None:
        """Counts a record that has JSON after a framing that is not configured."""
        self._count(
            logging.WARNING,
            f"records of {record.topic()} with a 0 byte and a schema id before JSON",
            record,
            "the record is not JSON, but would be without the 0 byte and the schema id before it: set framing to "
            "confluent (such records so far: %d)",
        )

    def report_pending(self) -> None:
        """Logs the records that were counted after the last report of their kind."""
        for kind, count in self._counts.items():
            if more := count - self._reported[kind]:
                self._reported[kind] = count
                self._log.warning("%s: %d more since the last report, %d in all", kind, more, count)

    def _count(self, level: int, kind: str, record: Message, text: str) -> None:
        self._counts[kind] += 1
        if self._is_due(kind):
            self._reported[kind] = self._counts[kind]
            position = f"{record.topic()} [{record.partition()}] at offset {record.offset()}"
            self._log.log(level, f"%s: {text}", position, self._counts[kind])

    def _is_due(self, kind: str) -> bool:
        now = self._now()
        if now - self._logged.get(kind, -_INTERVAL) < _INTERVAL:
            return False
        self._logged[kind] = now
        return True
