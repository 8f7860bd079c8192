"""The benchmark's plugin that parses system calls: it writes the program of each process into the host's threads."""

from __future__ import annotations

from falco_plugin import Entry, Event, Plugin, Table, added, parse


class Thread(Entry):
    program: str = added()


class Parsing(Plugin):
    """The program of the last call of each thread"""

    name = "bench-parsing"
    threads: Table[int, Thread] = Table.of("threads")
    last: object = None

    @parse("execve")
    def executed(self, event: Event) -> None:
        thread_id = event.thread_id
        if thread_id is not None and (thread := self.threads.get(thread_id)):
            thread.program = event.params["exe"]

    @parse("close", sources=["other"])
    def of_other_source(self, event: Event) -> None:
        self.last = event.params["fd"]
