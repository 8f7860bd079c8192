"""Reads log files of CloudTrail in a folder."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from .records import RecordsError, read_records

_SUFFIXES = (".json", ".json.gz")


def find(path: Path) -> list[Path]:
    """Returns the file, or the log files in the folder and below it: a folder's entries in the order of their names.

    Raises:
        OSError: the path or a folder below it cannot be read.
        ValueError: there are no log files.
    """
    if not path.is_dir():
        # Fail when the source is opened, not later.
        path.open("rb").close()
        return [path]
    files = list(_walk(path))
    if not files:
        raise ValueError(
            f"open_params: {path} has no files that end with .json or .json.gz: set it to a folder of them"
        )
    return files


def _walk(folder: Path) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()):
        if entry.is_dir():
            if not entry.is_symlink():
                yield from _walk(entry)
        elif entry.name.endswith(_SUFFIXES):
            yield entry


def read_file(path: Path, event_size: int) -> Iterator[tuple[bytes, int]]:
    """Yields the records of a file.

    Raises:
        OSError: the file cannot be read.
        RecordsError: it is not a log file of CloudTrail, or is damaged.
    """
    return read_records(path.read_bytes(), str(path), event_size)


def read_folder(paths: list[Path], event_size: int, log: logging.Logger) -> Iterator[tuple[bytes, int]]:
    """Yields the records of all files. A file that cannot be read is logged, and does not end the source."""
    for path in paths:
        try:
            yield from read_file(path, event_size)
        except OSError as error:
            log.error("%s: cannot be read: %s", path, error.strerror or error)
        except RecordsError as error:
            log.error("%s", error)
