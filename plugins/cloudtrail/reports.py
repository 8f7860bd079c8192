"""Logs repeated conditions at most once a minute, with a count."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable

_INTERVAL = 60.0


class Reports:
    """Logs the first report of each kind in a minute, and counts the others. Any thread may call the methods.

    Args:
        log: receives the lines.
        now: returns the time in seconds, from any start.
    """

    def __init__(self, log: logging.Logger, now: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._now = now
        self._lock = threading.Lock()
        self._logged: dict[str, float] = {}
        self._omitted: dict[str, int] = {}

    def report(self, level: int, kind: str, text: str) -> None:
        """Logs a line, with the number of lines of its kind that were omitted before it.

        Args:
            level: of the line, as in ``logging``.
            kind: of the condition. Each kind is remembered, so there must be few.
            text: of the line.
        """
        with self._lock:
            if self._now() - self._logged.get(kind, -math.inf) < _INTERVAL:
                self._omitted[kind] = self._omitted.get(kind, 0) + 1
                return
            self._logged[kind] = self._now()
            omitted = self._omitted.pop(kind, 0)
        self._log.log(level, "%s%s", text, f"; {omitted} more since the last report" if omitted else "")
