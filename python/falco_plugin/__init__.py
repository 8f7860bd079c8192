"""Write Falco plugins in Python: event sources and fields, built into one shared library that Falco loads."""

from falco_plugin import source
from falco_plugin._core import SDK_VERSION as __version__
from falco_plugin._core import Context, Counter, Event, Gauge
from falco_plugin.errors import EOF, NoJsonError, PluginError, Timeout
from falco_plugin.fields import JsonField, Located, field, json_field
from falco_plugin.plugin import OpenParam, Plugin

__all__ = [
    "EOF",
    "Context",
    "Counter",
    "Event",
    "Gauge",
    "JsonField",
    "Located",
    "NoJsonError",
    "OpenParam",
    "Plugin",
    "PluginError",
    "Timeout",
    "__version__",
    "field",
    "json_field",
    "source",
]
