"""Test a plugin as Falco runs it: built into a library that the native host loads.

For pytest there is also the fixture :func:`falco_plugin.testing.fixtures.start_plugin`, which needs no import.
"""

from falco_plugin.testing.extracted import ExtractedEvent
from falco_plugin.testing.results import LogLine, ReceivedAsyncEvent, Run, RunError, TableEntry
from falco_plugin.testing.running import RunningPlugin, collect, run
from falco_plugin.testing.tables import make_table

__all__ = [
    "ExtractedEvent",
    "LogLine",
    "ReceivedAsyncEvent",
    "Run",
    "RunError",
    "RunningPlugin",
    "TableEntry",
    "collect",
    "make_table",
    "run",
]
