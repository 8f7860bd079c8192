"""Follows a log of JSON lines: ``LinesInstance`` reads, splits and timestamps the lines without Python.

$ falco-plugin run examples/json_lines.py --params /var/log/app.jsonl --all-fields
"""

from __future__ import annotations

from falco_plugin import OpenParam, Plugin, json_field, source


class JsonLines(Plugin):
    """Lines of a log in JSON"""

    name = event_source = "json_lines"
    id = 1_734_560_012

    user = json_field("json_lines.user", "/user/name", desc="The name of the user")
    groups = json_field("json_lines.groups", "/user/groups/*", type=list[str], desc="The groups of the user")
    rows = json_field("json_lines.rows", "/rows", type=int, desc="The number of rows, to compare with < and >")
    value = json_field("json_lines.value", "{pointer}", desc="Any value, such as json_lines.value[/user/name]")

    def open(self, params: str) -> source.LinesInstance:
        """Follows the file at the path ``params`` through rotation. The member ``time`` of a line is its timestamp."""
        return source.LinesInstance(params, follow=True, timestamp="/time")

    def list_open_params(self) -> list[OpenParam]:
        return [OpenParam("/var/log/app.jsonl", "a file that need not exist yet, or a FIFO")]
