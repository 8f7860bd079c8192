"""A member of a consumer group."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from typing import TypeAlias

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, KafkaError, KafkaException, Message, TopicPartition

from falco_plugin import Context
from falco_plugin.source import EventTooLargeError

from .config import Config
from .framing import Framing
from .offsets import Offsets
from .reports import Reports

_POLL = 0.1
"""Seconds that one poll of the client takes at most. Closing waits as long."""

_SOLVED_BY_NEW_CLIENT = {KafkaError._AUTHENTICATION, KafkaError._SSL}
"""Errors after which a new client is created, because it reads secrets and certificates again."""

_LAST_MILLISECOND = (2**63 - 1) // 1_000_000

_Event: TypeAlias = bytes | tuple[bytes, int]


class Member:
    """Reads the partitions that the group assigns to this member.

    A commit follows a barrier, and precedes the next poll. Partitions are revoked only within a poll. Therefore each
    committed record was processed by Falco, and belongs to a partition of this member.

    Args:
        topics: to read.
        config: of the plugin.
        log: of the plugin.
        now: returns the time in seconds, from any start.
    """

    def __init__(
        self, topics: list[str], config: Config, log: logging.Logger, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._topics = topics
        self._config = config
        self._now = now
        self._reports = Reports(log, now)
        self._framing = Framing(config, self._reports)
        self._client_log = log.getChild("client")
        self._client_log.filters = [_is_not_reported_twice]

    def check(self) -> None:
        """Checks the settings without connecting.

        Raises:
            ValueError: the client rejects a setting, or a secret cannot be read.
        """
        settings = self._config.client_settings()
        try:
            self._client(settings).close()
        except KafkaException as failure:
            raise ValueError(f"settings: {_without_values(failure.args[0].str(), settings)}") from None

    def consume(self, context: Context) -> Iterator[_Event | None]:
        """Yields events, and ``None`` as barriers.

        Raises:
            KafkaException: only a new client can continue.
        """
        offsets = Offsets(self._config, self._reports, self._now)
        consumer = self._client(self._config.client_settings(), on_commit=offsets.handle_result)

        def assigned(_: Consumer, partitions: list[TopicPartition]) -> None:
            self._reports.log_partitions("assigned", partitions)

        def revoked(_: Consumer, partitions: list[TopicPartition]) -> None:
            offsets.drop(partitions)
            self._reports.log_partitions("revoked", partitions)

        def lost(_: Consumer, partitions: list[TopicPartition]) -> None:
            offsets.drop(partitions)
            self._reports.log_partitions("lost", partitions)

        try:
            consumer.subscribe(self._topics, on_assign=assigned, on_revoke=revoked, on_lost=lost)
            while not context.cancelled:
                message = consumer.poll(_POLL)
                if message is not None:
                    if error := message.error():
                        self._handle_error(error)
                    else:
                        yield from self._event(message)
                        offsets.add(message)
                if offsets.is_due:
                    yield None
                    offsets.commit(consumer)
        finally:
            self._reports.report_pending()
            consumer.close()

    def _client(self, settings: dict[str, str], **callbacks: Callable[..., None]) -> Consumer:
        return Consumer({**settings, **callbacks, "error_cb": self._handle_error}, logger=self._client_log)

    def _event(self, message: Message) -> Iterator[_Event]:
        value = message.value()
        if value is None:
            return  # a tombstone, which deletes its key
        value = self._framing.remove(message, value)
        kind, milliseconds = message.timestamp()
        has_time = kind != TIMESTAMP_NOT_AVAILABLE and 0 <= milliseconds <= _LAST_MILLISECOND
        try:
            yield (value, milliseconds * 1_000_000) if has_time else value
        except EventTooLargeError:
            self._reports.count_oversized(message, len(value), self._config.event_size)

    def _handle_error(self, error: KafkaError) -> None:
        if error.fatal() or error.code() in _SOLVED_BY_NEW_CLIENT:
            raise KafkaException(error)
        if error.code() != KafkaError._PARTITION_EOF:
            self._reports.log_client_error(error)


def _is_not_reported_twice(line: logging.LogRecord) -> bool:
    """Drops lines of failed connections, which occur many times a second. The error callback reports them, too."""
    return not line.getMessage().startswith("FAIL ")


def _without_values(text: str, settings: dict[str, str]) -> str:
    """Returns the client's message without the values of settings, because any of them may be a secret by mistake."""
    # Search the longest first, so that the value "ssl" is not found in the name ssl.ca.location.
    known = sorted(filter(None, [*settings, *settings.values()]), key=len, reverse=True)
    pattern = "|".join(re.escape(part) for part in known)
    return re.sub(rf"(?<!\w)(?:{pattern})(?!\w)", lambda found: found[0] if found[0] in settings else "…", text)
