"""The capabilities of a plugin object, after all checks that Falco or this SDK makes of a plugin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from falco_plugin._declare import attributes, fields, methods, metrics
from falco_plugin._declare.config_class import config_class
from falco_plugin._declare.registry import is_source
from falco_plugin.errors import PluginError


class Capabilities(NamedTuple):
    """The capabilities of a plugin, as its library declares them."""

    is_source: bool
    """Whether the plugin is an event source."""
    fields: list[fields.Field]
    """The fields that the plugin extracts."""
    extract_event_sources: Sequence[str]
    """The event sources whose events have these fields. If empty: its own source, or every source if it has none."""
    config: type | None
    """The class of the plugin's configuration; ``None`` if the configuration is a ``str``."""
    metrics: list[metrics.Metric]
    """The metrics that the plugin declares."""


def check(plugin: Any) -> Capabilities:
    """Checks a plugin and returns its capabilities.

    Raises:
        PluginError: Falco, or this SDK, does not accept the plugin.
    """
    for problem in attributes.problems(plugin):
        raise PluginError(problem)
    name = attributes.class_name(plugin)
    for method, problem in methods.problems(plugin):
        error = PluginError(f"{name}.{method}{problem}")
        setattr(error, fields.ATTRIBUTE, method)
        raise error
    declared = fields.declared_by(plugin)
    sources = getattr(plugin, "extract_event_sources", ())
    for problem in _source_problems(plugin, declared, sources):
        raise PluginError(f"{name}{problem}")
    config = config_class(type(plugin))
    return Capabilities(is_source(plugin), declared, tuple(sources), config, metrics.declared_by(plugin))


def _source_problems(plugin: Any, declared: list[fields.Field], sources: object) -> Iterator[str]:
    """Yields what is wrong with the plugin's event sources. Each continues a message that begins with its class."""
    if not is_source(plugin) and not declared:
        yield (
            " has no capability: define open(self, params) to make it an event source, or fields to extract from events"
        )
    if isinstance(sources, str) or not isinstance(sources, Sequence):
        yield f": extract_event_sources must be a tuple of names, not {type(sources).__name__}"
        return
    for name in sources:
        if not attributes.is_event_source(name):
            yield (
                f": extract_event_sources has {name!r}, which is not the name of a plugin's event source: "
                "use its event_source"
            )
    if sources and not declared:
        yield " has extract_event_sources but no fields to extract: declare fields, or remove extract_event_sources"
    if not is_source(plugin) and not sources and "event_source" in attributes.set_by_user(type(plugin)):
        yield (
            f" has event_source but no open(self, params) to make its events: define open, or name the sources of its "
            f"fields, as in extract_event_sources = ({plugin.event_source!r},)"
        )
