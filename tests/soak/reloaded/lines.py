"""Lines of a file that grows, from where the last instance was."""

from __future__ import annotations

from pathlib import Path

from falco_plugin import Context, Plugin, source


class Lines(Plugin):
    """Lines of a file that grows"""

    name = event_source = "reloaded_lines"
    id = 1073741903

    def open(self, params: str, context: Context) -> source.LinesInstance:
        kept = Path(f"{params}.cursor")
        lines = source.LinesInstance(
            params,
            follow=True,
            start=kept.read_text() if kept.exists() else 0,
            context=context,
            close=lambda: kept.write_text(lines.cursor or ""),
        )
        return lines
