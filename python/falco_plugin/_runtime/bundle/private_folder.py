"""Makes the one folder of this process for files that must be in a file system.

Only packages that open files beside their code, and ``importlib.resources.as_file``, need it. The folder belongs to the
user of the process, and nobody else can enter it. A lock on it shows that the process is alive.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

from falco_plugin import _core
from falco_plugin._runtime import locked_folder
from falco_plugin._runtime.bundle import finder, trusted

_NAME = "falco-plugin-files-"
"""The beginning of the folder's name. The rest is random."""
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
        locked_folder.remove_leftovers(place, _NAME)
        try:
            # The descriptor is never closed, because it holds the lock.
            folder, _ = locked_folder.make(place, _NAME)
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
