"""A minimal plugin."""

from __future__ import annotations

from falco_plugin import Plugin


class Plain(Plugin):
    """A minimal plugin"""

    name = "fuzz-plain"

    def open(self, params: str) -> list[bytes]:
        return [params.encode("utf-8", "replace")] * 3
