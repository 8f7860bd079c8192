"""Parsing: methods of a plugin that see events before fields are extracted from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from falco_plugin._core import Event

__all__ = ["parse"]

if TYPE_CHECKING:

    class _Parse(Protocol):
        def __call__(self, plugin: Any, event: Event, /) -> None: ...


Method = TypeVar("Method", bound="_Parse")


class Declaration(NamedTuple):
    """The events that a method parses."""

    events: tuple[str, ...]
    async_events: Sequence[str]
    sources: Sequence[str] | None


DECLARATION = "__falco_parse__"
"""The attribute of a method that holds the declaration of the events that it parses."""


def parse(
    *events: str, async_events: Sequence[str] = (), sources: Sequence[str] | None = None
) -> Callable[[Method], Method]:
    """Declares a method that parses events (``plugin_parse_event``). The method itself is not changed.

    The method takes ``(self, event)`` and returns nothing. Falco calls it once for each event, before fields are
    extracted from the event, also if no rule is true for it. So state that the method keeps is there when the plugin's
    fields are read. If several methods parse an event, they run in the order of the class, those of base classes
    first. If a method raises, the others still run. The first exception of each cause is logged, and further ones are
    counted.

    Args:
        events: the names of the events, as ``evt.type`` has them in rules: system calls such as ``"execve"``, of which
            the method gets the end; other events of Falco, such as ``"procexit"``; ``"pluginevent"`` for the events of
            sources; ``"asyncevent"`` for all async events.
        async_events: the names of async events of plugins. They are not checked.
        sources: the event sources of the events, such as ``["syscall"]``. The default is ``["syscall"]`` if all
            events come from drivers, and else every source.

    Raises:
        TypeError: the decorated object is not a function.

    Example:
        ```python
        @parse("execve", "execveat")
        def executed(self, event: Event) -> None:
            self.programs[event.thread_id] = event.params["exe"]
        ```
    """
    declaration = Declaration(events, async_events, sources)

    def declare(method: Method) -> Method:
        try:
            setattr(method, DECLARATION, declaration)
        except AttributeError:
            raise TypeError(f"@parse is for methods, not for {type(method).__name__}") from None
        return method

    return declare
