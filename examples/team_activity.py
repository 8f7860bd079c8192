"""Reads the table of another plugin: how many programs the team of a process has started. No Python runs for an event.

$ falco-plugin run examples/process_owner.py --with examples/team_activity.py --scap capture.scap \
    --config @owners.json --fields team.name,team.programs

Falco must load process_owner first, because it has the table. A rule:

- rule: Busy team
  condition: evt.type = execve and team.programs > 1000
"""

from __future__ import annotations

from falco_plugin import Entry, Plugin, Table, table_field


class Thread(Entry):
    owner: str


class Team(Entry):
    programs: int


class TeamActivity(Plugin):
    """The activity of the teams that own processes"""

    name = "team_activity"
    extract_event_sources = ("syscall",)
    threads: Table[int, Thread] = Table.of("threads")
    teams: Table[str, Team] = Table.of("process_owner_teams")
    team = table_field("team.name", threads, "owner", desc="The team that owns the program of the process")
    programs = table_field("team.programs", teams, "programs", key=team, desc="How many programs the team started")
