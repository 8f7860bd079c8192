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
"""Seconds that closing waits for the client at most."""

_NEW_CLIENT_HELPS = {KafkaError._AUTHENTICATION, KafkaError._SSL}
"""It reads secrets and certificates again."""

_LAST_MILLISECOND = (2**63 - 1) // 1_000_000

_Event: TypeAlias = bytes | tuple[bytes, int]


class Member:
    """Reads the partitions that the group gives it.

    A commit follows a barrier and comes before the next poll, and only a poll gives partitions away: what is committed
    was taken by Falco, and is of partitions that this member has.

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
        self._reports = Reports(log, now)
        self._framing = Framing(config, self._reports)
        self._client_log = log.getChild("client")
        self._client_log.filters = [_is_told_once]

    def check(self) -> None:
        """Has the client check its settings, without connecting. Raises ``ValueError`` with the fault."""
        settings = self._config.client_settings()
        try:
            self._client(settings).close()
        except KafkaException as failure:
            raise ValueError(f"settings: {_without_values(failure.args[0].str(), settings)}") from None

    def consume(self, context: Context) -> Iterator[_Event | None]:
        """Yields events and barriers. Raises if only a new client can continue."""
        offsets = Offsets(self._config, self._reports)
        consumer = self._client(self._config.client_settings(), on_commit=offsets.answered)

        def assigned(_: Consumer, partitions: list[TopicPartition]) -> None:
            self._reports.partitions("assigned", partitions)

        def revoked(_: Consumer, partitions: list[TopicPartition]) -> None:
            offsets.drop(partitions)
            self._reports.partitions("revoked", partitions)

        def lost(_: Consumer, partitions: list[TopicPartition]) -> None:
            offsets.drop(partitions)
            self._reports.partitions("lost", partitions)

        try:
            consumer.subscribe(self._topics, on_assign=assigned, on_revoke=revoked, on_lost=lost)
            while not context.cancelled:
                message = consumer.poll(_POLL)
                if message is not None:
                    if error := message.error():
                        self._meet(error)
                    else:
                        yield from self._event(message)
                        offsets.add(message)
                if offsets.due:
                    yield None
                    offsets.commit(consumer)
        finally:
            self._reports.rest()
            consumer.close()

    def _client(self, settings: dict[str, str], **callbacks: Callable[..., None]) -> Consumer:
        return Consumer({**settings, **callbacks, "error_cb": self._meet}, logger=self._client_log)

    def _event(self, message: Message) -> Iterator[_Event]:
        value = message.value()
        if value is None:
            return  # A tombstone: its key is deleted, and there is nothing that could be an event.
        value = self._framing.remove(message, value)
        kind, milliseconds = message.timestamp()
        has_time = kind != TIMESTAMP_NOT_AVAILABLE and 0 <= milliseconds <= _LAST_MILLISECOND
        try:
            yield (value, milliseconds * 1_000_000) if has_time else value
        except EventTooLargeError:
            self._reports.too_large(message, len(value), self._config.event_size)

    def _meet(self, error: KafkaError) -> None:
        if error.fatal() or error.code() in _NEW_CLIENT_HELPS:
            raise KafkaException(error)
        if error.code() != KafkaError._PARTITION_EOF:
            self._reports.trouble(error)


def _is_told_once(line: logging.LogRecord) -> bool:
    """Whether no error comes with the client's line: a broker that is down fails many times a second."""
    return not line.getMessage().startswith("FAIL ")


def _without_values(text: str, settings: dict[str, str]) -> str:
    """Returns the client's message without values of settings: it quotes them, and any may be a secret by mistake."""
    # The longest first, so that "ssl" is not found in the name of ssl.ca.location.
    known = sorted(filter(None, [*settings, *settings.values()]), key=len, reverse=True)
    pattern = "|".join(re.escape(part) for part in known)
    return re.sub(rf"(?<!\w)(?:{pattern})(?!\w)", lambda found: found[0] if found[0] in settings else "…", text)
