"""Splits a file of CloudTrail into its records."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec

from falco_plugin import Event, json_field
from falco_plugin.source import split_json

from .inflate import inflate

_log = logging.getLogger("cloudtrail")

_DIGEST_FOLDER = "CloudTrail-Digest"
_INSIGHT = "AwsCloudTrailInsight"
_USUAL_END = b"]}"
"""The end of each log file that AWS writes."""

_Records: TypeAlias = list[tuple[bytes, int | None]]
"""Records with their times in nanoseconds since the epoch; ``None`` if ``eventTime`` is not readable."""

# This is not an attribute of the plugin's class, so it is not a field of the plugin.
_TYPE = json_field("ct.eventtype", "/eventType", desc="Type of the record")


class RecordsError(ValueError):
    """A file cannot be read, or not to its end. The message has its name, the cause and a remedy."""


class _File(msgspec.Struct):
    records: list[msgspec.Raw] | None = msgspec.field(default=None, name="Records")
    digest_start: Any = msgspec.field(default=None, name="digestStartTime")


_file = msgspec.json.Decoder(_File)


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
    records, fault = _read_file(data, name)
    others = large = untimed = 0
    for record, event_time in records:
        if event_time is None and not record.startswith(b"{"):
            others += 1
        elif len(record) > event_size:
            large += 1
        elif event_time is None:
            untimed += 1
            yield record, time.time_ns()
        else:
            yield record, event_time
    if others:
        _log.warning("%s: elements of Records that are not objects were skipped: %d", name, others)
    if large:
        _log.warning("%s: records larger than %d bytes were skipped: %d: raise maxEventSize", name, event_size, large)
    if untimed:
        _log.warning("%s: records without a readable eventTime have the current time: %d", name, untimed)
    if fault:
        raise RecordsError(f"{name}: {fault}")


def _read_file(data: bytes, name: str) -> tuple[_Records, str | None]:
    """Returns the records without Insights events, and the fault of damaged gzip data."""
    content, fault = inflate(data)
    records = split_json(content, items="Records", timestamp="/eventTime")
    # A document without an array of records is not split.
    if not records or records[0][0] == content or b'"Records"' not in content:
        _check_empty(content, name, fault)
        return [], fault
    if fault is None and not content.rstrip().endswith(_USUAL_END):
        try:
            _file.decode(content)
        except (ValueError, RecursionError) as error:
            _log.warning("%s: is damaged, and its records are read as far as possible: %s", name, error)
    # CloudTrail writes Insights events into separate files, so the first record shows whether there are any.
    if _is_insight(records[0][0]):
        records = [(record, event_time) for record, event_time in records if not _is_insight(record)]
    return records, fault


def _is_insight(record: bytes) -> bool:
    return _TYPE(Event(record)) == _INSIGHT


def _check_empty(content: bytes, name: str, fault: str | None) -> None:
    """Raises `RecordsError` for content in which no records were found, unless it is right that it has none."""
    try:
        file = _file.decode(content)
    except (ValueError, RecursionError) as error:
        raise RecordsError(f"{name}: has no readable Records: {fault or error}") from None
    if file.records:
        raise RecordsError(f"{name}: has no readable Records: the name is written twice, or with escapes")
    if file.records is None and file.digest_start is None:
        raise RecordsError(f"{name}: has no Records: only log files of CloudTrail can be read")
