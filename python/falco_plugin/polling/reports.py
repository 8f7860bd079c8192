"""Logs repeated conditions at most once a minute, with a count."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

_INTERVAL = 60.0


class Reports:
    """Counts reports by their kind, and logs the first of each kind in a minute.

    Args:
        log: receives the lines.
        now: returns the time in seconds, from any start.
    """

    def __init__(self, log: logging.Logger, now: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._now = now
        self._logged: dict[str, float] = {}
        self._pending: dict[str, tuple[int, int, str]] = {}

    def report(self, level: int, kind: str, text: str, *, always: bool = False) -> None:
        """Logs a line, with the number of lines of its kind that were omitted before it.

        Args:
            level: of the line, as in ``logging``.
            kind: of what happened. Each kind is remembered, so there must be few.
            text: of the line.
            always: whether to log it even if another one was logged less than a minute ago.
        """
        omitted = self._pending.pop(kind, (0, level, text))[0]
        if always or self._is_due(kind):
            self._write(level, kind, text, omitted)
        else:
            self._pending[kind] = omitted + 1, level, text

    def report_pending(self, *, always: bool = False) -> None:
        """Logs the last line of each kind that was omitted, once a minute has passed.

        Any thread may call it.

        Args:
            always: whether to log them even if the minute has not passed.
        """
        for kind in list(self._pending):
            if (always or self._is_due(kind)) and (pending := self._pending.pop(kind, None)):
                omitted, level, text = pending
                self._write(level, kind, text, omitted - 1)

    def _is_due(self, kind: str) -> bool:
        return self._now() - self._logged.get(kind, -math.inf) >= _INTERVAL

    def _write(self, level: int, kind: str, text: str, omitted: int) -> None:
        self._logged[kind] = self._now()
        self._log.log(level, "%s%s", text, f"; {omitted} more since the last report" if omitted else "")
