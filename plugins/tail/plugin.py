"""Lines of files as events, as ``tail -F`` follows them, with positions that outlive a restart."""

from __future__ import annotations

from falco_plugin import Event, OpenParam, Plugin, field, json_field, source

from .config import Config
from .files import Files
from .paths import SEPARATOR, Paths
from .positions import Positions
from .reader import Reader
from .reports import Reports


class Tail(Plugin):
    """Lines of log files, followed through rotation and restarts"""

    name = "tail"
    id = 1_734_560_001
    event_source = "tail"
    config: Config

    value = json_field(
        "tail.value", "{pointer}", desc="What a JSON pointer names in a line of JSON, such as tail.value[/user/name]"
    )
    number = json_field(
        "tail.number", "{pointer}", type=int, desc="The same where it is an integer, 0 or more, to compare with < and >"
    )

    @field("tail.line", desc="The whole line")
    def event_to_string(self, event: Event) -> str:
        """The line in full, where the SDK's own text ends after 1 KiB: nothing in it may be out of a rule's sight."""
        return event.text

    def open(self, params: str) -> source.IterInstance:
        """Params: a file, a folder, or a glob; several with ``;`` between them."""
        reports = Reports(self.log, follow=self.config.follow)
        positions = Positions(self.config.position_file, self.log)
        paths = Paths(params, reports, leave_out=positions.path)
        files = Files(paths, positions, reports, self.config)
        reader = Reader(files, positions, self.config)
        return source.IterInstance(reader.lines, event_size=self.config.event_size, progress=files.progress)

    def list_open_params(self) -> list[OpenParam]:
        return [
            OpenParam("/var/log/app.log", "a file, which need not be there yet", SEPARATOR),
            OpenParam("/var/log/app", "all files of a folder", SEPARATOR),
            OpenParam("/var/log/app/**/*.log", "a glob", SEPARATOR),
        ]
