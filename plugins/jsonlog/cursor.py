"""The file that stores the position in the log."""

from __future__ import annotations

import logging
import os
import threading


class CursorFile:
    """The cursor file. If its path is ``None``, nothing is stored. Any thread may call the methods."""

    def __init__(self, path: str | None, log: logging.Logger) -> None:
        self._path = None if path is None else os.path.realpath(path)
        self._log = log
        self._saved: str | None = None
        self._has_failed = False
        self._lock = threading.Lock()

    def load(self) -> str | int:
        """Returns the stored cursor, or 0, the beginning of the log.

        Raises:
            OSError: the file cannot be read, or its folder does not exist.
        """
        if self._path is None:
            return 0
        try:
            with open(self._path, encoding="ascii") as file:
                self._saved = file.read()
        except FileNotFoundError:
            if not os.path.isdir(os.path.dirname(self._path)):
                raise FileNotFoundError(f"cursor_file {self._path}: its folder does not exist: create it") from None
        return self._saved or 0

    def save(self, cursor: str | None) -> None:
        """Writes the cursor if it has changed. A failure is logged once, and the next call tries again."""
        with self._lock:
            if self._path is None or cursor in (None, self._saved):
                return
            try:
                _write(self._path, str(cursor))
            except OSError as error:
                if not self._has_failed:
                    self._log.error("cursor_file %s cannot be written: %s; trying again", self._path, error.strerror)
                self._has_failed = True
            else:
                self._saved, self._has_failed = cursor, False


def _write(path: str, text: str) -> None:
    """Replaces the file atomically, also in case of a power failure."""
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(temporary, flags, 0o600), "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Make the new name as durable as the content.
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
