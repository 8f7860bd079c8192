"""The methods of a plugin that parse events, checked.

Only plugins that have imported ``falco_plugin.parsing`` need this module.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from types import FunctionType
from typing import NamedTuple

from falco_plugin import _core
from falco_plugin._declare import events
from falco_plugin.errors import PluginError
from falco_plugin.parsing import DECLARATION, Declaration

_CO_VARARGS = 0x04
_CO_GENERATORS = 0x20 | 0x80 | 0x200
"""The flags of code objects of generators and coroutines."""


class ParseMethod(NamedTuple):
    """A method that parses events."""

    name: str
    call: Callable[[_core.Event], object]
    events: tuple[str, ...]
    """The names of event types, of system calls, and of async events."""
    sources: tuple[str, ...]
    """The event sources of the events; empty for every source."""
    location: str
    """Where the method is defined in user code, such as ``plugin.py:12 in executed``."""


def methods_of(plugin: object, async_events: Sequence[str] = ()) -> Iterator[tuple[str, ParseMethod | str]]:
    """Yields the name of each method that parses events, and the method, or what is wrong with it.

    Args:
        plugin: the plugin.
        async_events: the names of the async events that it declares, which are names of events too.
    """
    for name, value, declaration in _declarations(type(plugin)):
        try:
            yield name, _method(plugin, name, value, declaration, async_events)
        except PluginError as error:
            yield name, str(error)


def _declarations(cls: type) -> Iterator[tuple[str, object, Declaration]]:
    """Yields the methods in the order of their declaration, those of base classes first.

    A subclass that overrides a method keeps its events; with ``None`` in its place the method is removed.
    """
    values: dict[str, object] = {}
    declarations: dict[str, Declaration] = {}
    for base in reversed(cls.__mro__):
        values.update(vars(base))
        for name, value in vars(base).items():
            function = getattr(value, "__func__", None) or getattr(value, "fget", None) or value
            if isinstance(declaration := getattr(function, "__dict__", {}).get(DECLARATION), Declaration):
                declarations[name] = declaration
    for name, declaration in declarations.items():
        if (value := values[name]) is not None:
            yield name, value, declaration


def _method(
    plugin: object, name: str, function: object, declaration: Declaration, async_events: Sequence[str]
) -> ParseMethod:
    if not isinstance(function, FunctionType):
        raise PluginError(f"@parse is for methods, not for {type(function).__name__}")
    code = function.__code__
    expected = f"define it as def {name}(self, event)"
    if code.co_flags & _CO_GENERATORS:
        raise PluginError(f"it must parse the event when it is called: {expected}, without async and without yield")
    is_wrapped = hasattr(function, "__wrapped__") or code.co_flags & _CO_VARARGS
    required = code.co_argcount - len(function.__defaults__ or ())
    if not is_wrapped and not required <= 2 <= code.co_argcount:
        raise PluginError(f"it must take the event: {expected}")
    names = _checked_events(declaration, async_events)
    return ParseMethod(
        name,
        getattr(plugin, name),
        names,
        _checked_sources(declaration, async_events),
        f"{os.path.basename(code.co_filename)}:{code.co_firstlineno} in {code.co_name}",
    )


def _checked_events(declaration: Declaration, async_events: Sequence[str]) -> tuple[str, ...]:
    """Returns the names of the events of a method."""
    events.check_list("async_events", declaration.async_events)
    if not declaration.events and not declaration.async_events:
        raise PluginError('parse has no events: name them, as in @parse("execve")')
    for name in declaration.events:
        if callable(name):
            raise PluginError('@parse needs the names of events: write @parse("execve") above the method')
        if name not in async_events:
            events.check(name, f"For an async event of a plugin, write @parse(async_events=[{name!r}])")
    return (*declaration.events, *declaration.async_events)


def _checked_sources(declaration: Declaration, async_events: Sequence[str]) -> tuple[str, ...]:
    """Returns the event sources of a method; empty for every source."""
    if declaration.sources is None:
        is_of_drivers = not declaration.async_events and not any(
            name == events.PLUGIN_EVENT or name in async_events or _core.is_meta_event(name)
            for name in declaration.events
        )
        return (events.SYSCALL,) if is_of_drivers else ()
    events.check_list("sources", declaration.sources)
    for name in declaration.sources:
        if not events.is_source_name(name):
            raise PluginError(f"sources has {name!r}, which is not the name of an event source")
    return tuple(declaration.sources)


def event_codes(methods: Sequence[ParseMethod]) -> list[int]:
    """Returns the codes of the events that methods parse, sorted."""
    return events.codes([name for method in methods for name in method.events])


def event_sources(methods: Sequence[ParseMethod]) -> list[str]:
    """Returns the event sources of the events that methods parse; none for every source."""
    if not all(method.sources for method in methods):
        return []
    return list(dict.fromkeys(source for method in methods for source in method.sources))
