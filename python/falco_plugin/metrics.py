"""Metrics: numbers of a plugin that Falco exports, to Prometheus among others."""

from falco_plugin._core import Counter, Gauge

__all__ = ["Counter", "Gauge"]
