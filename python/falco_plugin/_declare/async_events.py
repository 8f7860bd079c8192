"""The async events that the methods of a plugin declare."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from types import FunctionType
from typing import Any, NamedTuple

from falco_plugin._declare import methods
from falco_plugin._declare.durations import seconds_of

ATTRIBUTE = "_falco_plugin_async_events"
"""The attribute of a decorated method: its declaration."""
DUMP_STATE = "dump_state"
_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]{0,30}", re.ASCII)
_SOURCE = re.compile(r"[a-z]+[a-z0-9_]*")


class Declaration(NamedTuple):
    """The arguments of one ``@async_events``."""

    names: tuple[str, ...]
    sources: tuple[str, ...]
    retry: float | None
    """Seconds before the first retry after an exception; ``None`` if the method is not called again."""


class AsyncMethod(NamedTuple):
    """A method that sends async events."""

    name: str
    declaration: Declaration


class AsyncEvents(NamedTuple):
    """All async events of a plugin."""

    methods: list[AsyncMethod]
    """The methods that run while Falco captures."""
    names: list[str]
    """The names of all events."""
    sources: list[str]
    """The event sources beside whose events they are shown; empty for every source."""
    dumps_state: bool
    """Whether the plugin defines ``dump_state``."""


def declare(names: tuple[object, ...], sources: object, retry: object) -> Declaration:
    """Checks the arguments of ``@async_events``.

    Raises:
        TypeError: an argument has a wrong type, or there is no name.
        ValueError: an argument has a value that Falco does not accept.
    """
    if not names or not all(isinstance(name, str) for name in names):
        raise TypeError('async_events takes the names of the events: write @async_events("changed") above the method')
    for name in names:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(
                f"the name of an async event must be 1 to 31 letters, digits, '_' and '-', beginning with a letter, "
                f"got {name!r}"
            )
    if isinstance(sources, str) or not isinstance(sources, Sequence):
        raise TypeError(f'sources must be a list of event sources, such as ["syscall"], got {type(sources).__name__}')
    for source in sources:
        if not isinstance(source, str) or not _SOURCE.fullmatch(source):
            raise ValueError(f"sources has {source!r}, which is not an event source: name one as in rules")
    seconds = None if retry is None else seconds_of("retry", retry)
    return Declaration(tuple(dict.fromkeys(str(name) for name in names)), tuple(sources), seconds)


def attach(method: object, declaration: Declaration) -> None:
    """Adds a declaration to a method.

    Raises:
        TypeError: the object is not a function.
    """
    if not isinstance(method, FunctionType):
        raise TypeError(f"@async_events must be above a method, got {type(method).__name__}: put it on top of def")
    setattr(method, ATTRIBUTE, declaration)


def declared_by(plugin: Any, *, event_source: str) -> AsyncEvents | None:
    """Returns the async events of a plugin; ``None`` if it has none.

    Args:
        plugin: the plugin object.
        event_source: the plugin's own event source; empty if it has none.
    """
    declarations = dict(_declarations(type(plugin)))
    if not declarations:
        return None
    names = dict.fromkeys(name for declaration in declarations.values() for name in declaration.names)
    sources = dict.fromkeys(source for declaration in declarations.values() for source in declaration.sources)
    if not sources and event_source:
        sources[event_source] = None
    running = [AsyncMethod(name, each) for name, each in declarations.items() if name != DUMP_STATE]
    return AsyncEvents(running, list(names), list(sources), defines(plugin, DUMP_STATE))


def defines(plugin: object, method: str) -> bool:
    """Returns whether a plugin defines an optional method."""
    return getattr(plugin, method, None) is not None


def problems(plugin: Any) -> Iterator[tuple[str, str]]:
    """Yields the name of each method that cannot send async events, and what is wrong with it."""
    declarations = dict(_declarations(type(plugin)))
    for name in declarations:
        if name in methods.OF_PLUGINS and name != DUMP_STATE:
            yield name, " has @async_events, but Falco calls it for something else: give the method another name"
        elif name != DUMP_STATE and (problem := methods.problem_of_producer(getattr(plugin, name))):
            yield name, problem
    if defines(plugin, DUMP_STATE) and not declarations:
        yield DUMP_STATE, ' has no names for its events: put @async_events("…") with their names above it'
    without = [name for name, declaration in declarations.items() if not declaration.sources]
    if without and len(without) < len(declarations):
        named = next(name for name in declarations if name not in without)
        yield (
            without[0],
            f" has @async_events without sources, but {named} has some, and Falco reads them for the whole plugin: "
            "name the sources of each method, or of none",
        )


def _declarations(cls: type) -> Iterator[tuple[str, Declaration]]:
    """Yields the decorated methods of a class, in the order of their definition."""
    for name in dict.fromkeys(name for base in reversed(cls.__mro__) for name in vars(base)):
        attribute = next(vars(base)[name] for base in cls.__mro__ if name in vars(base))
        declaration = getattr(attribute, ATTRIBUTE, None) if isinstance(attribute, FunctionType) else None
        if isinstance(declaration, Declaration):
            yield name, declaration
