"""The plugins of a configuration of Falco, as options of ``falco-plugin run``."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from falco_plugin._build import host
from falco_plugin._build import target as targets
from falco_plugin._build.errors import TargetError
from falco_plugin._falco import falco_yaml
from falco_plugin._falco.errors import FalcoError
from falco_plugin._falco.falco_yaml import ConfiguredPlugin
from falco_plugin.cli._output import fail, warn
from falco_plugin.cli._source_options import SourceOptions
from falco_plugin.cli._targets import reported_errors


@dataclass(frozen=True)
class _Metadata:
    """The metadata on which the part of a plugin in a run depends."""

    name: str
    event_source: str | None
    is_used: bool
    """Whether it parses events, extracts fields or sends async events."""


def with_configuration(options: SourceOptions, target: str | None, path: Path, *, debug: bool) -> SourceOptions:
    """Returns options with the plugins, configurations and parameters of a configuration. Options that are set stay.

    Args:
        options: the options of the command.
        target: the plugin to run: a name in the configuration, or a target with that name. By default it is the only
            plugin that has an event source.
        path: the configuration.
        debug: whether an error shows its traceback.
    """
    try:
        plugins = falco_yaml.plugins_of(path)
    except FalcoError as error:
        fail(error.message)
    replaces_source = bool(options.scap or options.replacement)
    if target is None:
        running = _only_source(path, plugins, replaces_source)
        target = _library(path, running)
    elif (named := _find(plugins, target)) is not None and not Path(target).exists():
        running = named
        target = _library(path, running)
    else:
        with reported_errors(debug):
            name = _name_of(target)
        found = _find(plugins, name)
        if found is None:
            names = ", ".join(plugin.name for plugin in plugins)
            fail(f"{path} loads no plugin {name}, which is the name of {target} (plugins: {names})")
        running = found
    others: list[tuple[str, str]] = []
    for plugin in plugins:
        if plugin is not running:
            library = _library(path, plugin)
            if _metadata(path, plugin).is_used:
                others.append((library, plugin.config))
            else:
                warn(f"{plugin.name} only makes events, and run shows those of one source: it is left out")
    chosen = list(zip(options.others, [*options.other_configs, *[""] * len(options.others)], strict=False))
    return dataclasses.replace(
        options,
        target=target,
        config=options.config or running.config,
        params="" if replaces_source else options.params or running.params,
        others=tuple(library for library, _ in (*others, *chosen)),
        other_configs=tuple(config for _, config in (*others, *chosen)),
    )


def _find(plugins: Sequence[ConfiguredPlugin], name: str) -> ConfiguredPlugin | None:
    return next((plugin for plugin in plugins if plugin.name == name), None)


def _only_source(path: Path, plugins: Sequence[ConfiguredPlugin], replaces_source: bool) -> ConfiguredPlugin:
    if len(plugins) == 1:
        return plugins[0]
    sources = [plugin for plugin in plugins if _metadata(path, plugin).event_source is not None]
    if not sources and replaces_source:
        return plugins[0]
    if len(sources) != 1:
        several = f"several plugins with an event source: {', '.join(plugin.name for plugin in sources)}"
        reason = several if sources else "no plugin with an event source"
        fail(f"{path} loads {reason}: give TARGET, such as {(sources or plugins)[0].name}")
    return sources[0]


def _library(path: Path, plugin: ConfiguredPlugin) -> str:
    if not Path(plugin.library).is_file():
        fail(
            f"{path}: the library of the plugin {plugin.name} does not exist: {plugin.library}: install it, or "
            "give the plugin's file or folder as TARGET"
        )
    return plugin.library


def _metadata(path: Path, plugin: ConfiguredPlugin) -> _Metadata:
    try:
        return _read_metadata(_library(path, plugin))
    except TargetError as error:
        fail(str(error))


def _name_of(target: str) -> str:
    if targets.is_library(target):
        return _read_metadata(target).name
    return str(targets.load(target).plugin.name)


def _read_metadata(library: str) -> _Metadata:
    status, output, errors = host.output(["info", library, "--json"])
    if status != 0:
        raise TargetError(errors.strip().rpartition("falco-plugin-host: ")[2] or f"{library} cannot be read")
    info: dict[str, Any] = json.loads(output)
    is_used = bool(info["fields"]) or {"parsing", "async events"}.intersection(info["capabilities"])
    return _Metadata(info["name"], info["event_source"], bool(is_used))
