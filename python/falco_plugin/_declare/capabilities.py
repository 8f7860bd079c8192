"""The capabilities of a plugin object, after all checks that Falco or this SDK makes of a plugin."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

from falco_plugin import _core
from falco_plugin._declare import attributes, fields, methods
from falco_plugin._declare.config_class import config_class
from falco_plugin._declare.registry import is_source
from falco_plugin.errors import PluginError
from falco_plugin.fields import TableField

if TYPE_CHECKING:
    from falco_plugin._declare.async_events import AsyncEvents
    from falco_plugin._declare.metrics import Metric
    from falco_plugin._declare.parsing import ParseMethod
    from falco_plugin._declare.tables import PluginTable

COMPUTED_GAUGE = "__falco_gauge__"
"""The attribute of a method that holds the declaration of a computed gauge."""
_SYSCALL = "syscall"


class Capabilities(NamedTuple):
    """The capabilities of a plugin, as its library declares them."""

    is_source: bool
    """Whether the plugin is an event source."""
    fields: list[fields.Field]
    """The fields that the plugin extracts."""
    extract_event_sources: Sequence[str]
    """The event sources whose events have these fields. If empty: its own source, or every source if it has none."""
    config: type | None
    """The class of the plugin's configuration; ``None`` if the configuration is a ``str``."""
    metrics: list[Metric]
    """The metrics that the plugin declares."""
    async_events: AsyncEvents | None
    """The async events that the plugin sends; ``None`` if there are none."""
    listens: bool
    """Whether the plugin listens to captures."""
    tables: Sequence[PluginTable]
    """The tables that the plugin declares."""
    extract_event_types: Sequence[str] | None
    """The names of the events that have the fields; empty for events of every type, ``None`` for events of plugins."""
    parse_methods: Sequence[ParseMethod]
    """The methods that parse events, in the order in which they run."""


def check(plugin: Any) -> Capabilities:
    """Checks a plugin and returns its capabilities.

    Raises:
        PluginError: Falco, or this SDK, does not accept the plugin.
    """
    for problem in attributes.problems(plugin):
        raise PluginError(problem)
    name = attributes.class_name(plugin)
    for method, problem in (*methods.problems(plugin), *_problems_of_async_events(plugin)):
        error = PluginError(f"{name}.{method}{problem}")
        setattr(error, fields.ATTRIBUTE, method)
        raise error
    declared = fields.declared_by(plugin)
    sources = getattr(plugin, "extract_event_sources", ())
    async_events = _async_events(plugin)
    parse_methods = list(_parse_methods(plugin, name, async_events.names if async_events else ()))
    is_used = is_source(plugin) or bool(declared or parse_methods) or async_events is not None
    for problem in _source_problems(plugin, declared, sources, is_used=is_used):
        raise PluginError(f"{name}{problem}")
    tables = _tables_of(type(plugin))
    if tables and not (declared or parse_methods):
        raise PluginError(
            f"{name} declares the table {tables[0].declaration.name}, but hosts pass tables only to plugins that have "
            "fields or parse events: declare a field, or a method with @parse"
        )
    config = config_class(type(plugin))
    event_types = _extract_event_types(plugin, name, declared, sources)
    _check_fields_of_threads(plugin, name, sources, event_types)
    return Capabilities(
        is_source(plugin),
        declared,
        tuple(sources),
        config,
        _metrics_of(plugin),
        async_events,
        _listens(plugin),
        tables,
        event_types,
        parse_methods,
    )


def _tables_of(cls: type) -> Sequence[PluginTable]:
    # A plugin that declares a table has imported this module. Most plugins have none.
    if "falco_plugin.tables" not in sys.modules:
        return ()
    from falco_plugin._declare.tables import declared_by

    return declared_by(cls)


def _metrics_of(plugin: object) -> list[Metric]:
    """Returns the metrics that the plugin declares."""
    values = (value for base in type(plugin).__mro__ for value in vars(base).values())
    if not any(
        isinstance(value, _core.Counter | _core.Gauge)
        or (isinstance(value, FunctionType) and hasattr(value, COMPUTED_GAUGE))
        for value in values
    ):
        return []
    # Most plugins declare none, and do not need this module.
    from falco_plugin._declare.metrics import declared_by

    return declared_by(plugin)


def _has_async_events(plugin: object) -> bool:
    # The module has the decorator, so a plugin without it has no such methods.
    return "falco_plugin.sending" in sys.modules or getattr(plugin, "dump_state", None) is not None


def _problems_of_async_events(plugin: Any) -> Iterator[tuple[str, str]]:
    if _has_async_events(plugin):
        from falco_plugin._declare import async_events

        yield from async_events.problems(plugin)


def _async_events(plugin: Any) -> AsyncEvents | None:
    if not _has_async_events(plugin):
        return None
    from falco_plugin._declare import async_events

    return async_events.declared_by(plugin, event_source=plugin.event_source if is_source(plugin) else "")


def _listens(plugin: object) -> bool:
    return any(getattr(plugin, name, None) is not None for name in ("capture_open", "capture_close"))


def _parse_methods(plugin: Any, name: str, async_events: Sequence[str]) -> Iterator[ParseMethod]:
    if "falco_plugin.parsing" not in sys.modules:
        return
    from falco_plugin._declare.parsing import methods_of

    for attribute, method in methods_of(plugin, async_events):
        if isinstance(method, str):
            error = PluginError(f"{name}.{attribute}: {method}")
            setattr(error, fields.ATTRIBUTE, attribute)
            raise error
        yield method


def _extract_event_types(
    plugin: Any, name: str, declared: list[fields.Field], sources: Sequence[str]
) -> Sequence[str] | None:
    """Returns the names of the events that have the plugin's fields."""
    names = getattr(plugin, "extract_event_types", ())
    if isinstance(names, Sequence) and not names:
        return () if _SYSCALL in sources else None
    from falco_plugin._declare import events

    try:
        events.check_list("extract_event_types", names)
        for event in names:
            events.check(event)
    except PluginError as error:
        raise PluginError(f"{name}: {error}") from None
    if not declared:
        raise PluginError(f"{name} has extract_event_types but no fields to extract: remove it, or declare fields")
    return tuple(names)


def _check_fields_of_threads(plugin: Any, name: str, sources: Sequence[str], event_types: Sequence[str] | None) -> None:
    """Refuses a field whose key is the id of the event's thread, if no event of the plugin's fields has a thread."""
    if _SYSCALL in sources or (not sources and event_types is not None):
        return
    for attribute, value, declaration in fields.declarations(type(plugin)):
        if not isinstance(value, TableField) or value.key is not None:
            continue
        others = sources or ([plugin.event_source] if is_source(plugin) else [])
        wanted = ", ".join(repr(source) for source in (*others, _SYSCALL))
        error = PluginError(
            f"field {declaration.name}: its key is the id of the event's thread, which only system calls have, but "
            f"{name} has no fields of system calls: add extract_event_sources = ({wanted}{'' if others else ','}), "
            "or set key to the field that has the key"
        )
        setattr(error, fields.ATTRIBUTE, attribute)
        raise error


def _source_problems(plugin: Any, declared: list[fields.Field], sources: object, *, is_used: bool) -> Iterator[str]:
    """Yields what is wrong with the plugin's event sources. Each continues a message that begins with its class."""
    if not is_used and _listens(plugin):
        yield (
            " only listens to captures, and Falco ends when it loads such a plugin: give it async events, fields or an "
            "event source too"
        )
    elif not is_used:
        yield (
            " has no capability: define open(self, params) to make it an event source, fields to extract from events, "
            "methods with @parse to parse events, or async events to send"
        )
    if isinstance(sources, str) or not isinstance(sources, Sequence):
        yield f": extract_event_sources must be a tuple of names, not {type(sources).__name__}"
        return
    for name in sources:
        if not attributes.is_event_source(name) and name != _SYSCALL:
            yield (
                f": extract_event_sources has {name!r}, which is not the name of an event source: "
                "use the event_source of a plugin, or 'syscall'"
            )
    if sources and not declared:
        yield " has extract_event_sources but no fields to extract: declare fields, or remove extract_event_sources"
    if not is_source(plugin) and not sources and "event_source" in attributes.set_by_user(type(plugin)):
        yield (
            f" has event_source but no open(self, params) to make its events: define open, or name the sources of its "
            f"fields, as in extract_event_sources = ({plugin.event_source!r},)"
        )
