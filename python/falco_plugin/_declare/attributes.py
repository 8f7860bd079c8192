"""Checks whether the attributes of a plugin object are what Falco accepts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import FunctionType
from typing import Any

from falco_plugin._declare import fields, plugin_ids
from falco_plugin._declare.registry import is_source

_NAME = re.compile(r"[a-z]+[a-z0-9_-]*")
_EVENT_SOURCE = re.compile(r"[a-z]+[a-z0-9_]*")
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_RESERVED_SOURCES = ("syscall", "internal", "plugins")
_MAX_ID = plugin_ids.PRIVATE[-1]
REQUIRED: dict[str, type] = {
    "name": str,
    "version": str,
    "id": int,
    "event_source": str,
    "description": str,
    "contact": str,
}
"""The attributes that every plugin has, with their types."""
_EXAMPLES = {
    "name": "lines",
    "version": "0.1.0",
    "id": 999,
    "event_source": "lines",
    "description": "Lines of a file",
    "contact": "https://example.org",
}
_METHODS = (
    "open",
    "init",
    "destroy",
    "list_open_params",
    "event_to_string",
    "set_config",
    "dump_state",
    "capture_open",
    "capture_close",
)


def class_name(plugin: object) -> str:
    """Returns the name by which messages call a plugin: that of its class."""
    cls = plugin if isinstance(plugin, type) else type(plugin)
    return cls.__qualname__


def is_event_source(name: object) -> bool:
    """Returns whether a plugin can have this event source."""
    return isinstance(name, str) and bool(_EVENT_SOURCE.fullmatch(name)) and name not in _RESERVED_SOURCES


def set_by_user(cls: type) -> set[str]:
    """Returns the names of the attributes that user code sets on a class or its bases."""
    return {name for base in cls.__mro__ if not _is_base_class(base) for name in vars(base)}


def _is_base_class(cls: type) -> bool:
    # plugin.py imports this package to register subclasses, so the class itself cannot be imported here.
    return cls.__module__ == "falco_plugin.plugin"


def problems(plugin: object) -> Iterator[str]:
    """Yields what is wrong with the attributes of a plugin, one message each."""
    yield from _fields_that_hide(plugin)
    yield from _problems_of_required(plugin)
    yield from _problems_of_methods(plugin)
    cls = class_name(plugin)
    config = _unbound(type(plugin), "config")
    if isinstance(config, dict | list | tuple):
        found = type(config).__name__
        yield f"{cls}.config is set to a {found}, which init_config replaces: annotate it, as in config: Config"
    yield from _refused_values(plugin, cls)


def _fields_that_hide(plugin: object) -> Iterator[str]:
    for name in (*REQUIRED, *_METHODS, "config", "log", "extract_event_sources", "extract_event_types"):
        attribute = _unbound(type(plugin), name)
        field = fields.declaration_of(attribute)
        # The text of an event may be a field, too.
        if field is not None and not (name == "event_to_string" and isinstance(attribute, FunctionType)):
            yield (
                f"{class_name(plugin)}: the field {field.name} hides the plugin's own {name!r}: "
                "give its attribute another name"
            )


def _problems_of_required(plugin: object) -> Iterator[str]:
    cls = class_name(plugin)
    for name, kind in REQUIRED.items():
        value = getattr(plugin, name, None)
        if value is None:
            is_derived = any(map(_is_base_class, type(plugin).__mro__))
            base = "" if is_derived else ", or derive the class from falco_plugin.Plugin"
            yield f"{cls} has no {name}: set it, such as {name} = {_EXAMPLES[name]!r}{base}"
        elif callable(value) or isinstance(_unbound(type(plugin), name), property):
            yield (
                f"{cls}: the method {name!r} hides the plugin attribute {name!r} ({kind.__name__}): "
                "give the method another name"
            )
        elif not isinstance(value, kind) or isinstance(value, bool):
            yield f"{cls}: {name} must be {kind.__name__}, not {type(value).__name__}"
        elif isinstance(value, str) and "\0" in value:
            yield f"{cls}: {name} must not contain NUL"


def _problems_of_methods(plugin: object) -> Iterator[str]:
    cls = class_name(plugin)
    for name in _METHODS:
        value = getattr(plugin, name, None)
        if value is not None and not callable(value):
            yield (
                f"{cls}: the attribute {name!r} ({type(value).__name__}) hides the plugin method {name!r}: "
                "give the attribute another name"
            )
    for name in ("config", "log"):
        if isinstance(_unbound(type(plugin), name), FunctionType):
            yield f"{cls}: the method {name!r} hides the plugin attribute {name!r}: give the method another name"


def _refused_values(plugin: Any, cls: str) -> Iterator[str]:
    """Yields the values that Falco does not accept. The types of the values are right."""
    if not _NAME.fullmatch(plugin.name):
        yield (
            f"{cls}: Falco does not accept the name {plugin.name!r}: use lower-case letters, digits, '-' and '_', "
            "beginning with a letter"
        )
    yield from _refused_event_source(plugin, cls)
    if not 1 <= plugin.id <= _MAX_ID:
        yield f"{cls}: id must be 1 to {_MAX_ID} (999 for development), not {plugin.id}"
    if not _VERSION.fullmatch(plugin.version):
        yield f"{cls}: the version {plugin.version!r} must be three numbers, such as 0.1.0"


def _refused_event_source(plugin: Any, cls: str) -> Iterator[str]:
    is_set = "event_source" in set_by_user(type(plugin)) or "event_source" in getattr(plugin, "__dict__", {})
    # Falco does not read the default of a plugin that makes no events.
    if not (is_set or is_source(plugin)):
        return
    if not _EVENT_SOURCE.fullmatch(plugin.event_source):
        yield (
            f"{cls}: Falco does not accept the event_source {plugin.event_source!r}: use lower-case letters, digits "
            "and '_', beginning with a letter"
        )
    elif plugin.event_source in _RESERVED_SOURCES and is_set:
        yield f"{cls}: the event_source {plugin.event_source!r} is reserved by Falco: choose another"
    elif plugin.event_source in _RESERVED_SOURCES:
        yield (
            f"{cls}: the event_source {plugin.event_source!r}, which is the plugin's name, is reserved by Falco: "
            "choose another name, or set event_source"
        )


def _unbound(cls: type, name: str) -> object:
    """Returns an attribute of a class without calling its descriptor."""
    return next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)
