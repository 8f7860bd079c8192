"""What an operator is told: each kind of trouble once a minute, however often it is met."""

from __future__ import annotations

import logging
import time

from confluent_kafka import KafkaError, Message, TopicPartition

_INTERVAL = 60.0


class Reports:
    """Logs what the source goes on from."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._logged: dict[str, float] = {}
        self._too_large = 0

    def partitions(self, what: str, partitions: list[TopicPartition]) -> None:
        """A change of the group."""
        if partitions:
            names = ", ".join(f"{partition.topic} [{partition.partition}]" for partition in partitions)
            self._log.info("partitions %s: %s", what, names)

    def trouble(self, error: KafkaError) -> None:
        """An error that the client goes on from by itself."""
        if self._is_time(error.name()):
            self._log.warning("%s (%s); trying again", error.str(), error.name())

    def commit_failed(self, error: KafkaError) -> None:
        """Nothing is lost by it: these records come again at worst."""
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

    def _is_time(self, kind: str) -> bool:
        now = time.monotonic()
        if now - self._logged.get(kind, -_INTERVAL) < _INTERVAL:
            return False
        self._logged[kind] = now
        return True
