"""Makes an instance from the return value of a plugin's ``open``."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from types import CoroutineType
from typing import Any

from falco_plugin import _core
from falco_plugin._runtime import failures
from falco_plugin.plugin import Plugin


def as_instance(opened: Any, context: _core.Context, open_: Callable[..., Any]) -> Any:
    """Returns the instance that ``open`` returned, or makes one from events.

    Args:
        opened: the return value of ``open``.
        context: the context that was passed to ``open``.
        open_: the method ``open``.

    Raises:
        TypeError: ``open`` returned something else. The location of the error is the function to change.
    """
    if not _is_instance(opened):
        if problem := _problem(opened):
            raise failures.add_location(TypeError(f"open returned {problem}"), open_)
        try:
            return _core.IterInstance(opened, context=context)
        except TypeError as error:
            raise failures.add_location(error, opened if callable(opened) else open_) from None
    if not hasattr(opened, "events"):
        name = type(opened).__name__
        no_events = TypeError(
            f"open returned {name}, which has no attribute events: call super().__init__() in {name}.__init__"
        )
        raise failures.add_location(no_events, type(opened).__init__)
    if not isinstance(opened.events, _core.EventBatch):
        found = type(opened.events).__name__
        raise failures.add_location(TypeError(f"the instance's events must be an EventBatch, not {found}"), open_)
    return opened


def _is_instance(opened: object) -> bool:
    return hasattr(opened, "next_batch") and not isinstance(opened, type | Plugin)


def _problem(opened: Any) -> str:
    """Returns what is wrong with an object and what to return instead; empty if it may be an iterable of events."""
    name = type(opened).__name__
    match opened:
        case None:
            return "None: is a `return` or a `yield` missing?"
        case str():
            return f"{name}: for one event return [text.encode()]"
        case bytes() | bytearray() | memoryview():
            return f"{name}: for one event return [data]"
        case Mapping():
            return f"{name}: for one event return [json.dumps(data).encode()]"
        case type():
            return f"the class {opened.__name__}: return an object of it, such as {opened.__name__}(…)"
        case Plugin():
            return "the plugin itself: return its events, or an instance of falco_plugin.source"
        case _core.Sender() | _core.Receiver() | (_core.Sender(), _core.Receiver()):
            return f"{name}: return source.PushInstance(receiver, context=context)"
        case CoroutineType():
            opened.close()
            return "a coroutine: define it without async, or yield the events in it"
        case io.IOBase() if opened.closed:
            return "a closed file: yield its lines within the with block, or open it without with"
        case io.TextIOBase():
            return "a text file: events are bytes, so open it with mode 'rb'"
        case _:
            pass
    if callable(opened) or hasattr(opened, "__iter__") or hasattr(opened, "__aiter__"):
        return ""
    return f"{name}: return an iterable of events, such as a generator, or an instance of falco_plugin.source"
