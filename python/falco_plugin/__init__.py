"""Write Falco plugins in Python: event sources and fields, built into one shared library that Falco loads."""

from typing import TYPE_CHECKING, Any

from falco_plugin import source
from falco_plugin._core import SDK_VERSION as __version__
from falco_plugin._core import AsyncEvent, AsyncEventSender, Context, Counter, Event, Gauge, Table
from falco_plugin.errors import EOF, Fatal, NoJsonError, PluginError, RetryLater, Timeout
from falco_plugin.fields import JsonField, Located, field, json_field
from falco_plugin.plugin import OpenParam, Plugin

if TYPE_CHECKING:
    from falco_plugin.cursor import Cursor
    from falco_plugin.listening import Capture
    from falco_plugin.parsing import parse
    from falco_plugin.secret import Secret
    from falco_plugin.sending import async_events
    from falco_plugin.tables import Entry, added, table_field

__all__ = [
    "EOF",
    "AsyncEvent",
    "AsyncEventSender",
    "Capture",
    "Context",
    "Counter",
    "Cursor",
    "Entry",
    "Event",
    "Fatal",
    "Gauge",
    "JsonField",
    "Located",
    "NoJsonError",
    "OpenParam",
    "Plugin",
    "PluginError",
    "RetryLater",
    "Secret",
    "Table",
    "Timeout",
    "__version__",
    "added",
    "async_events",
    "field",
    "json_field",
    "parse",
    "source",
    "table_field",
]

_MODULES = {
    "Capture": "listening",
    "Cursor": "cursor",
    "Entry": "tables",
    "Secret": "secret",
    "added": "tables",
    "async_events": "sending",
    "parse": "parsing",
    "table_field": "tables",
}
"""The modules of the names that only some plugins use. They are imported with the first use, because each import delays
the start of Falco."""


def __getattr__(name: str) -> Any:
    if module := _MODULES.get(name):
        __import__(f"{__name__}.{module}")
        return getattr(globals()[module], name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
