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
        self._framing_missing: Counter[str | None] = Counter()
        self._framing_unexpected: Counter[str | None] = Counter()
        self._too_large = 0

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
        """Counts a record that no event can hold."""
        self._too_large += 1
        if self._is_time("too large"):
            self._log.error(
                "%s [%s] at offset %s: a record of %d bytes is passed over, event_size is %d (passed over so far: %d)",
                record.topic(),
                record.partition(),
                record.offset(),
                size,
                event_size,
                self._too_large,
            )

    def framing_missing(self, record: Message) -> None:
        """Counts a record that does not have the configured framing."""
        topic = record.topic()
        self._framing_missing[topic] += 1
        if self._is_time(f"framing missing: {topic}"):
            self._log.warning(
                "%s [%s] at offset %s: the record does not begin with a 0 byte and a schema id, and is delivered "
                "unchanged: set framing to none if no record of the topic does (such records so far: %d)",
                topic,
                record.partition(),
                record.offset(),
                self._framing_missing[topic],
            )

    def framing_unexpected(self, record: Message) -> None:
        """Counts a record that is JSON behind a framing that is not configured."""
        topic = record.topic()
        self._framing_unexpected[topic] += 1
        if self._is_time(f"framing unexpected: {topic}"):
            self._log.warning(
                "%s [%s] at offset %s: the record is not JSON, but would be without the 0 byte and the schema id in "
                "front of it: set framing to confluent (such records so far: %d)",
                topic,
                record.partition(),
                record.offset(),
                self._framing_unexpected[topic],
            )

    def _is_time(self, kind: str) -> bool:
        now = self._now()
        if now - self._logged.get(kind, -_INTERVAL) < _INTERVAL:
            return False
        self._logged[kind] = now
        return True
