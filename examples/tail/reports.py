"""What an operator is told: each problem once, however often it is met."""

from __future__ import annotations

import logging
import time

_CUTS_INTERVAL = 60.0


class Reports:
    """Logs problems of files, once until they are solved; where the source does not follow, they end it instead."""

    def __init__(self, log: logging.Logger, *, follow: bool) -> None:
        self.log = log
        self._follow = follow
        self._problems: dict[str, str] = {}
        self._cuts = 0
        self._cuts_logged = -_CUTS_INTERVAL

    def unreadable(self, path: str, error: OSError) -> None:
        """A file or folder that is tried again; without following there is no other time."""
        if not self._follow:
            raise error
        self._once(path, f"cannot be read: {error.strerror or error}; trying again", logging.WARNING)

    def missing(self, given: str, text: str) -> None:
        """Params that match nothing so far."""
        if not self._follow:
            raise FileNotFoundError(f"{given}: {text}") from None
        self._once(given, f"{text}; waiting for it", logging.INFO)

    def solved(self, path: str) -> None:
        """What was wrong with the path no longer is."""
        if self._problems.pop(path, None):
            self.log.info("%s: can be read now", path)

    def cut(self, path: str, event_size: int) -> None:
        """Counts a line that was cut. A log of nothing else must not fill the log of Falco."""
        self._cuts += 1
        if time.monotonic() - self._cuts_logged >= _CUTS_INTERVAL:
            self._cuts_logged = time.monotonic()
            self.log.warning("%s: a line was cut to %d bytes (lines cut so far: %d)", path, event_size, self._cuts)

    def _once(self, path: str, problem: str, severity: int) -> None:
        if self._problems.get(path) != problem:
            self._problems[path] = problem
            self.log.log(severity, "%s: %s", path, problem)
