"""The offsets of the partitions, and when they are committed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from .config import Config
from .reports import Reports

_Partition: TypeAlias = tuple[str | None, int | None]


class Offsets:
    """The last record of each partition: those to commit, and those that are being committed.

    Commits are asynchronous. If the broker that stores the offsets is unavailable, a commit can take more than a
    minute, while the other brokers still deliver records. There is at most one pending commit. Offsets of a failed
    commit are committed with the next one.
    """

    def __init__(self, config: Config, reports: Reports, now: Callable[[], float]) -> None:
        self._config = config
        self._reports = reports
        self._now = now
        self._read: dict[_Partition, Message] = {}
        self._sent: dict[_Partition, Message] = {}
        self._is_pending = False
        self._records = 0
        self._committed_at = self._now()

    def add(self, message: Message) -> None:
        """Adds a record that was delivered or skipped."""
        self._read[message.topic(), message.partition()] = message
        self._records += 1

    def drop(self, partitions: list[TopicPartition]) -> None:
        """Removes partitions that another member reads now, from their committed offsets on."""
        for partition in partitions:
            self._read.pop((partition.topic, partition.partition), None)
            self._sent.pop((partition.topic, partition.partition), None)

    @property
    def is_due(self) -> bool:
        """Whether it is time for a barrier and a commit."""
        if self._is_pending or not self._read:
            return False
        is_interval_over = self._now() - self._committed_at >= self._config.commit_interval
        return is_interval_over or self._records >= self._config.commit_records

    def commit(self, consumer: Consumer) -> None:
        """Commits the offsets of all records that were added. Call it directly after a barrier."""
        self._sent, self._read = self._read, {}
        self._is_pending = True
        self._records = 0
        self._committed_at = self._now()
        try:
            consumer.commit(offsets=[_offset_after(message) for message in self._sent.values()], asynchronous=True)
        except KafkaException as failure:
            self.handle_result(failure.args[0], [])

    def handle_result(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        """Handles the result of a commit. The client calls it within a poll."""
        if error is not None:
            self._reports.log_failed_commit(error)
        for partition in partitions:
            failure = partition.error or error
            if failure is None:
                self._sent.pop((partition.topic, partition.partition), None)
            else:
                self._reports.log_failed_commit(failure)
        self._read = {**self._sent, **self._read}
        self._sent = {}
        self._is_pending = False


def _offset_after(message: Message) -> TopicPartition:
    """Returns the offset after a record, at which the group continues."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    epoch = message.leader_epoch()
    if epoch is None:
        return TopicPartition(topic, partition, offset + 1)
    return TopicPartition(topic, partition, offset + 1, leader_epoch=epoch)
