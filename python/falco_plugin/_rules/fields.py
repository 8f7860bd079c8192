"""The fields that rules of each event source can use: those of plugins, and Falco's own for events of plugins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

STRING, NUMBER, BOOLEAN = "string", "uint64", "bool"
DURATION, TIME = "reltime", "abstime"
ADDRESS, NETWORK = "ipaddr", "ipnet"
FALCO_FIELDS: Mapping[str, str] = {
    "evt.num": NUMBER,
    "evt.time": STRING,
    "evt.time.s": STRING,
    "evt.time.iso8601": STRING,
    "evt.datetime": STRING,
    "evt.datetime.s": STRING,
    "evt.rawtime": TIME,
    "evt.rawtime.s": TIME,
    "evt.rawtime.ns": TIME,
    "evt.reltime": DURATION,
    "evt.reltime.s": DURATION,
    "evt.reltime.ns": DURATION,
    "evt.pluginname": STRING,
    "evt.plugininfo": STRING,
    "evt.source": STRING,
    "evt.is_async": BOOLEAN,
    "evt.asynctype": STRING,
    "evt.hostname": STRING,
}
"""Falco's own fields for events of each source, with their types."""


@dataclass(frozen=True)
class FieldType:
    """The type of a field or of a function's result."""

    kind: str
    is_list: bool = False

    def __str__(self) -> str:
        names = {NUMBER: "number", BOOLEAN: "boolean", DURATION: "duration", TIME: "time"}
        names |= {ADDRESS: "IP address", NETWORK: "IP network"}
        name = names.get(self.kind, self.kind)
        if self.is_list:
            return f"a list of {name}es" if name.endswith("s") else f"a list of {name}s"
        return f"an {name}" if name.startswith("I") else f"a {name}"


@dataclass(frozen=True)
class KnownField:
    """A field, and the argument that it takes in brackets."""

    name: str
    type: FieldType
    takes_index: bool = False
    takes_key: bool = False
    is_required: bool = False
    """Whether the argument must be there."""

    @property
    def takes_argument(self) -> bool:
        """Whether the field takes an argument."""
        return self.takes_index or self.takes_key


@dataclass(frozen=True)
class Plugin:
    """A plugin that is given: its name and version, the source of its events, and its fields."""

    name: str
    version: str
    source: str | None
    """The source of its events; ``None`` for a plugin that only extracts."""
    extracts_from: frozenset[str]
    """The sources whose events have its fields; empty for all."""
    fields: tuple[KnownField, ...]

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> Plugin:
        """Returns the plugin that ``falco-plugin info --json`` describes."""
        return cls(
            info["name"],
            info["version"],
            info["event_source"],
            frozenset(info["extract_event_sources"]),
            tuple(_known_field(field) for field in info["fields"]),
        )

    def has_fields_for(self, source: str) -> bool:
        """Returns whether events of a source have the plugin's fields."""
        sources = self.extracts_from or frozenset(filter(None, (self.source,)))
        return bool(self.fields) and (not sources or source in sources)


def _known_field(entry: Mapping[str, Any]) -> KnownField:
    argument = entry.get("arg") or {}
    return KnownField(
        entry["name"],
        FieldType(entry["type"], bool(entry.get("isList"))),
        bool(argument.get("isIndex")),
        bool(argument.get("isKey")),
        bool(argument.get("isRequired")),
    )


class Sources:
    """The event sources of the given plugins, and the fields of their events."""

    lacks_plugins = False
    """Whether the rules require plugins that are not given, whose fields are not known."""

    def __init__(self, plugins: Iterable[Plugin]) -> None:
        self.plugins = tuple(plugins)
        self._fields: dict[str, Mapping[str, KnownField]] = {}

    @property
    def names(self) -> list[str]:
        """The sources whose events the plugins make."""
        return [plugin.source for plugin in self.plugins if plugin.source is not None]

    def is_complete(self, source: str) -> bool:
        """Returns whether all fields of a source are known: whether the plugin that makes its events is given."""
        return source in self.names

    def fields(self, source: str) -> Mapping[str, KnownField]:
        """Returns the known fields of events of a source."""
        if source not in self._fields:
            found = {
                field.name: field for plugin in self.plugins if plugin.has_fields_for(source) for field in plugin.fields
            }
            found |= {name: KnownField(name, FieldType(kind)) for name, kind in FALCO_FIELDS.items()}
            self._fields[source] = found
        return self._fields[source]

    def owners(self, name: str) -> list[str]:
        """Returns the sources whose events have a field of a plugin."""
        sources = {source for plugin in self.plugins for source in (plugin.source, *plugin.extracts_from) if source}
        return sorted(source for source in sources if name not in FALCO_FIELDS and name in self.fields(source))
