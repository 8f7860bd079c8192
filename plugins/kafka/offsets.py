"""How far the partitions were read, and when that is committed."""

from __future__ import annotations

import time
from typing import TypeAlias

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from .config import Config
from .reports import Reports

_Partition: TypeAlias = tuple[str | None, int | None]


class Offsets:
    """The last record of each partition that is to be committed, and of each that is being committed.

    A commit is not waited for: where the broker that keeps the group's offsets is away it can take more than a minute,
    and the other brokers go on. One is on its way at a time. What fails goes with the next one.
    """

    def __init__(self, config: Config, reports: Reports) -> None:
        self._config = config
        self._reports = reports
        self._read: dict[_Partition, Message] = {}
        self._sent: dict[_Partition, Message] = {}
        self._is_sent = False
        self._records = 0
        self._committed_at = time.monotonic()

    def add(self, message: Message) -> None:
        """This record is an event now, or was passed over."""
        self._read[message.topic(), message.partition()] = message
        self._records += 1

    def drop(self, partitions: list[TopicPartition]) -> None:
        """Another member reads these partitions now, and begins at what was committed."""
        for partition in partitions:
            self._read.pop((partition.topic, partition.partition), None)
            self._sent.pop((partition.topic, partition.partition), None)

    @property
    def due(self) -> bool:
        """Whether it is time for a barrier, and for a commit after it."""
        if self._is_sent or not self._read:
            return False
        is_late = time.monotonic() - self._committed_at >= self._config.commit_interval
        return is_late or self._records >= self._config.commit_records

    def commit(self, consumer: Consumer) -> None:
        """Commits all that was read; to be called right after a barrier."""
        self._sent, self._read = self._read, {}
        self._is_sent = True
        self._records = 0
        self._committed_at = time.monotonic()
        try:
            consumer.commit(offsets=[_after(message) for message in self._sent.values()], asynchronous=True)
        except KafkaException as failure:
            self.answered(failure.args[0], [])

    def answered(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        """What became of the commit, as a poll tells it."""
        if error is not None:
            self._reports.commit_failed(error)
        for partition in partitions:
            failure = partition.error or error
            if failure is None:
                self._sent.pop((partition.topic, partition.partition), None)
            else:
                self._reports.commit_failed(failure)
        self._read = {**self._sent, **self._read}
        self._sent = {}
        self._is_sent = False


def _after(message: Message) -> TopicPartition:
    """Where the group goes on after a record."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    epoch = message.leader_epoch()
    if epoch is None:
        return TopicPartition(topic, partition, offset + 1)
    return TopicPartition(topic, partition, offset + 1, leader_epoch=epoch)
