"""Requests that are not taken: how the client and the operator learn of it."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from http import HTTPStatus

_INTERVAL = 10.0


class Refusal(Exception):
    """The request is not taken.

    Args:
        status: what the client gets.
        reason: for client and operator. It is counted by this text, so that it must be one of few, and nothing of the
            request may be in it.
        headers: for the client.
    """

    def __init__(self, status: HTTPStatus, reason: str, **headers: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = headers


class Refusals:
    """Logs refusals: the first at once, then how many there were. Whoever can connect must not fill Falco's log."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._last_address = ""
        self._quiet_until = 0.0

    def count(self, reason: str, address: str | None = None) -> None:
        with self._lock:
            self._counts[reason] += 1
            self._last_address = address or self._last_address
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
            self._log.warning("refused: %s; the last from %s", counts, self._last_address or "an unknown address")
            self._counts.clear()
