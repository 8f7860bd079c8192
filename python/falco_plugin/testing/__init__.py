"""Test a plugin as Falco runs it: built into a library that the native host loads.

For pytest there is also the fixture :func:`falco_plugin.testing.fixtures.start_plugin`, which needs no import.
:func:`alerts` tests rules in a real Falco.
"""

from falco_plugin._falco.alert import Alert
from falco_plugin.testing.alerting import Alerts, alerts
from falco_plugin.testing.extracted import ExtractedEvent
from falco_plugin.testing.results import LogLine, ReceivedAsyncEvent, Run, RunError, TableEntry
from falco_plugin.testing.running import RunningPlugin
from falco_plugin.testing.runs import collect, run
from falco_plugin.testing.tables import make_table

__all__ = [
    "Alert",
    "Alerts",
    "ExtractedEvent",
    "LogLine",
    "ReceivedAsyncEvent",
    "Run",
    "RunError",
    "RunningPlugin",
    "TableEntry",
    "alerts",
    "collect",
    "make_table",
    "run",
]
