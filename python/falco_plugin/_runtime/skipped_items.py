"""Counts the items that a source skips with ``on_error="log"``, and logs each cause at most once a minute."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from falco_plugin._declare.words import counted
from falco_plugin._runtime import code_owner, failures

INTERVAL = 60.0
"""Seconds between two log lines about one cause."""


@dataclass
class _Cause:
    count: int = 0
    """Skipped items."""
    logged: int = 0
    """Skipped items of which a log line has reported."""
    next_line: float = 0.0
    """Time of the clock at which the next log line is due."""
    latest: str = ""
    """The latest error."""


class SkippedItems:
    """The items that one source skips. Several threads may report them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._owner = code_owner.of_stack()
        self._clock = clock
        self._lock = threading.Lock()
        self._causes: dict[str, _Cause] = {}
        self._is_finished = False

    def report(self, error: BaseException) -> None:
        """Counts an item, and logs the error unless its cause was logged within the last minute."""
        text = failures.describe(error)
        if location := code_owner.innermost_line():
            text = f"{text} ({location})"
        now = self._clock()
        with self._lock:
            cause = self._causes.setdefault(type(error).__name__, _Cause())
            cause.count += 1
            cause.latest = text
            if now < cause.next_line and not self._is_finished:
                return
            cause.next_line = now + INTERVAL
            line = self._line(cause)
        self._log(line)

    def finish(self) -> None:
        """Logs the counts that were not logged yet. Called when the source has ended."""
        with self._lock:
            self._is_finished = True
            lines = [self._line(cause) for cause in self._causes.values() if cause.count > cause.logged]
        for line in lines:
            self._log(line)

    def _line(self, cause: _Cause) -> str:
        more, cause.logged = cause.count - cause.logged, cause.count
        if more == cause.count:
            return f'skipped {counted(more, "item")} (on_error="log"): {cause.latest}'
        skipped = f"skipped {counted(more, 'more item')}, {cause.count:,} in total"
        return f'{skipped} (on_error="log"), the latest: {cause.latest}'

    def _log(self, line: str) -> None:
        # A channel may be made in `init`, before the name of the plugin is known.
        name = (self._owner and self._owner.plugin) or "falco_plugin"
        source = (self._owner and self._owner.event_source) or "a source"
        logging.getLogger(name).warning("%s: %s", source, line)
