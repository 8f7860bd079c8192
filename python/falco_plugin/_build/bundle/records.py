"""Reads the lists of files of distributions."""

from __future__ import annotations

import csv
from importlib import metadata
from pathlib import Path

_OUTSIDE = frozenset({"", ".", ".."})
"""Components of paths that can lead out of the folder, or that another path of the same file lacks."""


def files_of(distribution: metadata.Distribution) -> list[str] | None:
    """Returns the paths of a distribution's files in the folder of packages, sorted; ``None`` if it has no list.

    Files outside of the folder, such as scripts, are left out. ``distribution.files`` would take most of the time of a
    build, because it makes many objects for each file.
    """
    record = distribution.read_text("RECORD")
    if record is not None:
        paths = [row[0] for row in csv.reader(record.splitlines()) if row]
    else:
        # Formats that predate RECORD.
        listed = distribution.files
        if listed is None:
            return None
        paths = [str(file) for file in listed]
    return sorted(path for path in paths if _OUTSIDE.isdisjoint(path.split("/")))


def folder_of(distribution: metadata.Distribution) -> Path:
    """Returns the folder of packages that a distribution is installed in."""
    return Path(str(distribution.locate_file("")))
