"""Lines of a growing file, from the position at which the last instance was closed."""

from __future__ import annotations

from pathlib import Path

from falco_plugin import Context, Plugin, source


class Lines(Plugin):
    """Lines of a growing file"""

    name = event_source = "reloaded_lines"
    id = 1073741903

    def open(self, params: str, context: Context) -> source.LinesInstance:
        cursor = Path(f"{params}.cursor")
        lines = source.LinesInstance(
            params,
            follow=True,
            start=cursor.read_text() if cursor.exists() else 0,
            context=context,
            close=lambda: cursor.write_text(lines.cursor or ""),
        )
        return lines
