"""Listening: what a plugin does when a capture begins and ends, and at intervals in between."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from falco_plugin._declare.durations import seconds_of
from falco_plugin.errors import PluginError

__all__ = ["Capture"]


class Capture:
    """A capture of Falco, which is passed to ``capture_open`` and ``capture_close``."""

    def __init__(self) -> None:
        self._routines: list[tuple[float, Callable[[], object]]] | None = []

    def every(self, seconds: float | timedelta, function: Callable[[], object]) -> None:
        """Calls a function at intervals while the capture is open. Can be called in ``capture_open`` only.

        The first call comes when the interval has passed. Calls of one function do not overlap: one that takes longer
        than the interval delays the next. They are made by a thread of Falco's pool if it has one, else by a thread of
        the SDK, and beside the plugin's other methods. Before ``capture_close`` they are stopped; one that is running
        then has a second to return.

        An exception is logged once for each cause, and the next call is made.

        Args:
            seconds: the interval, in seconds or as a ``timedelta``.
            function: a callable without arguments.

        Raises:
            PluginError: ``capture_open`` has returned.
            TypeError: ``seconds`` is neither a number nor a ``timedelta``, or the function is not callable.
            ValueError: the interval is not more than 0 seconds.
        """
        interval = seconds_of("seconds", seconds)
        if not callable(function):
            raise TypeError(f"function must be callable without arguments, got {type(function).__name__}")
        if self._routines is None:
            raise PluginError("Capture.every can be called in capture_open only: call it there for each function")
        self._routines.append((interval, function))

    def _take_routines(self) -> list[tuple[float, Callable[[], object]]]:
        """Returns the intervals with their functions. No more can be added afterwards."""
        routines, self._routines = self._routines or [], None
        return routines
