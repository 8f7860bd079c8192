"""Removes the bytes that a serializer writes before a record's JSON."""

from __future__ import annotations

from confluent_kafka import Message

from .config import Config
from .reports import Reports

_CONFLUENT = 5
"""Bytes before the JSON of a record with a schema id: a 0 byte, and the id in 4 bytes."""


class Framing:
    """The framing of all records, as the configuration sets it.

    Args:
        config: of the plugin.
        reports: receives records that do not have the configured framing, and those that seem to have another one.
    """

    def __init__(self, config: Config, reports: Reports) -> None:
        self._is_confluent = config.framing == "confluent"
        self._reports = reports

    def remove(self, record: Message, value: bytes) -> bytes:
        """Returns the value of a record without its framing. A value that does not have it is returned unchanged."""
        has_framing = len(value) >= _CONFLUENT and value[0] == 0
        if not self._is_confluent:
            if has_framing and _looks_like_json(value[_CONFLUENT:]):
                self._reports.count_unexpected_framing(record)
            return value
        if not has_framing:
            self._reports.count_missing_framing(record)
            return value
        return value[_CONFLUENT:]


def _looks_like_json(value: bytes) -> bool:
    # Check only the brackets, because damaged JSON is JSON, too.
    text = value.strip(b" \t\r\n\0")
    return text[:1] + text[-1:] in {b"{}", b"[]"}
