"""Audit events out of the texts in which they come: one event, an ``EventList``, or an array of these."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Annotated, Any, TypeAlias

import msgspec

from .reports import Reports

Item: TypeAlias = tuple[bytes, datetime | None]
"""An event as it stands in the text, and its time."""

_LATEST = (2**64 - 2) / 1e9
"""Seconds since the epoch that a timestamp can have."""


class _Head(msgspec.Struct):
    kind: str
    items: list[msgspec.Raw] | None = None


class _Times(msgspec.Struct, rename="camel"):
    stage_timestamp: Any = None
    request_received_timestamp: Any = None


_text = msgspec.json.Decoder(_Head | list[msgspec.Raw])
_element = msgspec.json.Decoder(_Head)
_times = msgspec.json.Decoder(_Times)
_Time = Annotated[datetime, msgspec.Meta(tz=True)]


class Events:
    """Splits texts, and counts what is left out."""

    def __init__(self, max_size: int, reports: Reports) -> None:
        self._max_size = max_size
        self._reports = reports

    def of(self, text: bytes) -> list[Item]:
        """The events of a text.

        Raises:
            ValueError: it is no JSON, or has no audit events.
        """
        try:
            decoded = _text.decode(text)
        except msgspec.ValidationError:
            raise ValueError("JSON without audit events") from None
        except (ValueError, RecursionError):
            raise ValueError("no JSON") from None
        parts = self._of_elements(decoded) if isinstance(decoded, list) else _parts(text, decoded)
        return list(self._items(parts))

    def _of_elements(self, elements: list[msgspec.Raw]) -> Iterator[bytes]:
        for element in elements:
            try:
                yield from _parts(element, _element.decode(element))
            except (ValueError, RecursionError):
                self._reports.count("an element without audit events")

    def _items(self, parts: Iterable[bytes]) -> Iterator[Item]:
        for event in parts:
            if len(event) > self._max_size:
                self._reports.count("an event larger than maxEventSize")
                continue
            try:
                yield event, _time_of(event)
            except (ValueError, RecursionError):
                self._reports.count("an element without audit events")


def _parts(text: bytes, head: _Head) -> Sequence[bytes]:
    if head.kind == "Event":
        return [text]
    if head.kind == "EventList":
        # That they are of this kind is said by the list alone.
        return head.items or []
    raise ValueError("JSON without audit events")


def _time_of(event: bytes) -> datetime | None:
    times = _times.decode(event)
    for time in (times.stage_timestamp, times.request_received_timestamp):
        try:
            converted = msgspec.convert(time, _Time)
        except msgspec.ValidationError:
            continue
        # Go's zero time, of the year 1, is none.
        if 0 <= converted.timestamp() <= _LATEST:
            return converted
    return None
