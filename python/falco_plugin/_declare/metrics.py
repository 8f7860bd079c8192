"""The metrics that a plugin declares, checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any, TypeVar

from falco_plugin import _core
from falco_plugin._declare.capabilities import COMPUTED_GAUGE
from falco_plugin._declare.fields import ATTRIBUTE
from falco_plugin.errors import PluginError

Method = TypeVar("Method", bound=Callable[..., Any])

RESERVED = "sdk_"
"""The beginning of the names of the SDK's own metrics."""
DEFAULT_EVERY = 10.0
"""Seconds between two calls of the method of a gauge."""

_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_MOST_CHARACTERS = 200
"""Longest name. Falco cuts the names of plugin and metric, with a dot between them, at 511 bytes."""
_UNITS = re.compile(r"_percentage|_ratio|_bytes|_total|_perc|_sec|_kb|_mb|_ns|_ts")
"""The units that Falco removes from the names of metrics for Prometheus before it appends ``_total``."""
_RESERVED_ATTRIBUTES = frozenset({"config", "extract_event_sources", "log"})
"""Attributes of ``Plugin`` that a metric would hide, besides those that other checks report."""


class ComputedGauge:
    """The declaration of a gauge whose value a method returns."""

    __slots__ = ("every", "name")

    def __init__(self, name: str, every: float) -> None:
        self.name = name
        self.every = every
        """Seconds between two calls."""


class Metric:
    """One metric of a plugin object."""

    __slots__ = ("every", "method", "name", "value")

    def __init__(
        self,
        name: str,
        value: _core.Counter | _core.Gauge,
        method: Callable[[], object] | None = None,
        every: float = 0.0,
    ) -> None:
        self.name = name
        """The name without that of the plugin."""
        self.value = value
        """Has the value, which the host reads."""
        self.method = method
        """Returns the value of a computed gauge."""
        self.every = every
        """Seconds between two calls of the method."""


def computed(name: str, desc: str | None = None, every: object = None) -> Callable[[Method], Method]:
    """Implements ``Gauge.computed``."""
    for parameter, text in (("name", name), ("desc", "" if desc is None else desc)):
        if not isinstance(text, str):
            raise TypeError(f"{parameter} must be str, got {type(text).__name__}")
    declaration = ComputedGauge(name, _seconds(DEFAULT_EVERY if every is None else every))

    def declare(method: Method) -> Method:
        function: object = method
        if not isinstance(function, FunctionType):
            raise TypeError(f"gauge {name}: @Gauge.computed is for methods, not for {type(function).__name__}")
        setattr(function, COMPUTED_GAUGE, declaration)
        return method

    return declare


def _seconds(every: Any) -> float:
    # Without an import of datetime, which a plugin may not need.
    if callable(total_seconds := getattr(every, "total_seconds", None)):
        every = total_seconds()
    if not isinstance(every, int | float):
        raise TypeError(f"every must be a number of seconds or a timedelta, got {type(every).__name__}")
    if not 0 < every < float("inf"):
        raise ValueError(f"every must be more than 0 seconds, got {every}")
    return float(every)


def declared_by(plugin: object) -> list[Metric]:
    """Returns the metrics of a plugin in the order of their declaration, those of base classes first.

    Raises:
        PluginError: the declaration of a metric is wrong. The message names the metric.
    """
    metrics: list[Metric] = []
    for attribute, value in _declarations(type(plugin)):
        name = value.name if isinstance(value, _core.Counter | _core.Gauge) else _declaration_of(value).name
        try:
            _check_name(name, [metric.name for metric in metrics])
            metrics.append(_metric_of(plugin, attribute, name, value))
        except PluginError as error:
            refused = PluginError(f"metric {name}: {error}")
            setattr(refused, ATTRIBUTE, attribute)
            raise refused from None
    return metrics


def _declarations(cls: type) -> Iterator[tuple[str, Any]]:
    """Yields the attributes that are metrics.

    A subclass that overrides the method of a computed gauge keeps the gauge; with ``None`` in its place it removes the
    metric.
    """
    attributes: dict[str, Any] = {}
    declared: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        attributes.update(vars(base))
        for attribute, value in vars(base).items():
            if isinstance(value, _core.Counter | _core.Gauge) or _is_computed(value):
                declared[attribute] = value
    for attribute, value in declared.items():
        if attributes[attribute] is not None:
            yield attribute, value


def _is_computed(value: object) -> bool:
    return isinstance(value, FunctionType) and isinstance(getattr(value, COMPUTED_GAUGE, None), ComputedGauge)


def _declaration_of(method: object) -> ComputedGauge:
    declaration: ComputedGauge = getattr(method, COMPUTED_GAUGE)
    return declaration


def _metric_of(plugin: object, attribute: str, name: str, value: object) -> Metric:
    if attribute in _RESERVED_ATTRIBUTES:
        raise PluginError(f"it hides the plugin's own {attribute!r}: give its attribute another name")
    found: Any = getattr(plugin, attribute)
    if isinstance(value, _core.Counter | _core.Gauge):
        if type(found) is not type(value):
            kind, call = type(value).__name__, "add(n)" if isinstance(value, _core.Counter) else "set(value)"
            raise PluginError(
                f"self.{attribute} was replaced by {type(found).__name__}, so the {kind} has no value: "
                f"use self.{attribute}.{call}"
            )
        return Metric(name, found)
    declaration = _declaration_of(value)
    if not callable(found):
        raise PluginError(f"self.{attribute} was replaced by {type(found).__name__}, which cannot be called")
    return Metric(name, _core.Gauge(name), found, declaration.every)


def _check_name(name: str, others: list[str]) -> None:
    if not _NAME.fullmatch(name) or len(name) > _MOST_CHARACTERS:
        raise PluginError(
            f"Falco and Prometheus do not accept this name: use at most {_MOST_CHARACTERS} lower-case letters, digits "
            "and '_', beginning with a letter, such as lookups_failed"
        )
    exported = exported_name(name)
    if name.startswith(RESERVED) or exported.removesuffix("_total").startswith(RESERVED):
        raise PluginError(f"names that begin with {RESERVED} are reserved for the metrics of the SDK: use another name")
    if name in others:
        raise PluginError("the metric is declared twice: give one of the two another name")
    for other in others:
        if exported_name(other) == exported:
            raise PluginError(
                f"Falco exports it to Prometheus under the same name as {other}, because it removes units such as "
                f"_bytes and _total, and Prometheus refuses all metrics then: use another name"
            )


def exported_name(name: str) -> str:
    """Returns the name that Falco exports to Prometheus, without the names of Falco and of the plugin.

    Falco removes units from the name, and appends ``_total`` to every metric of a plugin.
    """
    stripped = _UNITS.sub("", f".{name}_")[1:] + "total"
    return re.sub("_+", "_", stripped).lstrip("_")
