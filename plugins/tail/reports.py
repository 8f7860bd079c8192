"""Logs problems of files, each once until it is solved."""

from __future__ import annotations

import logging
import time

_INTERVAL = 60.0
"""Seconds between two log lines about cut lines, and between two about holes."""


class Reports:
    """Logs problems of files. Without ``follow``, a problem ends the source instead."""

    def __init__(self, log: logging.Logger, *, follow: bool) -> None:
        self.log = log
        self.follow = follow
        self._problems: dict[str, str] = {}
        self._notes: set[tuple[str, str]] = set()
        self._cuts = _Count()
        self._holes = _Count()

    def report_unreadable(self, path: str, error: OSError) -> None:
        """Logs that a file or folder cannot be read and is tried again.

        Raises:
            OSError: ``error``, without ``follow``.
        """
        if not self.follow:
            raise error
        self._log_once(path, f"cannot be read: {error.strerror or error}; trying again", logging.WARNING)

    def report_missing(self, param: str, text: str) -> None:
        """Logs that a param matches no file yet.

        Raises:
            FileNotFoundError: without ``follow``.
        """
        if not self.follow:
            raise FileNotFoundError(f"{param}: {text}") from None
        self._log_once(param, f"{text}; waiting for it", logging.INFO)

    def report_solved(self, path: str) -> None:
        """Logs that a reported problem of the path is solved."""
        if self._problems.pop(path, None):
            self.log.info("%s: can be read now", path)

    def report_damaged(self, path: str, error: OSError) -> None:
        """Logs that a compressed file ends early or is damaged. The lines before the fault were read.

        Raises:
            OSError: ``error``, without ``follow``.
        """
        if not self.follow:
            raise error
        self._log_once(path, f"cannot be read: {error}; trying again when it changes", logging.WARNING)

    def report_skipped(self, path: str, text: str) -> None:
        """Logs once that a path is skipped, which does not change later."""
        if (path, text) not in self._notes:
            self._notes.add((path, text))
            self.log.info("%s: %s", path, text)

    def report_utf16(self, path: str) -> None:
        self.log.warning("%s: the file is UTF-16, which fields and rules cannot read: write it as UTF-8", path)

    def count_cut_line(self, path: str, event_size: int) -> None:
        """Counts a line that was cut, and logs it at most once a minute."""
        if self._cuts.is_due():
            self.log.warning(
                "%s: a line was cut to %d bytes (lines cut so far: %d)", path, event_size, self._cuts.total
            )

    def count_hole(self, path: str, nuls: int) -> None:
        """Counts a sequence of NULs that was skipped before a line, and logs it at most once a minute."""
        if self._holes.is_due():
            self.log.warning(
                "%s: skipped %d NUL bytes before a line, a hole that copytruncate leaves if the writer does not "
                "append: open the log with O_APPEND (>> in a shell), or rotate it by renaming it (holes so far: %d)",
                path,
                nuls,
                self._holes.total,
            )

    def _log_once(self, path: str, problem: str, severity: int) -> None:
        if self._problems.get(path) != problem:
            self._problems[path] = problem
            self.log.log(severity, "%s: %s", path, problem)


class _Count:
    """Counts occurrences that are logged at most once a minute."""

    def __init__(self) -> None:
        self.total = 0
        self._logged_at = -_INTERVAL

    def is_due(self) -> bool:
        """Counts an occurrence. Returns whether to log it."""
        self.total += 1
        now = time.monotonic()
        if now - self._logged_at < _INTERVAL:
            return False
        self._logged_at = now
        return True
