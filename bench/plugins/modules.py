"""The smallest plugin, with an event for each module that was imported until its source opened."""

from __future__ import annotations

import sys

from falco_plugin import Plugin


class Modules(Plugin):
    """Imported modules"""

    name = "bench-modules"
    event_source = "bench"

    def open(self, params: str) -> list[bytes]:
        return [name.encode() for name in sys.modules]
