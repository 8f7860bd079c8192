"""What a plugin object can do, and whether its attributes are what Falco accepts."""

from __future__ import annotations

import re
import weakref
from collections.abc import Iterator, Sequence
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

from falco_plugin._declare import fields as _fields
from falco_plugin._declare import methods as _methods
from falco_plugin._declare import plugin_ids as _ids
from falco_plugin._declare.config.declaration import declared
from falco_plugin.errors import PluginError

if TYPE_CHECKING:
    from falco_plugin import source

_NAME = re.compile(r"[a-z]+[a-z0-9_-]*")
_EVENT_SOURCE = re.compile(r"[a-z]+[a-z0-9_]*")
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_RESERVED_SOURCES = ("syscall", "internal", "plugins")
_MAX_ID = _ids.PRIVATE[-1]
ATTRIBUTE = _fields.ATTRIBUTE
_ATTRIBUTES: dict[str, type] = {
    "name": str,
    "version": str,
    "id": int,
    "event_source": str,
    "description": str,
    "contact": str,
}
_EXAMPLES = {
    "name": "lines",
    "version": "0.1.0",
    "id": 999,
    "event_source": "lines",
    "description": "Lines of a file",
    "contact": "https://example.org",
}
_METHODS = ("open", "init", "destroy", "list_open_params", "event_to_string")

_registered_classes: weakref.WeakSet[type] = weakref.WeakSet()
_registered_objects: dict[int, object] = {}


def register(plugin: source.Plugin) -> None:
    """Registers the event sourcing capability for a plugin (``source.Register`` of the Go SDK).

    For any object with ``open`` and the attributes of :class:`falco_plugin.source.Plugin`; a factory function calls it
    before it returns the object. A subclass of :class:`falco_plugin.Plugin` that defines ``open`` is registered
    already. Idempotent.

    Raises:
        TypeError: the plugin lacks something, which is named.
    """
    missing = [name for name in (*_ATTRIBUTES, "open") if getattr(plugin, name, None) is None]
    if missing:
        raise TypeError(f"{_called(plugin)} is no event source: it lacks {', '.join(missing)}")
    for problem in _problems(plugin):
        raise TypeError(problem)
    _registered_objects[id(plugin)] = plugin


def unregister(plugin: object) -> None:
    """Forgets a plugin object when it is destroyed."""
    _registered_objects.pop(id(plugin), None)


def register_class(cls: type) -> None:
    """Registers a subclass of ``Plugin`` that defines ``open``."""
    if getattr(cls, "open", None) is not None:
        _registered_classes.add(cls)


def is_source(plugin: object) -> bool:
    """Whether the plugin has the event sourcing capability."""
    return id(plugin) in _registered_objects or type(plugin) in _registered_classes


class Capabilities(NamedTuple):
    """What a plugin can do, and what the library says of it."""

    is_source: bool
    """Whether it is an event source."""
    fields: list[_fields.Field]
    """The fields that it extracts."""
    extract_event_sources: Sequence[str]
    """The event sources whose events have these fields; none where it is its own, or every one."""
    config: type | None
    """The class of its configuration; ``None`` for text."""


def check(plugin: Any) -> Capabilities:
    """Raises ``PluginError`` where Falco, or this SDK, would refuse the plugin."""
    for problem in _problems(plugin):
        raise PluginError(problem)
    who = _called(plugin)
    for method, problem in _methods.problems(plugin):
        refused = PluginError(f"{who}.{method}{problem}")
        setattr(refused, ATTRIBUTE, method)
        raise refused
    fields = _fields.of(plugin)
    source = is_source(plugin)
    sources = getattr(plugin, "extract_event_sources", ())
    for problem in _source_problems(plugin, source, fields, sources):
        raise PluginError(f"{_called(plugin)}{problem}")
    return Capabilities(source, fields, tuple(sources), declared(type(plugin)))


def _source_problems(plugin: Any, is_source: bool, fields: list[_fields.Field], sources: object) -> Iterator[str]:
    if not is_source and not fields:
        yield (
            " has no capability: define open(self, params) to make it an event source, or fields to extract from events"
        )
    if isinstance(sources, str) or not isinstance(sources, Sequence):
        yield f": extract_event_sources must be a tuple of names, not {type(sources).__name__}"
        return
    for name in sources:
        if not isinstance(name, str) or not _EVENT_SOURCE.fullmatch(name) or name in _RESERVED_SOURCES:
            yield f": extract_event_sources has {name!r}, which is no event source of a plugin"
    if sources and not fields:
        yield " has extract_event_sources, but no fields to extract: declare some, or leave it out"
    if not is_source and not sources and "event_source" in _own_attributes(type(plugin)):
        yield (
            f" has an event_source, but no open(self, params) to make its events: define it, or name the sources that "
            f"its fields are for, as extract_event_sources = ({plugin.event_source!r},)"
        )


def _own_attributes(cls: type) -> set[str]:
    """Attributes of a class and its bases that are the author's."""
    return {name for base in cls.__mro__ if base.__module__ != "falco_plugin.plugin" for name in vars(base)}


def _problems(plugin: object) -> Iterator[str]:
    """What is wrong with the attributes, one line each."""
    who = _called(plugin)
    for name in (*_ATTRIBUTES, *_METHODS, "config", "log", "extract_event_sources"):
        static = _as_written(type(plugin), name)
        field = _fields.declaration_of(static)
        # The text of an event may be a field, too.
        if field is not None and not (name == "event_to_string" and isinstance(static, FunctionType)):
            yield f"{who}: the field {field.name} hides the plugin's own {name!r}: give its attribute another name"
            return
    for name, kind in _ATTRIBUTES.items():
        value = getattr(plugin, name, None)
        if value is None:
            base = "" if isinstance(plugin, _plugin_class()) else ", or derive the class from falco_plugin.Plugin"
            yield f"{who} has no {name}: set it, such as {name} = {_EXAMPLES[name]!r}{base}"
        elif callable(value) or isinstance(_as_written(type(plugin), name), property):
            yield (
                f"{who}: the method {name!r} hides the plugin attribute {name!r} ({kind.__name__}): "
                f"give the method another name"
            )
        elif not isinstance(value, kind) or isinstance(value, bool):
            yield f"{who}: {name} must be {kind.__name__}, not {type(value).__name__}"
        elif isinstance(value, str) and "\0" in value:
            yield f"{who}: {name} must not contain NUL"
    for name in _METHODS:
        value = getattr(plugin, name, None)
        if value is not None and not callable(value):
            yield (
                f"{who}: the attribute {name!r} ({type(value).__name__}) hides the plugin method {name!r}: "
                f"give the attribute another name"
            )
    for name in ("config", "log"):
        if isinstance(_as_written(type(plugin), name), FunctionType):
            yield f"{who}: the method {name!r} hides the plugin attribute {name!r}: give the method another name"
    config = _as_written(type(plugin), "config")
    if isinstance(config, dict | list | tuple):
        found = type(config).__name__
        yield f"{who}.config is set to a {found}, which init_config replaces: annotate it, as in config: Config"
    yield from _refused_values(plugin, who)


def _plugin_class() -> type:
    from falco_plugin.plugin import Plugin

    return Plugin


def _as_written(cls: type, name: str) -> object:
    """An attribute of a class as it stands there: no descriptor is called."""
    return next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)


def _refused_values(plugin: Any, who: str) -> Iterator[str]:
    if not _NAME.fullmatch(plugin.name):
        yield (
            f"{who}: the name {plugin.name!r} is not accepted by Falco: lower-case letters, digits, '-' and '_', "
            "beginning with a letter"
        )
    yield from _refused_event_source(plugin, who)
    if not 1 <= plugin.id <= _MAX_ID:
        yield f"{who}: id must be 1 to {_MAX_ID} (999 for development), not {plugin.id}"
    if not _VERSION.fullmatch(plugin.version):
        yield f"{who}: the version {plugin.version!r} must be three numbers, such as 0.1.0"


def _refused_event_source(plugin: Any, who: str) -> Iterator[str]:
    is_set = "event_source" in _own_attributes(type(plugin)) or "event_source" in getattr(plugin, "__dict__", {})
    # Falco does not read the default of a plugin that makes no events.
    if not (is_set or is_source(plugin)):
        return
    if not _EVENT_SOURCE.fullmatch(plugin.event_source):
        yield (
            f"{who}: the event_source {plugin.event_source!r} is not accepted by Falco: lower-case letters, digits and "
            "'_', beginning with a letter"
        )
    elif plugin.event_source in _RESERVED_SOURCES and is_set:
        yield f"{who}: the event_source {plugin.event_source!r} is Falco's own: choose another"
    elif plugin.event_source in _RESERVED_SOURCES:
        yield (
            f"{who}: the event_source {plugin.event_source!r}, which is the plugin's name, is Falco's own: choose "
            "another name, or set event_source"
        )


def _called(plugin: object) -> str:
    cls = plugin if isinstance(plugin, type) else type(plugin)
    return cls.__qualname__
