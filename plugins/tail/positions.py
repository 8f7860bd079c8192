"""How far each file was read, kept in a file of its own."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec

FORGET_AFTER = 7 * 24 * 3600
"""Seconds that the position of a file that is gone is kept: a folder may be away for a while, such as a mount."""


class Position(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far a file was read."""

    path: str
    device: int
    inode: int
    offset: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    fingerprint: str
    """A hash of what lies in front of the offset: an inode number alone may be another file's by now."""
    in_cut_line: bool
    """Whether the offset is in the middle of a line that was cut, whose rest is passed over."""
    seen: int
    """When the file was last there, in seconds since the epoch."""
    real_path: str = ""
    """The path without symbolic links."""
    size: int = 0
    """How large the file was then."""
    cursor: str = ""
    """The cursor of the ``LinesInstance`` that reads it, if it is compressed."""
    is_read: bool = False
    """Whether all of a compressed file was read."""


class _Saved(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    files: list[Position]
    version: Literal[1] = 1


_decoder = msgspec.json.Decoder(_Saved)


class Positions:
    """The position file, or nothing but memory where its path is ``None``.

    It holds the positions of files that are not being read: those of the last run, and of files that are gone.
    """

    def __init__(self, path: str | None, log: logging.Logger) -> None:
        """Reads the position file.

        Raises:
            OSError: it cannot be read.
            ValueError: it is damaged.
        """
        self.path = None if path is None else os.path.realpath(path)
        self._log = log
        self._by_inode: dict[int, list[Position]] = {}
        self._written = False
        self._failed = False
        positions = _load(self.path) if self.path else None
        self.is_first_run = positions is None
        for position in positions or ():
            self.keep(position)

    def keep(self, position: Position) -> None:
        """Keeps the position of a file that is not being read."""
        self._by_inode.setdefault(position.inode, []).append(position)

    def drop(self, position: Position) -> None:
        """Removes the position of a file that is being read again, or never will be."""
        self._by_inode[position.inode].remove(position)

    def kept(self) -> list[Position]:
        return [position for positions in self._by_inode.values() for position in positions]

    def candidates(self, device: int, inode: int) -> list[Position]:
        """Positions that a file may have, the likeliest first. Device numbers change with a restart of the machine."""
        return sorted(self._by_inode.get(inode, ()), key=lambda position: (position.device != device, -position.seen))

    def save(self, being_read: Iterable[Position]) -> bool:
        """Writes the position file: whoever reads it sees all of it, old or new, after a power failure too.

        Returns:
            Whether it was written. Where it was not, reading goes on: the lines since the last time would come again
            after a restart, which is better than none.

        Raises:
            OSError: it was not written the first time.
        """
        oldest = int(time.time()) - FORGET_AFTER
        for position in self.kept():
            if position.seen < oldest:
                self.drop(position)
        if self.path is None:
            return True
        try:
            _write(self.path, msgspec.json.encode(_Saved([*being_read, *self.kept()])))
        except OSError as error:
            if not self._written:
                raise OSError(error.errno, f"position_file cannot be written: {error.strerror}", self.path) from None
            if not self._failed:
                self._log.error("position_file %s cannot be written: %s; trying again", self.path, error.strerror)
            self._failed = True
        else:
            if self._failed:
                self._log.info("position_file %s is written again", self.path)
            self._written, self._failed = True, False
        return not self._failed


def _load(path: str) -> list[Position] | None:
    try:
        with open(path, "rb") as file:
            saved = _decoder.decode(file.read())
    except FileNotFoundError:
        if os.path.isdir(os.path.dirname(path)):
            return None
        raise FileNotFoundError(f"position_file {path}: its folder does not exist, create it") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"position_file {path} is damaged ({error}): put back a good copy, or remove it to begin as start says"
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
    # The new name is as durable as what it names.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
