"""The manifest of a plugin library: its static answers to Falco, and the environment or the bundle that it uses."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from falco_plugin import _core
from falco_plugin._build import environment
from falco_plugin._build.errors import TargetError
from falco_plugin._declare import events, parsing
from falco_plugin._declare.capabilities import Capabilities
from falco_plugin.plugin import Plugin

if TYPE_CHECKING:
    from falco_plugin._build.self_contained import Bundle

_REQUIRED_API_VERSION = "3.5.0"
"""The lowest version of the plugin API with all struct fields that the SDK reads: the init input has ``log_fn`` since
Falco 0.38."""
_REQUIRED_API_VERSION_OF_FIELDS = "3.11.0"
"""The same for a library with fields, whose extraction input has ``value_offsets``."""

_REQUIRED_API_VERSION_OF_LISTENING = "3.7.0"
"""The same for a library that listens to captures, whose functions have an input with ``routine``."""


def manifest_of(plugin: Any, capabilities: Capabilities, schema: str, entry: str, folder: str) -> dict[str, str]:
    """Returns the part of the manifest that does not depend on where Python comes from.

    Args:
        plugin: the plugin object.
        capabilities: its capabilities.
        schema: the JSON schema of its configuration; empty if the configuration is a ``str``.
        entry: the entry point, ``module:name``.
        folder: the folder of its files, which tracebacks show; empty if they show the library.
    """
    fields = [field.describe() for field in capabilities.fields]
    async_events = capabilities.async_events
    return {
        "name": plugin.name,
        "version": plugin.version,
        "description": plugin.description,
        "contact": plugin.contact,
        "required_api_version": _required_api_version(capabilities),
        "id": str(plugin.id),
        "event_source": plugin.event_source,
        "fields": json.dumps(fields, ensure_ascii=False, separators=(",", ":")) if fields else "",
        "extract_event_sources": json.dumps(capabilities.extract_event_sources),
        "async_events": json.dumps(async_events.names) if async_events else "",
        "async_event_sources": json.dumps(async_events.sources if async_events else []),
        "extract_event_types": _extract_event_types(capabilities),
        **_parsing(capabilities),
        "schema": schema,
        "entry": entry,
        "folder": folder,
        "sdk_version": _core.SDK_VERSION,
        "python_version": environment.python_version(),
    }


def _required_api_version(capabilities: Capabilities) -> str:
    if capabilities.fields:
        return _REQUIRED_API_VERSION_OF_FIELDS
    return _REQUIRED_API_VERSION_OF_LISTENING if capabilities.listens else _REQUIRED_API_VERSION


def _extract_event_types(capabilities: Capabilities) -> str:
    """Returns the codes of the events that have fields; empty for every type."""
    names = capabilities.extract_event_types
    return ",".join(map(str, events.codes([events.PLUGIN_EVENT] if names is None else names)))


def _parsing(capabilities: Capabilities) -> dict[str, str]:
    """Returns the types and the sources of the events that the plugin parses."""
    if not capabilities.parse_methods:
        return {}
    codes, sources = parsing.event_codes(capabilities.parse_methods), parsing.event_sources(capabilities.parse_methods)
    return {"parse_event_types": ",".join(map(str, codes)), "parse_event_sources": json.dumps(sources)}


def _requires_schema(capabilities: Capabilities) -> bool:
    """Returns whether the plugin reads events whose parameters the event schema defines: not only plugin events."""
    extracts = bool(capabilities.fields) and capabilities.extract_event_types is not None
    codes = parsing.event_codes(capabilities.parse_methods)
    return extracts or codes not in ([], events.codes([events.PLUGIN_EVENT]))


def environment_of_this_python() -> dict[str, str]:
    """Returns the rest of the manifest of a linked library.

    Raises:
        TargetError: this Python has no shared library.
    """
    try:
        libpython = environment.libpython()
    except FileNotFoundError as error:
        raise TargetError(str(error)) from None
    return {
        "python_source": "environment",
        "libpython": libpython,
        "core": os.path.realpath(_core.__file__),
        "python": sys.executable,
        "folders": "\n".join(environment.folders()),
    }


def bundle_of(bundle: Bundle) -> dict[str, str]:
    """Returns the rest of the manifest of a self-contained library."""
    return {
        "python_source": "bundle",
        "bundle_id": bundle.id,
        "libpython": environment.libpython_name(),
        "glibc": bundle.contents["glibc"],
        "contents": json.dumps(bundle.contents, ensure_ascii=False, separators=(",", ":")),
    }


def hidden_symbols(plugin: Any, capabilities: Capabilities, schema: str) -> frozenset[str]:
    """Returns the symbols that the library must not export, because Falco infers a capability from a symbol."""
    symbols = _core.capability_symbols()
    hidden: set[str] = set()
    method = getattr(type(plugin), "list_open_params", None)
    if method is None or method is Plugin.list_open_params:
        hidden.add("plugin_list_open_params")
    method = getattr(type(plugin), "set_config", None)
    if method is None or method is Plugin.set_config:
        hidden.add("plugin_set_config")
    if not capabilities.is_source:
        hidden.update(symbols["sourcing"])
    if not capabilities.fields:
        hidden.update(symbols["extraction"])
    if not capabilities.async_events:
        hidden.update(symbols["async events"])
    elif not capabilities.async_events.dumps_state:
        hidden.add("plugin_dump_state")
    if not capabilities.listens:
        hidden.update(symbols["listening"])
    if not capabilities.parse_methods:
        hidden.update(symbols["parsing"])
    if not _requires_schema(capabilities):
        hidden.add("plugin_get_required_event_schema_version")
    if not schema:
        hidden.add("plugin_get_init_schema")
    return frozenset(hidden)
