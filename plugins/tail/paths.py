"""Finds the files that the open params name."""

from __future__ import annotations

import errno
import glob
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from .reports import Reports
from .sdkfile import DECOMPRESSED

SEPARATOR = ";"

_NOT_DECOMPRESSED = (".xz", ".bz2", ".lz4", ".lzma", ".zip")
_COMPRESSED = DECOMPRESSED + _NOT_DECOMPRESSED


class Paths:
    """The files, folders and globs of the open params."""

    def __init__(self, params: str, reports: Reports, *, excluded: str | None) -> None:
        """``excluded`` is a file that is never followed: the position file, which changes when others are read."""
        parts = [part.strip() for part in params.split(SEPARATOR)]
        # Positions are stored by path, so paths must not depend on the working directory.
        self._params = [os.path.abspath(part) for part in parts if part]
        if not self._params:
            raise ValueError("open_params is empty: set it to a file, a folder or a glob, such as /var/log/app/*.log")
        self._reports = reports
        self._excluded = excluded

    def find(self) -> Iterator[tuple[str, os.stat_result]]:
        """Yields each file that exists, and each FIFO that a param names.

        A file that two params name is yielded twice.
        """
        for param in self._params:
            for path in self._expand(param):
                try:
                    status = os.stat(path)
                except FileNotFoundError:
                    # Otherwise the file was removed after its folder was listed.
                    if path == param:
                        self._reports.report_missing(param, "does not exist")
                except OSError as error:
                    self._reports.report_unreadable(path, error)
                else:
                    if self._is_readable(path, status.st_mode, is_named=path == param):
                        yield path, status

    def _is_readable(self, path: str, mode: int, *, is_named: bool) -> bool:
        """Returns whether this kind of file is read. Reports other kinds, except for folders."""
        if stat.S_ISDIR(mode):
            return False
        problem = None
        if stat.S_ISFIFO(mode):
            if is_named and not self._reports.follow:
                problem = "it is a FIFO, which has no end: set follow to true"
        elif stat.S_ISSOCK(mode):
            problem = "it is a socket: configure its program to write to a file or a FIFO"
        elif not stat.S_ISREG(mode):
            problem = "it is a device: expected a file or a FIFO"
        elif path.lower().endswith(_NOT_DECOMPRESSED):
            problem = "its compression is not supported: decompress it, or use gzip or zstd"
        if is_named and problem:
            self._reports.report_unreadable(path, OSError(errno.EOPNOTSUPP, problem, path))
            return False
        if not is_named and not stat.S_ISREG(mode):
            self._reports.report_skipped(
                path, "is not a regular file and is skipped: write the path of a FIFO into open_params"
            )
            return False
        return not self._is_excluded(path)

    def _is_excluded(self, path: str) -> bool:
        if self._excluded is None or os.path.basename(path) != os.path.basename(self._excluded):
            return False
        return os.path.realpath(path) == self._excluded

    def _expand(self, param: str) -> list[str]:
        if os.path.isdir(param):
            paths = [path for path in self._list(param) if not os.path.basename(path).startswith(".")]
            return self._without_compressed(param, paths)
        if os.path.lexists(param) or not glob.has_magic(param):
            return [param]
        # Report a folder that cannot be listed, because glob ignores it.
        self._list(_fixed_part(param))
        found = sorted(glob.glob(param, recursive=True))
        if not param.lower().endswith(DECOMPRESSED):
            found = self._without_compressed(param, found)
        if found:
            self._reports.report_solved(param)
        else:
            self._reports.report_missing(param, "matches no file")
        return found

    def _list(self, folder: str) -> list[str]:
        try:
            names = sorted(os.listdir(folder))
        except FileNotFoundError:
            return []
        except OSError as error:
            self._reports.report_unreadable(folder, error)
            return []
        self._reports.report_solved(folder)
        return [os.path.join(folder, name) for name in names]

    def _without_compressed(self, param: str, paths: list[str]) -> list[str]:
        """Removes compressed files, because their lines were read before they were compressed."""
        found = [path for path in paths if not path.lower().endswith(_COMPRESSED)]
        if len(found) < len(paths):
            text = "compressed files are skipped: to read them, use a path or a glob that ends with .gz or .zst"
            self._reports.report_skipped(param, text)
        return found


def _fixed_part(pattern: str) -> str:
    """Returns the folder before the first wildcard of a glob."""
    folder = Path(pattern)
    while glob.has_magic(str(folder)):
        folder = folder.parent
    return str(folder)
