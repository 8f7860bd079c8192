"""Replaces the events of a plugin's source by events that a test has written."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

from falco_plugin._build import target as targets
from falco_plugin._core import Event
from falco_plugin._declare import plugin_ids
from falco_plugin._falco.errors import FalcoError
from falco_plugin._runtime import archive

WrittenEvent: TypeAlias = Mapping[str, Any] | list[Any] | str | bytes | Event | tuple[Any, int | datetime]
"""A payload, or a pair of a payload and its time in nanoseconds or as a ``datetime``. A mapping or list is JSON."""

STAND_IN = "written-events"
"""The name of the plugin that makes the events of a plugin that only extracts."""
_MODULE = "falco_plugin_written_events"
_EPOCH = datetime.fromtimestamp(0, UTC)

_OPEN = '''
import base64


def events(path):
    """Yields the events of the file that the test has written."""
    with open(path, "rb") as file:
        for line in file:
            time, _, payload = line.partition(b" ")
            data = base64.b64decode(payload)
            yield (data, int(time)) if time else data
'''
_REPLACED = (
    _OPEN
    + '''

def make():
    """Makes the plugin, and replaces its source."""
    from {module} import {name} as make

    plugin = make()
    plugin.open = events
    return plugin
'''
)
_SOURCE = (
    _OPEN
    + '''

from falco_plugin import Plugin


class WrittenEvents(Plugin):
    """Events that a test has written"""

    name = {name!r}
    id = {id}
    event_source = {source!r}

    def open(self, params):
        return events(params)
'''
)


def replace_source(target: targets.Target) -> targets.Target:
    """Returns a target whose source reads the events of the file that is its open params. All else stays."""
    module, _, name = target.entry.partition(":")
    files = dict(archive.unpack(target.archive))
    files[f"{_MODULE}.py"] = _REPLACED.format(module=module, name=name).encode()
    return dataclasses.replace(target, archive=archive.pack(files), entry=f"{_MODULE}:make")


def load_source(source: str, folder: Path) -> targets.Target:
    """Returns a plugin that makes the events of a file for an event source. It is written into a folder."""
    path = folder / f"{_MODULE}.py"
    path.write_text(_SOURCE.format(name=STAND_IN, id=plugin_ids.private_id(STAND_IN), source=source))
    return targets.load(str(path))


def write(path: Path, events: Iterable[WrittenEvent]) -> None:
    """Writes the file that the replaced source reads.

    Raises:
        TypeError: an event is something else.
    """
    with path.open("wb") as file:
        for event in events:
            data, time = _payload_and_time(event)
            file.write(b"%s %s\n" % (b"" if time is None else b"%d" % time, base64.b64encode(data)))


def write_records(path: Path, events: Iterable[WrittenEvent]) -> None:
    """Writes a recording of events, which ``falco-plugin run --replay`` reads.

    Raises:
        TypeError: an event is something else.
    """
    with path.open("w", encoding="ascii") as file:
        for event in events:
            data, time = _payload_and_time(event)
            record = {"timestamp": time, "data_base64": base64.b64encode(data).decode()}
            file.write(f"{json.dumps(record)}\n")


def payload_of(event: object) -> bytes:
    """Returns the payload of an event.

    Raises:
        TypeError: it is not one.
    """
    match event:
        case str():
            return event.encode()
        case bytes() | bytearray() | memoryview():
            return bytes(event)
        case Event():
            return event.data
        case Mapping() | list():
            return json.dumps(event, ensure_ascii=False, separators=(", ", ": ")).encode()
        case _:
            raise TypeError(
                "an event must be a mapping or list, which becomes JSON, a str, bytes, an Event, or a pair of one and "
                f"its time, not {type(event).__name__}"
            )


def nanoseconds_of(time: object) -> int:
    """Returns a time in nanoseconds since the epoch.

    Raises:
        TypeError: it is not a time.
    """
    match time:
        case bool():
            pass
        case int():
            return time
        case datetime(tzinfo=zone) if zone is not None:
            return (time - _EPOCH) // timedelta(microseconds=1) * 1000
        case _:
            pass
    raise TypeError(f"the time of an event must be nanoseconds or an aware datetime, not {time!r}")


def _payload_and_time(event: WrittenEvent) -> tuple[bytes, int | None]:
    if isinstance(event, tuple) and len(event) == 2:
        return payload_of(event[0]), nanoseconds_of(event[1])
    if isinstance(event, Event):
        return event.data, event.timestamp or None
    return payload_of(event), None


def source_for(sources: Iterable[str], source: str | None) -> str:
    """Returns the event source for a plugin that only extracts: the one that was named, or its first.

    Raises:
        FalcoError: the plugin extracts from every source, and none was named.
    """
    chosen = source or next(iter(sources), None)
    if chosen is None:
        raise FalcoError("the plugin extracts fields from the events of every source: name the source of the events")
    return chosen
