"""Splits a file of CloudTrail into its records."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from falco_plugin import Event, json_field
from falco_plugin.source import parse_timestamp, split_json

from .inflate import inflate

_log = logging.getLogger("cloudtrail")

_DIGEST_FOLDER = "CloudTrail-Digest"
_INSIGHT = "AwsCloudTrailInsight"


class RecordsError(ValueError):
    """A file cannot be read, or not to its end. The message has its name, the cause and a remedy."""


class _File(msgspec.Struct):
    records: list[msgspec.Raw] | None = msgspec.field(default=None, name="Records")
    digest_start: Any = msgspec.field(default=None, name="digestStartTime")


class _Head(msgspec.Struct, rename="camel", gc=False):
    event_time: str | None = None
    event_type: str | None = None


class _Heads(msgspec.Struct):
    records: list[_Head] = msgspec.field(name="Records")


_file = msgspec.json.Decoder(_File)
_heads = msgspec.json.Decoder(_Heads)

# These read damaged records. They are not attributes of the plugin's class, so they are not fields of the plugin.
_TIME = json_field("ct.time", "/eventTime", desc="Time of the record")
_TYPE = json_field("ct.eventtype", "/eventType", desc="Type of the record")


def read_records(data: bytes, name: str, event_size: int) -> Iterator[tuple[bytes, int]]:
    """Yields the records of a file, each with its bytes unchanged and its time in nanoseconds since the epoch.

    Digest files, which ``name`` or the content reveals, have no records. Insight events are left out, as the official
    plugin does. Records that are larger than ``event_size`` or are not objects are skipped, and logged with their
    number. A record without a readable ``eventTime`` has the time at which it is read. A fault in the JSON costs at
    most the record that contains it.

    Args:
        data: the content, gzip or not.
        name: the path or the key, for messages.
        event_size: bytes of the largest record.

    Raises:
        RecordsError: the content is not a file of CloudTrail, or is damaged. The records before the fault are yielded
            first.
    """
    if _DIGEST_FOLDER in name:
        return
    content, fault = inflate(data)
    times = _Times()
    large = 0
    for record, event_time, event_type in _split(content, name, fault):
        if len(record) > event_size:
            large += 1
        elif event_type != _INSIGHT:
            yield record, times[event_time]
    if large:
        _log.warning("%s: records larger than %d bytes were skipped: %d: raise maxEventSize", name, event_size, large)
    if times.unreadable:
        _log.warning("%s: records without a readable eventTime have the current time: %d", name, times.unreadable)
    if fault:
        raise RecordsError(f"{name}: {fault}")


def _split(content: bytes, name: str, fault: str | None) -> Iterable[tuple[bytes, str | None, str | None]]:
    """Returns each record with the values of ``eventTime`` and ``eventType``."""
    try:
        file = _file.decode(content)
        heads = [] if file.records is None else _heads.decode(content).records
    except (ValueError, RecursionError) as error:
        return _split_damaged(content, name, fault, str(error))
    if file.records is not None:
        return ((bytes(raw), head.event_time, head.event_type) for raw, head in zip(file.records, heads, strict=True))
    if file.digest_start is None:
        raise RecordsError(f"{name}: has no Records: only log files of CloudTrail can be read")
    return ()


def _split_damaged(
    content: bytes, name: str, fault: str | None, problem: str
) -> Iterable[tuple[bytes, str | None, str | None]]:
    """Returns the records of a document that is not valid JSON, which are split by its structure alone."""
    records = split_json(content, items="Records")
    if b'"Records"' not in content or records in ([], [content.strip()]):
        raise RecordsError(f"{name}: has no readable Records: {fault or problem}")
    if fault is None:
        _log.warning("%s: is damaged, and its records are read as far as possible: %s", name, problem)
    events = [Event(record) for record in records if record.startswith(b"{")]
    if others := len(records) - len(events):
        _log.warning("%s: elements of Records that are not objects were skipped: %d", name, others)
    return ((event.data, _TIME(event), _TYPE(event)) for event in events)


class _Times(dict[str | None, int]):
    """The times of records in nanoseconds since the epoch. A file has few different ones, so each is parsed once."""

    unreadable = 0

    def __missing__(self, event_time: str | None) -> int:
        """Returns the time, or the current one if it is not readable."""
        try:
            parsed = parse_timestamp(event_time or "").nanoseconds
        except ValueError:
            self.unreadable += 1
            return time.time_ns()
        self[event_time] = parsed
        return parsed
