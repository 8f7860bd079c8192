"""Falco plugins in Python: event sources that an unchanged Falco loads as one shared library."""

from falco_plugin import source
from falco_plugin._core import SDK_VERSION as __version__
from falco_plugin._core import Context, Event
from falco_plugin.errors import EOF, PluginError, Timeout
from falco_plugin.plugin import OpenParam, Plugin

__all__ = [
    "EOF",
    "Context",
    "Event",
    "OpenParam",
    "Plugin",
    "PluginError",
    "Timeout",
    "__version__",
    "source",
]
