"""Splits a body or a line into audit events: single events, and those of an ``EventList`` or an array.

Valid JSON is decoded. Any other input is split by its structure alone, so that a fault in one event, such as an unknown
escape, loses neither that event nor the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Annotated, Any, TypeAlias

import msgspec

from falco_plugin import Event, json_field
from falco_plugin.receiving import RejectionLog
from falco_plugin.source import split_json

Item: TypeAlias = tuple[bytes, datetime | None]
"""An event with its bytes unchanged, and its time."""

_LATEST = (2**64 - 2) / 1e9
"""Largest timestamp of an event, in seconds since the epoch."""
_NO_EVENTS = "has no audit events"
_NOT_JSON = "is not JSON"
_BAD_ELEMENT = "an element has no audit events"


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

# These read damaged documents. They are not attributes of the plugin's class, so they are not fields of the plugin.
_ROOT_KIND = json_field("ka.kind", "/kind", desc="Kind of the document")
_STAGE_TIME = json_field("ka.time.stage", "/stageTimestamp", type=datetime, desc="Time of the stage")
_REQUEST_TIME = json_field("ka.time.request", "/requestReceivedTimestamp", type=datetime, desc="Time of the request")
_HAS_EVENTS = re.compile(rb'"kind"[\x00-\x20]*:[\x00-\x20]*"Event(List)?"')

_BEGINNING = re.compile(rb"(?:[\x00-\x20]|\xef\xbb\xbf)*+(\{|\[[\x00-\x20]*[{\[\]])?")
_OBJECT = re.compile(rb'\{[\x00-\x20]*"')


class Events:
    """Splits input into events, and counts the parts that are rejected."""

    def __init__(self, max_size: int, rejections: RejectionLog) -> None:
        self._max_size = max_size
        self._rejections = rejections

    def split(self, text: bytes, *, lines: bool = False) -> list[Item]:
        """Returns the events of a body or a line.

        Args:
            text: one or more JSON documents, each of which may have a prefix, such as a node name or a header of klog.
            lines: whether each line has its own documents.

        Raises:
            ValueError: the text is not JSON or has no audit events. The message is a predicate without its subject.
        """
        if not (lines and b"\n" in text):
            try:
                return list(self._items(self._split_json(text, _text.decode(text))))
            except (ValueError, RecursionError):
                pass
        return list(self._items(self._split_documents(text, lines)))

    def _split_json(self, text: bytes, decoded: _Head | list[msgspec.Raw]) -> Sequence[bytes]:
        if not isinstance(decoded, list):
            return _parts(text, decoded)
        return [part for element in decoded for part in self._split_element(element)]

    def _split_element(self, element: msgspec.Raw) -> Sequence[bytes]:
        try:
            return _parts(bytes(element), _element.decode(element))
        except (ValueError, RecursionError):
            self._rejections.count(_BAD_ELEMENT)
            return []

    def _split_documents(self, text: bytes, lines: bool) -> list[bytes]:
        documents = list(_documents(text, lines))
        found = [_parts_of_document(document) for document in documents]
        others = found.count(None)
        if others == len(found):
            raise ValueError(_NO_EVENTS if any(map(_is_container, documents)) else _NOT_JSON)
        for _ in range(others):
            self._rejections.count(_BAD_ELEMENT)
        return [part for parts in found for part in parts or ()]

    def _items(self, parts: Iterable[bytes]) -> Iterator[Item]:
        for event in parts:
            if len(event) > self._max_size:
                self._rejections.count("an event is larger than maxEventSize")
            elif event.startswith(b"{"):
                yield event, _time_of(event)
            else:
                self._rejections.count(_BAD_ELEMENT)


def _parts(text: bytes, head: _Head) -> Sequence[bytes]:
    # If a key occurs twice, msgspec uses the last value and the fields of rules use the first.
    kind = _ROOT_KIND(Event(text))
    if kind == "Event":
        return [text.strip()]
    if kind == "EventList":
        # Items need not have a kind: the list declares it for all of them.
        if head.items:
            return [bytes(item) for item in head.items]
        # The list has no items, or the key `items` occurs twice and the first value counts.
        return [item for item in split_json(text, items="items") if item != text.strip()]
    raise ValueError(_NO_EVENTS)


def _documents(text: bytes, lines: bool) -> Iterator[bytes]:
    start, has_prefix = _beginning(text)
    # If one line has a prefix, all of them are lines of a log.
    for record in split_json(text[start:], lines=lines or has_prefix):
        if _is_container(record):
            yield record
        else:
            yield from split_json(record[_beginning(record)[0] :])


def _beginning(text: bytes) -> tuple[int, bool]:
    """Returns the offset of the first document in a text, and whether anything but white space precedes it."""
    beginning = _BEGINNING.match(text)
    if beginning is not None and beginning[1]:
        return beginning.start(1), False
    found = _OBJECT.search(text)
    return (0, False) if found is None else (found.start(), True)


def _is_container(document: bytes) -> bool:
    return document.startswith((b"{", b"["))


def _parts_of_document(document: bytes) -> Sequence[bytes] | None:
    """Returns the events of a document, which may be damaged, or ``None`` if it has none."""
    try:
        head = _element.decode(document)
    except msgspec.ValidationError:
        return None
    except (ValueError, RecursionError):
        return _parts_of_damaged(document)
    try:
        return _parts(document, head)
    except ValueError:
        return None


def _parts_of_damaged(document: bytes) -> Sequence[bytes] | None:
    kind = _ROOT_KIND(Event(document))
    # If a fault precedes the member `kind`, the member is not found. Then search the bytes.
    if kind not in {"Event", "EventList", None} or (kind is None and not _HAS_EVENTS.search(document)):
        return None
    return [document] if kind == "Event" else split_json(document, items="items")


def _time_of(event: bytes) -> datetime | None:
    for time in _times_of(event):
        # Go's zero time, in the year 1, means that there is no time.
        if time is not None and 0 <= time.timestamp() <= _LATEST:
            return time
    return None


def _times_of(event: bytes) -> Iterator[datetime | None]:
    try:
        times = _times.decode(event)
    except (ValueError, RecursionError):
        damaged = Event(event)
        yield _STAGE_TIME(damaged)
        yield _REQUEST_TIME(damaged)
        return
    for time in (times.stage_timestamp, times.request_received_timestamp):
        if time is None:
            continue
        try:
            yield msgspec.convert(time, _Time)
        except msgspec.ValidationError:
            continue
