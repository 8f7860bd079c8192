"""What an operator is told: each problem once, however often it is met."""

from __future__ import annotations

import logging
import time

_INTERVAL = 60.0


class Reports:
    """Logs problems of files, once until they are solved; where the source does not follow, they end it instead."""

    def __init__(self, log: logging.Logger, *, follow: bool) -> None:
        self.log = log
        self.follow = follow
        self._problems: dict[str, str] = {}
        self._notes: set[tuple[str, str]] = set()
        self._cuts = _Count()
        self._holes = _Count()

    def unreadable(self, path: str, error: OSError) -> None:
        """A file or folder that is tried again; without following there is no other time."""
        if not self.follow:
            raise error
        self._once(path, f"cannot be read: {error.strerror or error}; trying again", logging.WARNING)

    def missing(self, given: str, text: str) -> None:
        """Params that match nothing so far."""
        if not self.follow:
            raise FileNotFoundError(f"{given}: {text}") from None
        self._once(given, f"{text}; waiting for it", logging.INFO)

    def solved(self, path: str) -> None:
        """What was wrong with the path no longer is."""
        if self._problems.pop(path, None):
            self.log.info("%s: can be read now", path)

    def damaged(self, path: str, error: OSError) -> None:
        """Logs that a compressed file ends early or has a fault. The lines before the fault were read."""
        if not self.follow:
            raise error
        self._once(path, f"cannot be read: {error}; trying again when it changes", logging.WARNING)

    def note(self, path: str, text: str) -> None:
        """Logs that a path is left out, which does not change later."""
        if (path, text) not in self._notes:
            self._notes.add((path, text))
            self.log.info("%s: %s", path, text)

    def utf16(self, path: str) -> None:
        self.log.warning("%s: is UTF-16, which fields and rules cannot read: have it written as UTF-8", path)

    def cut(self, path: str, event_size: int) -> None:
        """Counts a line that was cut. A log of nothing else must not fill the log of Falco."""
        if self._cuts.is_due():
            self.log.warning(
                "%s: a line was cut to %d bytes (lines cut so far: %d)", path, event_size, self._cuts.total
            )

    def hole(self, path: str, nuls: int) -> None:
        """Counts NULs that were passed over in front of a line."""
        if self._holes.is_due():
            self.log.warning(
                "%s: passed over %d NUL bytes in front of a line, a hole that copytruncate leaves if the writer does "
                "not append: open the log with O_APPEND (>> in a shell), or rotate it by renaming it (holes so far: "
                "%d)",
                path,
                nuls,
                self._holes.total,
            )

    def _once(self, path: str, problem: str, severity: int) -> None:
        if self._problems.get(path) != problem:
            self._problems[path] = problem
            self.log.log(severity, "%s: %s", path, problem)


class _Count:
    """Counts something that is logged only once in a while."""

    def __init__(self) -> None:
        self.total = 0
        self._logged_at = -_INTERVAL

    def is_due(self) -> bool:
        """Counts one more. Returns whether to log it."""
        self.total += 1
        now = time.monotonic()
        if now - self._logged_at < _INTERVAL:
            return False
        self._logged_at = now
        return True
