"""The result of a run: events, log, and how the source ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from falco_plugin._core import AsyncEvent
from falco_plugin._declare.words import counted
from falco_plugin.errors import PluginError
from falco_plugin.testing.extracted import ExtractedEvent


class RunError(PluginError):
    """The source failed, or did not end or make enough events in time. The message contains the plugin's log."""


@dataclass(frozen=True)
class LogLine:
    """A line of the plugin's log."""

    severity: str
    """``fatal``, ``critical``, ``error``, ``warning``, ``notice``, ``info``, ``debug`` or ``trace``."""
    text: str
    """The message."""
    plugin: str = field(default="", compare=False)
    """The name of the plugin that logged the line; empty if the host logged it."""


class ReceivedAsyncEvent(NamedTuple):
    """An async event that the host has taken from its queue."""

    name: str
    """The name."""
    data: bytes
    """The payload."""
    number: int
    """The number of the event. The events of the source are counted too."""
    timestamp: int
    """The time in nanoseconds since the epoch."""
    source: str
    """The event source that was open."""
    fields: Mapping[str, Any]
    """The values of the extracted fields, as :attr:`ExtractedEvent.fields` has them. A field is absent unless its
    plugin lists ``asyncevent`` in ``extract_event_types``, or the open source is ``syscall``."""


@dataclass(frozen=True)
class TableEntry:
    """An entry of a state table at the end of a run."""

    key: int | None
    """The key; ``None`` if the table is one of a plugin, because the plugin API does not pass its keys."""
    fields: Mapping[str, Any]
    """The values of all fields. A sub-table is a list of entries, each a dictionary with ``key`` and ``fields``."""


@dataclass(frozen=True)
class Run:
    """The result of a run."""

    events: list[ExtractedEvent] = field(repr=False)
    """All events in order."""
    texts: list[str] = field(repr=False)
    """The text of each event, which ``event_to_string`` returned."""
    log: list[LogLine]
    """The plugin's log."""
    result: str
    """How the run ended: ``eof``, ``limit``, ``failure``, ``interrupted`` (by ``stop``), ``timeout`` or ``killed``."""
    error: str | None
    """The error of the source, or the reason why it did not run; ``None`` if there was none."""
    metrics: Mapping[str, float] = field(default_factory=dict, repr=False, compare=False)
    """The metrics of all plugins after the close, under the names that Falco gives them:
    ``<plugin>.<metric>``. Empty if the source was not open, or if the host was killed."""
    async_events: list[ReceivedAsyncEvent] = field(default_factory=list, repr=False)
    """All async events in the order in which the host took them from its queue."""
    state: list[AsyncEvent] = field(default_factory=list, repr=False)
    """The events of ``dump_state`` at the end of the run, if ``dump_state`` was set."""
    tables: Mapping[str, Sequence[TableEntry]] = field(default_factory=dict, repr=False)
    """The entries of the tables that were named, at the end of the run."""

    def __str__(self) -> str:
        text = f"{self.result} after {counted(len(self.events), 'event')}"
        if self.async_events:
            text += f" and {counted(len(self.async_events), 'async event')}"
        if self.error is not None:
            text += f": {self.error}"
        if self.log:
            text += "\n\nThe plugin's log:\n" + "".join(f"[{line.severity}] {line.text}\n" for line in self.log)
        return text
