"""All files that are followed: which there are, whose turn it is, and what becomes of them."""

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
    """The files of the open params, each known by its inode, so that a new name does not make a new file."""

    def __init__(self, paths: Paths, positions: Positions, reports: Reports, config: Config) -> None:
        self._paths = paths
        self._positions = positions
        self._reports = reports
        self._config = config
        # With positions of an earlier run, whatever has none came since.
        self._from_end = config.start == "end" and positions.is_first_run
        self._known: dict[Identity, File] = {}
        self._open: dict[Identity, File] = {}  # the one that was read longest ago first
        self._left: dict[str, File] = {}  # by the path that they left
        self._last_compressed: File | None = None
        self._is_first_scan = True

    def scan(self) -> None:
        """Looks what there is, and what became of the files that are known."""
        paths: dict[Identity, list[str]] = {}
        statuses: dict[Identity, os.stat_result] = {}
        for path, status in self._paths.find():
            paths.setdefault(identity(status), []).append(path)
            statuses[identity(status)] = status
        lost: list[Position] = []
        for key, file in list(self._known.items()):
            file.has_failed = False
            if key in paths:
                self._stays(file, paths[key], statuses.pop(key))
            elif (position := self._goes(file)) is not None:
                lost.append(position)
        # Of files that are new at the same time the oldest comes first.
        new = sorted(statuses, key=lambda key: statuses[key].st_mtime_ns)
        begun = [arrived for key in new if (arrived := self._arrives(paths[key][0]))]
        if self._is_first_scan:
            lost = self._positions.kept()
        self._search(lost)
        self._give_up(lost, {printable(file.path) for file in begun})
        for file in begun:
            file.predecessor = self._left.get(file.path) or file.predecessor
        self._is_first_scan = self._from_end = False

    def turns(self) -> Iterator[list[bytes]]:
        """One block of lines of each file that has more, so that none waits for all of another."""
        for file in list(self._known.values()):
            if self._is_next(file):
                yield self._read(file)
            elif self._is_done(file):
                yield self._finish(file)

    def last_lines(self) -> Iterator[list[bytes]]:
        """What stands behind the last line's end in each file, where nothing is waited for."""
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

    # What became of a file

    def _stays(self, file: File, paths: list[str], status: os.stat_result) -> None:
        file.look(status)
        file.is_gone = False
        if file.path not in paths:
            self._leaves(file, file.path)
            file.path = paths[0]
        if file.is_open:
            self._reports.solved(file.path)

    def _goes(self, file: File) -> Position | None:
        """No path leads to the file any more. Returns its position where it is not open, and has to be searched."""
        if not file.is_gone:
            file.is_gone = True
            self._leaves(file, file.path)
        if file.is_open:
            try:
                file.look()
            except OSError as error:
                self._fails(file, error)
        return None if file.is_open else self._forget(file)

    def _leaves(self, file: File, path: str) -> None:
        file.left_at = time.monotonic()
        self._left[path] = file

    def _arrives(self, path: str, *, is_searched: bool = False) -> File | None:
        """Opens a file and goes on where its position says. Returns it where it has none, and so is begun."""
        self._make_room()
        try:
            file = open_file(path, self._config.event_size, self._reports)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._reports.unreadable(path, error)
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
            self._reports.unreadable(path, error)
            return None
        self._reports.solved(path)
        self._known[file.identity] = self._open[file.identity] = file
        if isinstance(file, CompressedFile):
            # One after the other, so that the memory of one decompression is enough.
            file.predecessor, self._last_compressed = self._last_compressed, file
        if position is not None:
            self._positions.drop(position)
            if is_searched or position.path != printable(path):
                self._leaves(file, position.path)
        file.is_gone = is_searched
        return file if position is None else None

    def _resume(self, file: File) -> Position | None:
        return next(filter(file.resume, self._positions.candidates(*file.identity)), None)

    def _search(self, lost: list[Position]) -> None:
        """Finds files that were renamed while they were not open, and are no longer followed, to read their rest."""
        folders: dict[str, set[int]] = {}
        for position in lost:
            # A link may have been removed or lead elsewhere by now.
            for path in {os.path.realpath(position.path), position.real_path or position.path}:
                folders.setdefault(os.path.dirname(path), set()).add(position.inode)
        for folder, inodes in folders.items():
            try:
                with os.scandir(folder) as entries:
                    paths = [entry.path for entry in entries if entry.inode() in inodes]
            except OSError:
                continue
            for path in paths:
                self._arrives(path, is_searched=True)

    def _give_up(self, lost: list[Position], begun: set[str]) -> None:
        """Reports files that were not found, whether another has taken their place or nothing has."""
        missing = set(lost).intersection(self._positions.kept())
        replaced = [position for position in missing if position.path in begun]
        for position in replaced:
            self._reports.log.warning(
                "%s: is another file now, and the one that was read up to byte %d is not found: its last lines may "
                "be missing, %s",
                position.path,
                position.offset,
                _lost(position),
            )
            self._positions.drop(position)
        # While it runs, the size is known up to the last scan.
        gone = [
            position
            for position in missing.difference(replaced)
            if self._is_first_scan or position.size > position.offset
        ]
        if gone:
            example = max(gone, key=lambda position: (position.size - position.offset, position.path))
            self._reports.log.warning(
                "%d files that were read before are gone, and not found under another name in their folders: what they "
                "got since is not read. One of them is %s, read up to byte %d: %s",
                len(gone),
                example.path,
                example.offset,
                _lost(example),
            )

    def _forget(self, file: File) -> Position | None:
        position = file.position()
        self._remove(file)
        if position:
            self._positions.keep(position)
        return position

    def _remove(self, file: File) -> None:
        self._close(file)
        del self._known[file.identity]
        self._left = {path: left for path, left in self._left.items() if left is not file}

    # Whose turn it is

    def _is_next(self, file: File) -> bool:
        if file.is_read or file.has_failed:
            return False
        before = file.predecessor
        if before is not None and not before.is_read and not before.has_failed:
            return self._known.get(before.identity) is not before
        file.predecessor = None
        return True

    def _is_done(self, file: File) -> bool:
        """Whether it is unlikely that anything comes after what a file has that left its path."""
        if file.left_at is None or not file.is_read:
            return False
        return time.monotonic() - max(file.left_at, file.changed_at) >= self._config.rotated_wait

    def _read(self, file: File, *, to_end: bool = False) -> list[bytes]:
        try:
            if not file.is_open:
                self._make_room()
                file.reopen()
            # The last one of those that are open.
            self._open.pop(file.identity, None)
            self._open[file.identity] = file
            return file.read(to_end=to_end)
        except OSError as error:
            self._fails(file, error)
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

    def _fails(self, file: File, error: OSError) -> None:
        self._close(file)
        file.has_failed = True
        # A file that is not at its path is looked for by the next scan.
        if not isinstance(error, FileNotFoundError):
            self._reports.unreadable(file.path, error)

    # Descriptors

    def _make_room(self) -> None:
        """Closes what was read longest ago, but not what no path leads to: it could not be opened again."""
        while len(self._open) >= self._config.max_open_files:
            file = next((file for file in self._open.values() if file.is_reopenable and not file.is_gone), None)
            if file is None:
                break
            self._close(file)

    def _close(self, file: File) -> None:
        self._open.pop(file.identity, None)
        file.close()


def _lost(position: Position) -> str:
    """Returns how much of a file was not read, for a file that is not found."""
    unread = 0 if position.cursor else position.size - position.offset
    return f"at least {unread} bytes" if unread > 0 else "how many bytes is not known"
