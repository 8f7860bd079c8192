"""What was not taken: how the operator learns of it."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter

_INTERVAL = 10.0


class Reports:
    """Logs what was not taken: the first at once, then how much there was. Whoever sends must not fill Falco's log."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._quiet_until = 0.0

    def count(self, reason: str) -> None:
        """Counts by a text that must be one of few, and have nothing in it of what was sent."""
        with self._lock:
            self._counts[reason] += 1
            if time.monotonic() >= self._quiet_until:
                self._quiet_until = time.monotonic() + _INTERVAL
                self._say()

    def close(self) -> None:
        """Logs what was counted and not logged yet."""
        with self._lock:
            self._say()

    def _say(self) -> None:
        if self._counts:
            counts = ", ".join(f"{reason} ({count})" for reason, count in self._counts.most_common())
            self._log.warning("not taken: %s", counts)
            self._counts.clear()
