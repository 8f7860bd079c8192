"""Counts the items that a source leaves out with ``on_error="log"``, and logs each cause at most once a minute."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from falco_plugin._runtime import code_owner as _owner
from falco_plugin._runtime import failures as _failure

INTERVAL = 60.0
"""Seconds between two log lines about one cause."""


@dataclass
class _Cause:
    count: int = 0
    logged: int = 0
    """How many of them were logged."""
    next_line: float = 0.0
    """When the next log line is due."""
    latest: str = ""


class LeftOut:
    """The items that one source leaves out. Its producers may be several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._owner = _owner.of_caller()
        self._clock = clock
        self._lock = threading.Lock()
        self._causes: dict[str, _Cause] = {}
        self._finished = False

    def report(self, error: BaseException) -> None:
        """Counts an item, and logs its cause unless that was logged within the last minute."""
        text = _failure.describe(error)
        if place := _owner.place_of_caller():
            text = f"{text} ({place})"
        now = self._clock()
        with self._lock:
            cause = self._causes.setdefault(type(error).__name__, _Cause())
            cause.count += 1
            cause.latest = text
            if now < cause.next_line and not self._finished:
                return
            cause.next_line = now + INTERVAL
            line = self._line(cause)
        self._log(line)

    def finish(self) -> None:
        """Logs the items that were not logged yet. Called when the source has ended."""
        with self._lock:
            self._finished = True
            lines = [self._line(cause) for cause in self._causes.values() if cause.count > cause.logged]
        for line in lines:
            self._log(line)

    def _line(self, cause: _Cause) -> str:
        more, cause.logged = cause.count - cause.logged, cause.count
        items = "item" if more == 1 else "items"
        if more == cause.count:
            return f'left out {more} {items} (on_error="log"): {cause.latest}'
        return f'left out {more} more {items}, {cause.count} in all (on_error="log"), such as: {cause.latest}'

    def _log(self, line: str) -> None:
        # A channel may be made before the plugin's name is known.
        name = (self._owner and self._owner.plugin) or "falco_plugin"
        source = (self._owner and self._owner.event_source) or "a source"
        logging.getLogger(name).warning("%s: %s", source, line)
