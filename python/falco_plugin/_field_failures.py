"""Failures of fields, which the host does not ask about: counted, and told in the log."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from falco_plugin._failure import describe, place_of, trace

_log = logging.getLogger("falco_plugin")


class FieldFailures:
    """The host asks for every event: each cause is told once, and its count from time to time."""

    def __init__(self, methods: Mapping[str, str]) -> None:
        """Takes where the method of each field stands, for errors that have no place of their own."""
        self._methods = methods
        self._counts: dict[tuple[str, str, str], int] = {}
        self._told: dict[tuple[str, str, str], int] = {}

    def tell(self, field: str, error: BaseException) -> None:
        """Counts a failure. The first of a cause is logged with its traceback; then every tenth, hundredth, …"""
        place = place_of(error)
        cause = (field, type(error).__name__, place or self._methods.get(field, ""))
        count = self._counts[cause] = self._counts.get(cause, 0) + 1
        told = self._told.get(cause, 0)
        if count != 1 and count != 10 * told:
            return
        # Before the log, which lets other threads run.
        self._told[cause] = count
        if count == 1:
            text = describe(error, f"field {field}")
            where = "" if place or not cause[2] else f" ({cause[2]})"
            _log.error("field %s is absent: %s%s%s", field, text, where, trace(error))
        else:
            self._tell_count(cause)

    def tell_rest(self) -> None:
        """Logs the counts that were not told yet."""
        for cause, count in list(self._counts.items()):
            if count > self._told.get(cause, 0):
                self._tell_count(cause)

    def _tell_count(self, cause: tuple[str, str, str]) -> None:
        field, kind, place = cause
        where = f" ({place})" if place else ""
        _log.error("field %s was absent %d times: %s%s", field, self._counts[cause], kind, where)
