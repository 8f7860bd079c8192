"""Testing a plugin as Falco runs it: built into a library, and loaded by the native host.

With pytest there is also the fixture :func:`falco_plugin.testing.fixtures.start_plugin`, which needs no import.
"""

from falco_plugin.testing.extracted import ExtractedEvent
from falco_plugin.testing.running import LogLine, Run, RunError, RunningPlugin, collect, run

__all__ = ["ExtractedEvent", "LogLine", "Run", "RunError", "RunningPlugin", "collect", "run"]
