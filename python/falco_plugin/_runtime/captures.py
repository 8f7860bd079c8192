"""The captures that a plugin listens to, and the functions that it wants to be called in them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from falco_plugin._runtime.failures import definition_of
from falco_plugin._runtime.repeated_failures import RepeatedFailures
from falco_plugin.listening import Capture


class Captures:
    """Calls ``capture_open`` and ``capture_close`` of a plugin."""

    def __init__(self, plugin: Any) -> None:
        self._plugin = plugin
        self._capture: Capture | None = None
        self._locations: dict[str, str] = {}
        self._failures = RepeatedFailures(
            "%s", "%s of Capture.every failed", "%s of Capture.every failed %d times", self._locations
        )

    def open(self) -> list[tuple[float, Callable[[], bool]]]:
        """Begins a capture.

        Returns:
            The intervals in seconds, each with a function to call until the capture ends. The functions do not raise.
            They return whether the call succeeded.
        """
        capture = Capture()
        if opened := getattr(self._plugin, "capture_open", None):
            opened(capture)
        self._capture = capture
        return [(seconds, functools.partial(self._call, function)) for seconds, function in capture._take_routines()]

    def close(self) -> None:
        """Ends the capture. Its functions are not called any more."""
        capture, self._capture = self._capture or Capture(), None
        capture._take_routines()
        if closed := getattr(self._plugin, "capture_close", None):
            closed(capture)

    def log_failures(self) -> None:
        """Logs the counts of failures that were not logged yet."""
        self._failures.log_rest()

    def _call(self, function: Callable[[], object]) -> bool:
        try:
            function()
            return True
        except BaseException as error:
            name = getattr(function, "__qualname__", type(function).__name__)
            self._locations.setdefault(name, definition_of(function))
            self._failures.add(name, error)
            return False
