"""Logs each kind of trouble once a minute at most, with a count."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable

from confluent_kafka import KafkaError, Message, TopicPartition

_INTERVAL = 60.0


class Reports:
    """Logs trouble after which the source continues.

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

    def partitions(self, what: str, partitions: list[TopicPartition]) -> None:
        """Logs a change of the group."""
        if partitions:
            names = ", ".join(f"{partition.topic} [{partition.partition}]" for partition in partitions)
            self._log.info("partitions %s: %s", what, names)

    def trouble(self, error: KafkaError) -> None:
        """Logs an error from which the client recovers by itself."""
        if self._is_time(error.name()):
            self._log.warning("%s (%s); trying again", error.str(), error.name())

    def commit_failed(self, error: KafkaError) -> None:
        """Logs a failed commit. Nothing is lost: at worst these records are delivered again."""
        if self._is_time(f"commit: {error.name()}"):
            self._log.warning("commit failed: %s (%s); trying again with the next one", error.str(), error.name())

    def too_large(self, record: Message, size: int, event_size: int) -> None:
        """Counts a record that is too large for an event."""
        text = f"a record of {size} bytes is passed over, event_size is {event_size} (passed over so far: %d)"
        self._count(logging.ERROR, "records larger than event_size", record, text)

    def framing_missing(self, record: Message) -> None:
        """Counts a record that does not have the configured framing."""
        self._count(
            logging.WARNING,
            f"records of {record.topic()} that do not begin with a 0 byte and a schema id",
            record,
            "the record does not begin with a 0 byte and a schema id, and is delivered unchanged: set framing to none "
            "if no record of the topic does (such records so far: %d)",
        )

    def framing_unexpected(self, record: Message) -> None:
        """Counts a record that is JSON behind a framing that is not configured."""
        self._count(
            logging.WARNING,
            f"records of {record.topic()} with a 0 byte and a schema id in front of JSON",
            record,
            "the record is not JSON, but would be without the 0 byte and the schema id in front of it: set framing to "
            "confluent (such records so far: %d)",
        )

    def rest(self) -> None:
        """Logs the records that were counted after the last report of their kind."""
        for kind, count in self._counts.items():
            if more := count - self._reported[kind]:
                self._reported[kind] = count
                self._log.warning("%s: %d more since the last report, %d in all", kind, more, count)

    def _count(self, level: int, kind: str, record: Message, text: str) -> None:
        self._counts[kind] += 1
        if self._is_time(kind):
            self._reported[kind] = self._counts[kind]
            where = f"{record.topic()} [{record.partition()}] at offset {record.offset()}"
            self._log.log(level, f"%s: {text}", where, self._counts[kind])

    def _is_time(self, kind: str) -> bool:
        now = self._now()
        if now - self._logged.get(kind, -_INTERVAL) < _INTERVAL:
            return False
        self._logged[kind] = now
        return True
