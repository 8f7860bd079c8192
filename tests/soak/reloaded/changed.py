"""A generator that is installed in several variants: with other code, another dependency, or another Python."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import reloaded_dependency  # type: ignore[import-not-found] # pyright: ignore[reportMissingImports] - made by reloads.py

from falco_plugin import Context, Plugin

SERIES = 0
DEPENDENCY = 1
PYTHON = (3, 11)


class Changed(Plugin):
    """Numbers of the installed variant"""

    name = event_source = "reloaded_changed"
    id = 1073741906

    def init(self) -> None:
        """Checks that the variant runs with its own dependency and its own Python."""
        found = (reloaded_dependency.VERSION, sys.version_info[:2])
        if found != (DEPENDENCY, PYTHON):
            raise RuntimeError(f"variant {SERIES} runs with {found}, not with {(DEPENDENCY, PYTHON)}")

    def open(self, params: str, context: Context) -> Iterator[bytes | None]:
        cursor = Path(f"{params}.{SERIES}")
        number = int(cursor.read_text()) if cursor.exists() else 0
        while not context.wait(0.001):
            for _ in range(20):
                yield b"%d %d" % (SERIES, number)
                number += 1
            yield None
            cursor.write_text(str(number))
