"""The plugin: follows the lines of files like ``tail -F``, with positions that survive a restart."""

from __future__ import annotations

from falco_plugin import Cursor, Event, OpenParam, Plugin, field, json_field, source

from .config import Config
from .files import Files
from .paths import SEPARATOR, Paths
from .positions import Positions, Saved
from .reader import Reader
from .reports import Reports


class Tail(Plugin):
    """Lines of log files, followed through rotation and restarts"""

    name = "tail"
    id = 1_734_560_001
    contact = "the maintainers of falco-plugin-sdk"
    event_source = "tail"
    config: Config

    value = json_field(
        "tail.value", "{pointer}", desc="The value at a JSON pointer in a line of JSON, such as tail.value[/user/name]"
    )
    number = json_field(
        "tail.number", "{pointer}", type=int, desc="The same value if it is an integer of at least 0, for < and >"
    )

    @field("tail.line", desc="The whole line")
    def event_to_string(self, event: Event) -> str:
        """Returns the whole line, because rules must see all of it. The SDK's default text ends after 1 KiB."""
        return event.text

    def open(self, params: str) -> source.IterInstance:
        """Follows ``params``: files, folders and globs, separated by ``;``."""
        reports = Reports(self.log, follow=self.config.follow)
        # A position stays valid if the params change.
        positions = Positions(Cursor(self, "", path=self.config.position_file, start=Saved()))
        paths = Paths(params, reports, excluded=positions.path)
        files = Files(paths, positions, reports, self.config)
        reader = Reader(files, positions, self.config)
        return source.IterInstance(reader.lines, event_size=self.config.event_size, progress=files.progress)

    def list_open_params(self) -> list[OpenParam]:
        return [
            OpenParam("/var/log/app.log", "a file, which need not exist yet", SEPARATOR),
            OpenParam("/var/log/app", "all files of a folder", SEPARATOR),
            OpenParam("/var/log/app/**/*.log", "a glob", SEPARATOR),
        ]
