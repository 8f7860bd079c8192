"""Adds the team that owns a program to system calls: a field that the plugin adds to Falco's table of threads.

$ falco-plugin run examples/process_owner.py --scap capture.scap --config @owners.json --fields proc.owner

owners.json has {"owners": {"/opt/shop/": "shop", "/opt/shop/db/": "storage"}}. The condition of a rule:
evt.type = execve and proc.name in (bash, sh) and proc.owner = shop
"""

from __future__ import annotations

from dataclasses import dataclass, field

from falco_plugin import Capture, Counter, Entry, Event, Plugin, Table, added, parse, table_field


@dataclass
class Config:
    """The team that owns each path. The longest path that a program begins with applies."""

    owners: dict[str, str] = field(default_factory=dict)


class Thread(Entry):
    tid: int
    exe: str
    exe_path: str
    owner: str = added()


class Team(Entry):
    programs: int = 0


class ProcessOwner(Plugin):
    """The teams that own processes"""

    name = "process_owner"
    extract_event_sources = ("syscall",)
    config: Config
    threads: Table[int, Thread] = Table.of("threads")
    teams: Table[str, Team] = Table.new("process_owner_teams")
    started = Counter("started", desc="Started programs that a team owns")
    owner = table_field("proc.owner", threads, "owner", desc="The team that owns the program of the process")

    def capture_open(self, capture: Capture) -> None:
        for thread in self.threads.values():
            self.threads[thread.tid].owner = self.find(thread)

    @parse("clone", "clone3", "fork", "vfork", "execve", "execveat", sources=["syscall"])
    def run(self, event: Event) -> None:
        if thread := self.threads.get(event.thread_id):
            thread.owner = team = self.find(thread)
            if team and event.name.startswith("exec"):
                self.started.add(1)
                self.teams.setdefault(team, Team()).programs += 1

    def find(self, thread: Thread) -> str:
        path = thread.exe_path or thread.exe  # Captures of an old Falco have no path.
        owned = [prefix for prefix in self.config.owners if path.startswith(prefix)]
        return self.config.owners[max(owned, key=len)] if owned else ""
