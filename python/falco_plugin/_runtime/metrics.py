"""Computes the gauges whose values methods return, on a thread of the SDK."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from falco_plugin import _core
from falco_plugin._declare.metrics import Metric
from falco_plugin._runtime import failures
from falco_plugin._runtime.repeated_failures import RepeatedFailures

STOPS_WITHIN = 1.0
"""Seconds that a method has to return when the plugin is destroyed."""


class ComputedGauges:
    """The computed gauges of one plugin. The thread that makes the object computes them first."""

    def __init__(self, metrics: Sequence[Metric], plugin: int) -> None:
        """Computes all gauges, and starts the thread that does it again.

        Args:
            metrics: the gauges, each with its method.
            plugin: the number of the plugin, for its log.
        """
        self._metrics = metrics
        self._plugin = plugin
        self._stopped = _core.Context()
        locations = {metric.name: failures.definition_of(metric.method) for metric in metrics}
        self._failures = RepeatedFailures("gauge %s", "gauge %s failed", "gauge %s failed %d times", locations)
        for metric in metrics:
            self._compute(metric)
        now = time.monotonic()
        self._due = [now + metric.every for metric in metrics]
        self._thread = threading.Thread(target=self._run, name="falco-metrics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, and logs the failures that were not logged yet.

        Waits for a method that runs, but only for a second.
        """
        self._stopped.cancel()
        self._thread.join(STOPS_WITHIN)
        if self._thread.is_alive():
            failures.warn(
                "the method of a computed gauge did not return in time and is left running: let it return within "
                f"{STOPS_WITHIN:g} s"
            )
        self._failures.log_rest()

    def _run(self) -> None:
        """Computes each gauge when it is due. This is the function of the thread."""
        _core.set_current_plugin(self._plugin)
        while not self._stopped.wait(max(0.0, min(self._due) - time.monotonic())):
            for index, metric in enumerate(self._metrics):
                if self._due[index] <= time.monotonic() and not self._stopped.cancelled:
                    self._compute(metric)
                    # Count from the end of the call: a slow method must not run without pause.
                    self._due[index] = time.monotonic() + metric.every

    def _compute(self, metric: Metric) -> None:
        assert metric.method is not None
        assert isinstance(metric.value, _core.Gauge)
        try:
            value = metric.method()
            _core.end_child()
            metric.value.set(value)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - it is checked
        except BaseException as error:
            self._failures.add(metric.name, error)
