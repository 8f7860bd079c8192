"""Makes the one folder of this process for files that must be in a file system.

Only packages that open files beside their code, and ``importlib.resources.as_file``, need it. The folder belongs to the
user of the process, and nobody else can enter it. A lock on it shows that the process is alive.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import threading
from collections.abc import Iterator

from falco_plugin import _core
from falco_plugin._runtime.bundle import finder, trusted

_NAME = "falco-plugin-files-"
"""The beginning of the folder's name. The rest is random."""
_MODE = 0o700
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_ATTEMPTS = 3
_folder: str | None = None
# Two threads may import packages at the same time.
_making = threading.Lock()


def made() -> list[str]:
    """Returns the folder, if it was made before."""
    return [] if _folder is None else [_folder]


def path() -> str:
    """Returns the folder, and makes it if this is the first call.

    Raises:
        OSError: no place can be used. The message has the reason for each place.
    """
    global _folder  # noqa: PLW0603 - there is one folder for each process
    with _making:
        if _folder is None:
            _folder = _make()
        return _folder


def _make() -> str:
    refused: list[str] = []
    # Packages may contain shared libraries, which cannot be opened on a file system that is mounted noexec.
    for place in sorted(filter(os.path.isabs, dict.fromkeys(_places())), key=_is_noexec):
        if reason := trusted.reason_against(place):
            refused.append(f"{place}: {reason}")
            continue
        _remove_leftovers(place)
        try:
            folder = _make_in(place)
        except OSError as error:
            refused.append(f"{place}: {error.strerror or error}")
        else:
            _core.remove_at_exit(folder)
            return folder
    raise OSError(
        f"cannot make a private folder ({'; '.join(refused)}): set TMPDIR to a writable folder of Falco's user"
    )


def _places() -> Iterator[str]:
    """Yields the folders in which the folder may be made, the best one first."""
    yield os.environ.get("TMPDIR", "")
    yield from ("/run", "/dev/shm", "/tmp", "/var/tmp")  # noqa: S108 - the folder that is made there is private
    if finder.installed:
        yield os.path.dirname(finder.installed.bundle.root)


def _is_noexec(place: str) -> bool:
    try:
        return bool(os.statvfs(place).f_flag & os.ST_NOEXEC)
    except OSError:
        return True


def _make_in(place: str) -> str:
    """Makes a folder, and keeps its lock until the process ends."""
    for _ in range(_ATTEMPTS):
        folder = os.path.join(place, _NAME + os.urandom(8).hex())
        os.mkdir(folder, _MODE)
        # The descriptor is never closed, because it holds the lock.
        descriptor = os.open(folder, _OPEN_FOLDER)
        os.fchmod(descriptor, _MODE)
        # Another process that is just removing leftovers may have the lock.
        if _lock(descriptor) and _is_same(folder, descriptor):
            return folder
        os.close(descriptor)
    raise OSError("another process removed the new folder")


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


def _remove_leftovers(place: str) -> None:
    """Removes the folders of processes of this user that were killed.

    The lock shows whether the process is alive. Its number would not, because it may be in another container.
    """
    with contextlib.suppress(OSError):
        for name in os.listdir(place):
            if name.startswith(_NAME):
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
