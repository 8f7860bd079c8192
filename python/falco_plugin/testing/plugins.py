"""The plugins that tests pass to :func:`falco_plugin.testing.run`, and their libraries."""

from __future__ import annotations

import inspect
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from falco_plugin._build import target as targets
from falco_plugin._build.errors import TargetError
from falco_plugin.errors import PluginError
from falco_plugin.plugin import Plugin

TestedPlugin: TypeAlias = str | os.PathLike[str] | type[Plugin] | Callable[[], object]
"""``path.py[:Name]``, a folder, a library, a plugin class, or a factory function."""

Config: TypeAlias = str | Mapping[str, Any] | None
"""The ``init_config``: a string, or a mapping, which is passed as JSON as Falco passes a mapping of ``falco.yaml``."""

FurtherPlugin: TypeAlias = TestedPlugin | tuple[TestedPlugin, Config]
"""A further plugin, or a pair of a further plugin and its ``init_config``."""


def config_text(config: Config) -> str:
    """Returns an ``init_config`` as a string."""
    if config is None or isinstance(config, str):
        return config or ""
    return json.dumps(dict(config))


def pairs_of(plugins: Sequence[FurtherPlugin]) -> list[tuple[TestedPlugin, Config]]:
    """Returns each further plugin with its ``init_config``.

    Raises:
        TypeError: ``plugins`` is not a list of plugins.
    """
    if isinstance(plugins, type) or not isinstance(plugins, Iterable) or isinstance(plugins, str):
        name = plugins.__name__ if isinstance(plugins, type) else type(plugins).__name__
        raise TypeError(f"plugins must be a list of plugins, not {name}")
    pairs: list[tuple[TestedPlugin, Config]] = []
    for further in plugins:
        plugin, config = further if isinstance(further, tuple) else (further, None)
        if not (isinstance(plugin, str | os.PathLike) or callable(plugin)):
            raise TypeError(f"plugins must be plugins or pairs of plugin and config, not {type(plugin).__name__}")
        pairs.append((plugin, config))
    return pairs


def library_of(plugin: TestedPlugin, folder: Path) -> Path:
    """Returns the library of a plugin. Builds one below the folder, unless the plugin is a library.

    Raises:
        PluginError: the plugin cannot be built.
    """
    target = target_of(plugin)
    if targets.is_library(target):
        return Path(target)
    try:
        # Two plugins with the same name have libraries with the same name, so each gets its own folder.
        return targets.load(target).write_into(Path(tempfile.mkdtemp(dir=folder)))
    except TargetError as error:
        raise PluginError(str(error)) from error.__cause__


def target_of(plugin: TestedPlugin) -> str:
    """Returns the target that names a plugin on the command line."""
    if isinstance(plugin, str | os.PathLike):
        return os.fspath(plugin)
    name = plugin.__qualname__ if isinstance(plugin, type) else getattr(plugin, "__qualname__", "")
    file = inspect.getsourcefile(plugin) if name else None
    if file is None or "." in name:
        raise PluginError(
            f"{plugin!r} cannot be built: pass a class or function of the top level of a module, or the path of a file"
        )
    return f"{file}:{name}"
