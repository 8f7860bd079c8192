"""The log of rejected input."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter

_INTERVAL = 10.0
"""Seconds between two log lines."""


class RejectionLog:
    """Logs the first rejection immediately, and then counts by reason, at most once in 10 seconds.

    Otherwise a client could fill Falco's log. Any thread may call the methods.

    Args:
        log: the logger of the plugin.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._last_client = ""
        self._quiet_until = 0.0

    def count(self, reason: str, client: str = "") -> None:
        """Counts a rejection, and logs it if it is time to.

        Args:
            reason: one of a few constants, without anything from the input.
            client: the address of the client, which the log names if it is the last one.
        """
        with self._lock:
            self._counts[reason] += 1
            self._last_client = client or self._last_client
            if time.monotonic() >= self._quiet_until:
                self._quiet_until = time.monotonic() + _INTERVAL
                self._log_counts()

    def flush(self) -> None:
        """Logs the rejections that were counted but not logged yet."""
        with self._lock:
            self._log_counts()

    def _log_counts(self) -> None:
        if self._counts:
            counts = ", ".join(f"{reason} ({count})" for reason, count in self._counts.most_common())
            client = f"; last client: {self._last_client}" if self._last_client else ""
            self._log.warning("rejected input: %s%s", counts, client)
            self._counts.clear()
