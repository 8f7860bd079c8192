"""The positions up to which files were read, and the file that stores them."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec

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


class _Saved(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    files: list[Position]
    version: Literal[1] = 1


_decoder = msgspec.json.Decoder(_Saved)


class Positions:
    """The positions of files that are not being read: those of the last run, and of missing files.

    They are stored in the position file, or only in memory if its path is ``None``.
    """

    def __init__(self, path: str | None, log: logging.Logger) -> None:
        """Reads the position file.

        Raises:
            OSError: the position file cannot be read.
            ValueError: the position file is damaged.
        """
        self.path = None if path is None else os.path.realpath(path)
        self._log = log
        self._by_inode: dict[int, list[Position]] = {}
        self._has_written = False
        self._has_failed = False
        positions = _load(self.path) if self.path else None
        self.is_first_run = positions is None
        for position in positions or ():
            self.add(position)

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
        """Replaces the position file atomically, also in case of a power failure.

        Returns:
            Whether the file was written. If not, the failure is logged and reading continues: a restart then repeats
            the lines since the last successful write.

        Raises:
            OSError: the first write failed.
        """
        oldest = int(time.time()) - FORGET_AFTER
        for position in self.all():
            if position.seen < oldest:
                self.remove(position)
        if self.path is None:
            return True
        try:
            _write(self.path, msgspec.json.encode(_Saved([*being_read, *self.all()])))
        except OSError as error:
            if not self._has_written:
                raise OSError(error.errno, f"position_file cannot be written: {error.strerror}", self.path) from None
            if not self._has_failed:
                self._log.error("position_file %s cannot be written: %s; trying again", self.path, error.strerror)
            self._has_failed = True
        else:
            if self._has_failed:
                self._log.info("position_file %s is written again", self.path)
            self._has_written, self._has_failed = True, False
        return not self._has_failed


def _load(path: str) -> list[Position] | None:
    try:
        with open(path, "rb") as file:
            saved = _decoder.decode(file.read())
    except FileNotFoundError:
        if os.path.isdir(os.path.dirname(path)):
            return None
        raise FileNotFoundError(f"position_file {path}: its folder does not exist: create it") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"position_file {path} is damaged ({error}): restore a good copy, or remove it to begin as start defines"
        ) from None
    return saved.files


def _write(path: str, content: bytes) -> None:
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    os.replace(temporary, path)
    # Make the new name as durable as the content.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
