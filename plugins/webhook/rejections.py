"""Rejected requests: the answer to the client, and the log line for the operator."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from http import HTTPStatus

_INTERVAL = 10.0
"""Seconds between two log lines."""


class Rejection(Exception):
    """Rejects a request.

    Args:
        status: of the answer.
        reason: the text for client and operator. Rejections are counted by it, so it must be one of a few constants
            and must not contain anything from the request.
        headers: of the answer, with ``_`` for ``-`` in their names.
    """

    def __init__(self, status: HTTPStatus, reason: str, **headers: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = headers


class RejectionLog:
    """Logs the first rejection immediately, and then counts by reason, at most once in 10 seconds.

    Otherwise a client could fill Falco's log. Any thread may call the methods.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._last_address = ""
        self._quiet_until = 0.0

    def count(self, reason: str, address: str | None = None) -> None:
        """Counts a rejection of the client at ``address``, and logs it if it is time to."""
        with self._lock:
            self._counts[reason] += 1
            self._last_address = address or self._last_address
            if time.monotonic() >= self._quiet_until:
                self._quiet_until = time.monotonic() + _INTERVAL
                self._log_counts()

    def close(self) -> None:
        """Logs the rejections that were counted but not logged yet."""
        with self._lock:
            self._log_counts()

    def _log_counts(self) -> None:
        if self._counts:
            counts = ", ".join(f"{reason} ({count})" for reason, count in self._counts.most_common())
            self._log.warning("rejected requests: %s; last client: %s", counts, self._last_address or "unknown")
            self._counts.clear()
