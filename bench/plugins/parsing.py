"""A plugin that parses system calls, and keeps nothing of them."""

from __future__ import annotations

from falco_plugin import Event, Plugin, parse


class Parsing(Plugin):
    """The program of the last call"""

    name = "bench-parsing"
    last: object = None

    @parse("execve")
    def executed(self, event: Event) -> None:
        self.last = event.params["exe"]

    @parse("close", sources=["other"])
    def of_other_source(self, event: Event) -> None:
        self.last = event.params["fd"]
