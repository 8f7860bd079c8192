"""Writes the files of packages that open files beside their code into the private folder of the process."""

from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING

from falco_plugin._runtime.bundle import private_folder

if TYPE_CHECKING:
    from falco_plugin._core import Bundle

_FULL = (errno.ENOSPC, errno.EDQUOT)
"""The error numbers of a full disk."""
_EXECUTABLE = (b"#!", b"\x7fELF")
_written: set[str] = set()
# Two threads may import modules of one package at the same time.
_writing = threading.Lock()


def write(bundle: Bundle, prefix: str) -> str:
    """Writes the files whose paths begin with `prefix`, unless they were written before.

    Returns:
        The folder that the paths are relative to.

    Raises:
        ImportError: the files cannot be written.
    """
    with _writing:
        folder = ""
        try:
            folder = private_folder.path()
            if prefix not in _written:
                for path in bundle.files(prefix):
                    entry = bundle.file(path)
                    if entry is not None:
                        write_file(os.path.join(folder, path), bundle.read(entry))
                _written.add(prefix)
        except OSError as error:
            reason = str(error)
            if error.errno in _FULL:
                reason = f"cannot write to {folder} ({error.strerror}): set TMPDIR to a folder with more space"
            raise ImportError(f"{prefix.rstrip('/')} needs its files in a folder: {reason}") from error
        return folder


def write_file(path: str, data: bytes) -> None:
    """Writes a file of the private folder, and makes the folders that it is in."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    mode = 0o700 if data.startswith(_EXECUTABLE) else 0o600
    with open(path, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(data)
