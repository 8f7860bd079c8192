"""Reports files that appear in a folder: a generator that polls, with a typed configuration.

$ falco-plugin run examples/new_files.py --params /tmp --config '{"interval": 1, "suffixes": [".sh"]}'
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from falco_plugin import Context, Plugin, json_field


@dataclass(frozen=True)
class Config:
    """The ``init_config`` of the plugin, which is checked before the source is opened"""

    interval: Annotated[float, Meta(gt=0, description="Seconds between two scans of the folder")] = 5
    suffixes: Annotated[tuple[str, ...], Meta(description="Report only files whose names end with one of these")] = ()


class NewFiles(Plugin):
    """Files that appear in a folder"""

    name = event_source = "new_files"
    id = 1_734_560_011
    config: Config

    path = json_field("new_files.path", "/path", desc="The path of the file")
    mode = json_field("new_files.mode", "/mode", desc="The permissions of the file, such as 0o755")

    def open(self, params: str, context: Context) -> Iterator[bytes]:
        """Yields an event for each new file. ``params`` is the path of the folder."""
        known = self.scan(params)
        self.log.info("watching %s", params)
        while not context.wait(self.config.interval):  # returns True when Falco closes the source
            found = self.scan(params)
            for path in sorted(found - known):
                try:
                    mode = path.stat().st_mode & 0o7777
                except FileNotFoundError:
                    continue  # removed since the scan
                yield json.dumps({"path": str(path), "mode": oct(mode)}).encode()
            known = found

    def scan(self, folder: str) -> set[Path]:
        return {path for path in Path(folder).iterdir() if path.name.endswith(self.config.suffixes or "")}
