"""Which files the open params mean at this moment."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from .reports import Reports

SEPARATOR = ";"

_COMPRESSED = (".gz", ".xz", ".bz2", ".zst", ".lz4", ".lzma", ".zip")


class Paths:
    """The files, folders and globs of the open params."""

    def __init__(self, params: str, reports: Reports, *, leave_out: str | None) -> None:
        """`leave_out` is a file that is never meant: the one that changes when others are read."""
        parts = [part.strip() for part in params.split(SEPARATOR)]
        # Positions are kept by path, and must be found from any working directory.
        self._params = [os.path.abspath(part) for part in parts if part]
        if not self._params:
            raise ValueError("open_params must name a file, a folder or a glob, such as /var/log/app/*.log")
        self._reports = reports
        self._leave_out = leave_out

    def find(self) -> Iterator[tuple[str, os.stat_result]]:
        """Each regular file that is there, links followed. A file that is meant twice comes twice."""
        for param in self._params:
            for path in self._expand(param):
                try:
                    status = os.stat(path)
                except FileNotFoundError:
                    # In a folder it went while the folder was read.
                    if path == param:
                        self._reports.missing(param, "does not exist")
                except OSError as error:
                    self._reports.unreadable(path, error)
                else:
                    if stat.S_ISREG(status.st_mode) and not self._is_left_out(path):
                        yield path, status

    def _is_left_out(self, path: str) -> bool:
        if self._leave_out is None or os.path.basename(path) != os.path.basename(self._leave_out):
            return False
        return os.path.realpath(path) == self._leave_out

    def _expand(self, param: str) -> list[str]:
        if os.path.isdir(param):
            return [path for path in self._list(param) if not os.path.basename(path).startswith(".")]
        if os.path.lexists(param) or not glob.has_magic(param):
            return [param]
        # A glob is silent about a folder that it may not read.
        self._list(_fixed_part(param))
        found = [path for path in sorted(glob.glob(param, recursive=True)) if not path.endswith(_COMPRESSED)]
        if found:
            self._reports.solved(param)
        else:
            self._reports.missing(param, "matches no file")
        return found

    def _list(self, folder: str) -> list[str]:
        try:
            names = sorted(os.listdir(folder))
        except FileNotFoundError:
            return []
        except OSError as error:
            self._reports.unreadable(folder, error)
            return []
        self._reports.solved(folder)
        return [os.path.join(folder, name) for name in names if not name.endswith(_COMPRESSED)]


def _fixed_part(pattern: str) -> str:
    """The folder that a glob begins in."""
    folder = Path(pattern)
    while glob.has_magic(str(folder)):
        folder = folder.parent
    return str(folder)
