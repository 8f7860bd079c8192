"""The set of followed files: finds them, tracks renames and deletions, and reads them in turns."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from .config import Config
from .logfile import Identity, identity, printable
from .paths import Paths
from .positions import Position, Positions
from .reports import Reports
from .sdkfile import CompressedFile, File, open_file


class Files:
    """The files of the open params. A file is identified by its inode, so that a renamed file is not a new one."""

    def __init__(self, paths: Paths, positions: Positions, reports: Reports, config: Config) -> None:
        self._paths = paths
        self._positions = positions
        self._reports = reports
        self._config = config
        # If there was an earlier run, files without a position are newer than it and are read from the beginning.
        self._from_end = config.start == "end" and positions.is_first_run
        self._known: dict[Identity, File] = {}
        self._open: dict[Identity, File] = {}  # in the order of their last read
        self._by_former_path: dict[str, File] = {}
        self._predecessors: dict[Identity, File] = {}  # the file that is read first, by the identity of its successor
        self._last_compressed: File | None = None
        self._is_first_scan = True

    def scan(self) -> None:
        """Finds new files, and updates the state of known ones."""
        paths: dict[Identity, list[str]] = {}
        statuses: dict[Identity, os.stat_result] = {}
        for path, status in self._paths.find():
            paths.setdefault(identity(status), []).append(path)
            statuses[identity(status)] = status
        lost: list[Position] = []
        for key, file in list(self._known.items()):
            file.has_failed = False
            if key in paths:
                self._update(file, paths[key], statuses.pop(key))
            elif (position := self._handle_gone(file)) is not None:
                lost.append(position)
        # If several files are new, the oldest is read first.
        new = sorted(statuses, key=lambda key: statuses[key].st_mtime_ns)
        begun = [added for key in new if (added := self._add(paths[key][0]))]
        if self._is_first_scan:
            lost = self._positions.all()
        self._search(lost)
        self._report_lost(lost, {printable(file.path) for file in begun})
        for file in begun:
            self._set_predecessor(file, self._by_former_path.get(file.path))
        self._is_first_scan = self._from_end = False

    def turns(self) -> Iterator[list[bytes]]:
        """Yields one block of lines of each file that has more, so that large files do not delay others."""
        for file in list(self._known.values()):
            if self._is_next(file):
                yield self._read(file)
            elif self._is_finished(file):
                yield self._finish(file)

    def last_lines(self) -> Iterator[list[bytes]]:
        """Yields the rest of each file, including a last line without its end."""
        for file in list(self._known.values()):
            yield self._read(file, to_end=True)

    def positions(self) -> list[Position]:
        return [position for file in self._known.values() if (position := file.position())]

    def progress(self) -> tuple[float, str]:
        files = list(self._known.values())
        size = sum(file.size for file in files)
        read = min(size, sum(file.offset for file in files))
        return (read / size if size else 1.0), f"{read} of {size} bytes, files: {len(files)}"

    def close(self) -> None:
        for file in self._known.values():
            file.close()

    # Changes of a file

    def _update(self, file: File, paths: list[str], status: os.stat_result) -> None:
        file.refresh(status)
        file.is_gone = False
        if file.path not in paths:
            self._mark_left(file, file.path)
            file.path = paths[0]
        if file.is_open:
            self._reports.report_solved(file.path)

    def _handle_gone(self, file: File) -> Position | None:
        """Handles a file without a path. Returns its position if it is not open, so that it must be searched."""
        if not file.is_gone:
            file.is_gone = True
            self._mark_left(file, file.path)
        if file.is_open:
            try:
                file.refresh()
            except OSError as error:
                self._handle_failure(file, error)
        return None if file.is_open else self._forget(file)

    def _mark_left(self, file: File, path: str) -> None:
        file.left_at = time.monotonic()
        self._by_former_path[path] = file

    def _add(self, path: str, *, is_searched: bool = False) -> File | None:
        """Opens a file and continues at its saved position. Returns the file if it has none, and so is new."""
        self._limit_open()
        try:
            file = open_file(path, self._config.event_size, self._reports)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._reports.report_unreadable(path, error)
            return None
        try:
            is_known = file.identity in self._known
            position = None if is_known else self._resume(file)
            if is_known or (is_searched and position is None):
                file.close()
                return None
            if position is None and self._from_end:
                file.skip_to_end()
        except OSError as error:
            file.close()
            self._reports.report_unreadable(path, error)
            return None
        self._reports.report_solved(path)
        self._known[file.identity] = self._open[file.identity] = file
        if isinstance(file, CompressedFile):
            # Read compressed files one after the other, to need the memory of only one decompression.
            self._set_predecessor(file, self._last_compressed)
            self._last_compressed = file
        if position is not None:
            self._positions.remove(position)
            if is_searched or position.path != printable(path):
                self._mark_left(file, position.path)
        file.is_gone = is_searched
        return file if position is None else None

    def _resume(self, file: File) -> Position | None:
        return next(filter(file.resume, self._positions.candidates(*file.identity)), None)

    def _search(self, lost: list[Position]) -> None:
        """Finds files that were renamed outside of the params while they were not open, to read their rest."""
        folders: dict[str, set[int]] = {}
        for position in lost:
            # A link may have been removed or changed.
            for path in {os.path.realpath(position.path), position.real_path or position.path}:
                folders.setdefault(os.path.dirname(path), set()).add(position.inode)
        for folder, inodes in folders.items():
            try:
                with os.scandir(folder) as entries:
                    paths = [entry.path for entry in entries if entry.inode() in inodes]
            except OSError:
                continue
            for path in paths:
                self._add(path, is_searched=True)

    def _report_lost(self, lost: list[Position], begun: set[str]) -> None:
        """Reports files that were not found, with separate messages for those that another file has replaced."""
        missing = set(lost).intersection(self._positions.all())
        replaced = [position for position in missing if position.path in begun]
        for position in replaced:
            self._reports.log.warning(
                "%s: is another file now, and the file that was read up to byte %d is not found: its last lines may "
                "be missing, %s",
                position.path,
                position.offset,
                _describe_loss(position),
            )
            self._positions.remove(position)
        # After the first scan, the sizes are recent: a file that was read completely lost nothing.
        gone = [
            position
            for position in missing.difference(replaced)
            if self._is_first_scan or position.size > position.offset
        ]
        if gone:
            example = max(gone, key=lambda position: (position.size - position.offset, position.path))
            self._reports.log.warning(
                "%d files that were read before are missing, and are not found under other names in their folders: "
                "their newer lines are not read. One of them is %s, read up to byte %d: %s",
                len(gone),
                example.path,
                example.offset,
                _describe_loss(example),
            )

    def _forget(self, file: File) -> Position | None:
        position = file.position()
        self._remove(file)
        if position:
            self._positions.add(position)
        return position

    def _remove(self, file: File) -> None:
        self._close(file)
        del self._known[file.identity]
        self._predecessors.pop(file.identity, None)
        self._by_former_path = {path: other for path, other in self._by_former_path.items() if other is not file}

    # Turns

    def _is_next(self, file: File) -> bool:
        if file.is_read or file.has_failed:
            return False
        predecessor = self._predecessors.get(file.identity)
        if predecessor is not None and not predecessor.is_read and not predecessor.has_failed:
            return self._known.get(predecessor.identity) is not predecessor
        self._predecessors.pop(file.identity, None)
        return True

    def _set_predecessor(self, file: File, predecessor: File | None) -> None:
        if predecessor is not None:
            self._predecessors[file.identity] = predecessor

    def _is_finished(self, file: File) -> bool:
        """Returns whether a file that left its path has not changed for so long that its writer is likely gone."""
        if file.left_at is None or not file.is_read:
            return False
        return time.monotonic() - max(file.left_at, file.changed_at) >= self._config.rotated_wait

    def _read(self, file: File, *, to_end: bool = False) -> list[bytes]:
        try:
            if not file.is_open:
                self._limit_open()
                file.reopen()
            # Move the file to the end of the order.
            self._open.pop(file.identity, None)
            self._open[file.identity] = file
            return file.read(to_end=to_end)
        except OSError as error:
            self._handle_failure(file, error)
            return []

    def _finish(self, file: File) -> list[bytes]:
        lines = self._read(file, to_end=True)
        if file.has_failed:
            return lines
        if file.is_gone:
            is_replaced = any(other is not file and other.path == file.path for other in self._known.values())
            if is_replaced or file.is_unlinked:
                self._remove(file)
            else:
                self._forget(file)
        else:
            file.left_at = None
            self._close(file)
        return lines

    def _handle_failure(self, file: File, error: OSError) -> None:
        self._close(file)
        file.has_failed = True
        # The next scan searches a file that is not at its path.
        if not isinstance(error, FileNotFoundError):
            self._reports.report_unreadable(file.path, error)

    # Descriptors

    def _limit_open(self) -> None:
        """Closes the least recently read files, except for those without a path, which could not be opened again."""
        while len(self._open) >= self._config.max_open_files:
            file = next((file for file in self._open.values() if file.is_reopenable and not file.is_gone), None)
            if file is None:
                break
            self._close(file)

    def _close(self, file: File) -> None:
        self._open.pop(file.identity, None)
        file.close()


def _describe_loss(position: Position) -> str:
    """Returns how much of a file was not read, for a file that is not found."""
    unread = 0 if position.cursor else position.size - position.offset
    return f"at least {unread} bytes" if unread > 0 else "an unknown number of bytes"
