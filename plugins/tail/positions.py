"""The positions up to which files were read."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Annotated

import msgspec

from falco_plugin import Cursor

FORGET_AFTER = 7 * 24 * 3600
"""Seconds that the position of a missing file is kept. A mounted folder, for example, may be missing temporarily."""


class Position(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The position up to which a file was read."""

    path: str
    device: int
    inode: int
    offset: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    fingerprint: str
    """A hash of bytes before the offset, because another file may have got the same inode number."""
    in_cut_line: bool
    """Whether the offset is within a line that was cut, whose rest is skipped."""
    seen: int
    """When the file was last found, in seconds since the epoch."""
    real_path: str = ""
    """The path without symbolic links."""
    size: int = 0
    """The size of the file when it was last found."""
    cursor: str = ""
    """The cursor of the ``LinesInstance`` that reads it, if it is compressed."""
    is_read: bool = False
    """Whether all of a compressed file was read."""


class Saved(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of the position file."""

    files: list[Position] | None = None
    """``None`` before the first run."""


class Positions:
    """The positions of files that are not being read: those of the last run, and of missing files.

    Args:
        cursor: stores them.
    """

    def __init__(self, cursor: Cursor[Saved]) -> None:
        self._cursor = cursor
        self._by_inode: dict[int, list[Position]] = {}
        self.is_first_run = cursor.value.files is None
        for position in cursor.value.files or ():
            self.add(position)

    @property
    def path(self) -> str | None:
        """The path of the position file, or ``None`` if positions are only in memory."""
        return self._cursor.path

    def add(self, position: Position) -> None:
        """Stores the position of a file that is not being read."""
        self._by_inode.setdefault(position.inode, []).append(position)

    def remove(self, position: Position) -> None:
        """Removes the position of a file that is being read again, or will not be read again."""
        self._by_inode[position.inode].remove(position)

    def all(self) -> list[Position]:
        return [position for positions in self._by_inode.values() for position in positions]

    def candidates(self, device: int, inode: int) -> list[Position]:
        """Returns the positions that a file may have, the likeliest first.

        Device numbers may change when the machine restarts, so positions with another device are included.
        """
        return sorted(self._by_inode.get(inode, ()), key=lambda position: (position.device != device, -position.seen))

    def save(self, being_read: Iterable[Position]) -> bool:
        """Stores the positions, and forgets those of files that have been missing for a week.

        Returns:
            Whether they were stored. If not, a restart repeats the lines since the last time.
        """
        oldest = int(time.time()) - FORGET_AFTER
        for position in self.all():
            if position.seen < oldest:
                self.remove(position)
        return self._cursor.save(Saved([*being_read, *self.all()]))
