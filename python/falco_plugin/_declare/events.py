"""Names of events and of event sources."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from falco_plugin import _core
from falco_plugin.errors import PluginError

SYSCALL = "syscall"
"""The event source of system calls."""
PLUGIN_EVENT = "pluginevent"
"""The name of the events that the sources of plugins make."""
_ASYNC_EVENT = "asyncevent"
_SOURCE = re.compile(r"[a-z]+[a-z0-9_]*")
_SUGGESTIONS = 3
_SIMILARITY = 0.7
"""The similarity from which a name is suggested, from 0 to 1."""


def is_source_name(name: object) -> bool:
    """Returns whether a name can be that of an event source: of a plugin, or of system calls."""
    return isinstance(name, str) and bool(_SOURCE.fullmatch(name)) and name not in ("internal", "plugins")


def check_list(what: str, names: object) -> None:
    """Raises ``PluginError`` if names are not a sequence of strings."""
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise PluginError(f"{what} must be a list of names, not {type(names).__name__}")
    for name in names:
        if not isinstance(name, str):
            raise PluginError(f"{what} must be a list of names, but has {type(name).__name__}")
        if not name or "\0" in name:
            raise PluginError(f"{what} has {name!r}, which is not a name")


def check(name: object, hint: str = "") -> None:
    """Raises ``PluginError`` if neither an event type nor a system call has a name. It suggests similar names."""
    if not isinstance(name, str):
        raise PluginError(f"the name of an event must be str, not {type(name).__name__}")
    if _core.event_codes(name):
        return
    import difflib

    similar = difflib.get_close_matches(name.lower(), _core.event_names(), _SUGGESTIONS, _SIMILARITY)
    remedies = [f"did you mean {', '.join(similar)}?"] if similar else []
    remedies += [hint] if hint else []
    message = f"neither an event type nor a system call has the name {name!r}"
    raise PluginError(f"{message}: {' '.join(remedies)}" if remedies else message)


def codes(names: Iterable[str]) -> list[int]:
    """Returns the codes of the events with these names, sorted. Other names are those of async events."""
    found: set[int] = set()
    for name in names:
        found.update(_core.event_codes(name) or _core.event_codes(_ASYNC_EVENT))
        if _core.is_meta_event(name):
            # An async event can have the name of an event of Falco.
            found.update(_core.event_codes(_ASYNC_EVENT))
    return sorted(found)
