"""Counts failures that can occur with every event, and logs only some of them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import NamedTuple

from falco_plugin._runtime.failures import describe, format_trace, location_of

_log = logging.getLogger("falco_plugin")


class _Cause(NamedTuple):
    subject: str
    kind: str
    location: str


class RepeatedFailures:
    """Logs the first failure of each cause with its traceback, then a count at the tenth, the hundredth, and so on."""

    def __init__(self, doing: str, first: str, count: str, locations: Mapping[str, str]) -> None:
        """Takes the messages, and the locations of failures whose traceback has no line of user code.

        Args:
            doing: the call that fails, with ``%s`` for the subject, such as the name of a field.
            first: the message of the first failure, with ``%s`` for the subject.
            count: the message with a count, with ``%s`` for the subject and ``%d`` for the count.
            locations: for each subject, the location at which its function is defined.
        """
        self._doing = doing
        self._first = first
        self._count = count
        self._locations = locations
        self._counts: dict[_Cause, int] = {}
        self._logged: dict[_Cause, int] = {}
        self._lock = threading.Lock()

    def add(self, subject: str, error: BaseException) -> None:
        """Counts a failure, and logs it if it is due."""
        location = location_of(error)
        cause = _Cause(subject, type(error).__name__, location or self._locations.get(subject, ""))
        with self._lock:
            count = self._counts[cause] = self._counts.get(cause, 0) + 1
            if count != 1 and count != 10 * self._logged.get(cause, 0):
                return
            self._logged[cause] = count
        if count == 1:
            where = "" if location or not cause.location else f" ({cause.location})"
            _log.error(
                f"{self._first}: %s%s%s", subject, describe(error, self._doing % subject), where, format_trace(error)
            )
        else:
            self._log_count(cause, count)

    def log_rest(self) -> None:
        """Logs the counts that were not logged yet."""
        with self._lock:
            rest = [(cause, count) for cause, count in self._counts.items() if count > self._logged[cause]]
        for cause, count in rest:
            self._log_count(cause, count)

    def _log_count(self, cause: _Cause, count: int) -> None:
        where = f" ({cause.location})" if cause.location else ""
        _log.error(f"{self._count}: %s%s", cause.subject, count, cause.kind, where)
