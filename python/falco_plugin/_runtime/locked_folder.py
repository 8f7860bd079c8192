"""Temporary folders with a lock, which shows that their process is alive. Those of killed processes are removed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat

_MODE = 0o700
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_ATTEMPTS = 100


def make(place: str, prefix: str) -> tuple[str, int]:
    """Makes a folder that only this user can enter.

    Returns:
        Its path, and the descriptor that holds its lock. The lock ends when the descriptor is closed.

    Raises:
        OSError: the folder cannot be made in `place`.
    """
    for _ in range(_ATTEMPTS):
        folder = os.path.join(place, prefix + os.urandom(8).hex())
        os.mkdir(folder, _MODE)
        # Until it is locked, the folder is a leftover to other processes: one of them may have removed it, or may have
        # the lock to do so.
        try:
            descriptor = os.open(folder, _OPEN_FOLDER)
        except FileNotFoundError:
            continue
        os.fchmod(descriptor, _MODE)
        if _lock(descriptor) and _is_same(folder, descriptor):
            return folder, descriptor
        os.close(descriptor)
    raise OSError("other processes removed each new folder")


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_same(folder: str, descriptor: int) -> bool:
    """Returns whether a path is still that of an open folder, and whether only this user can access it."""
    status = os.fstat(descriptor)
    try:
        is_same = os.path.samestat(os.lstat(folder), status)
    except FileNotFoundError:
        return False
    return is_same and status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) == _MODE


def remove_leftovers(place: str, prefix: str) -> None:
    """Removes the folders of processes of this user that were killed, by the beginning of their names.

    The lock shows whether the process is alive. Its number would not, because it may be in another container.
    """
    with contextlib.suppress(OSError):
        for name in os.listdir(place):
            if name.startswith(prefix):
                with contextlib.suppress(OSError):
                    _remove_leftover(os.path.join(place, name))


def _remove_leftover(folder: str) -> None:
    descriptor = os.open(folder, _OPEN_FOLDER)
    try:
        if _is_same(folder, descriptor) and _lock(descriptor):
            _remove_contents(descriptor)
            os.rmdir(folder)
    finally:
        os.close(descriptor)


def _remove_contents(descriptor: int) -> None:
    """Removes everything in an open folder, without following links."""
    with os.scandir(descriptor) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                inner = os.open(entry.name, _OPEN_FOLDER, dir_fd=descriptor)
                try:
                    _remove_contents(inner)
                finally:
                    os.close(inner)
                os.rmdir(entry.name, dir_fd=descriptor)
            else:
                os.unlink(entry.name, dir_fd=descriptor)
