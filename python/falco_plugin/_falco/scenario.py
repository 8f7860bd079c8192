"""Builds the plugins of a run, and decides which of them makes the events."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from falco_plugin._build import target as targets
from falco_plugin._falco import plugins as built_plugins
from falco_plugin._falco import written_events
from falco_plugin._falco.configuration import LoadedPlugin, PluginConfig, RuleMatching
from falco_plugin._falco.errors import FalcoError
from falco_plugin._falco.process import Setup

if TYPE_CHECKING:
    from falco_plugin._falco.find import Falco
    from falco_plugin._falco.plugins import BuiltPlugin

COUNT_FIELDS = {"FALCO_PLUGIN_COUNT_FIELDS": "1"}
"""Makes the SDK log the counts of each field when a plugin is destroyed."""


@dataclass(frozen=True)
class Scenario:
    """Plugins that are built, and the Falco that runs them."""

    falco: Falco
    folder: Path
    plugins: Sequence[BuiltPlugin]
    source: BuiltPlugin | None
    """The plugin that makes the events; ``None`` if a capture file has them."""
    variables: dict[str, str] = field(default_factory=lambda: dict(COUNT_FIELDS))
    """Environment variables for Falco."""

    def setup(
        self,
        rules: Sequence[Path],
        *,
        configs: Sequence[PluginConfig] = (),
        params: str = "",
        scap: str | None = None,
        rule_matching: RuleMatching = "first",
        folder: Path | None = None,
    ) -> Setup:
        """Returns what Falco runs.

        Args:
            rules: the rule files.
            configs: the ``init_config`` of each plugin, in the order in which they were given.
            params: the ``open_params`` of the source.
            scap: a capture file whose events replace those of the source.
            rule_matching: whether only the first rule that matches an event fires, or all of them.
            folder: the folder of the configuration, if it is not that of the libraries.
        """
        padded = [*configs, *[""] * (len(self.plugins) - len(configs))]
        loaded = [
            LoadedPlugin(plugin.name, plugin.library, config, params if plugin is self.source else "")
            for plugin, config in zip(self.plugins, padded, strict=False)
        ]
        # The source first: parsing and extraction need its event source.
        loaded.sort(key=lambda plugin: self.source is not None and plugin.library != self.source.library)
        source = self.source.event_source if self.source is not None else None
        members = source, scap, rule_matching, self.variables
        return Setup(self.falco, loaded, rules, folder or self.folder, *members)

    def write_events(self, events: Iterable[written_events.WrittenEvent]) -> str:
        """Writes the events of a test, and returns the open params with which the source reads them."""
        path = Path(tempfile.mkdtemp(dir=self.folder)) / "events"
        path.parent.chmod(0o755)
        written_events.write(path, events)
        return str(path)


def prepare(falco: Falco, folder: Path, all_targets: Sequence[str], *, has_capture: bool = False) -> Scenario:
    """Builds plugins. The first that is a source makes the events.

    Raises:
        TargetError: a plugin cannot be built.
        FalcoError: none of them is a source.
    """
    built = [built_plugins.build(target, folder, self_contained=falco.is_container) for target in all_targets]
    source = None if has_capture else next((plugin for plugin in built if plugin.event_source is not None), None)
    if source is None and not has_capture:
        raise FalcoError(f"{built[0].name} makes no events: name the plugin that makes them, such as --with SOURCE")
    return Scenario(falco, folder, built, source)


def prepare_with_events(
    falco: Falco, folder: Path, all_targets: Sequence[str], event_source: str | None = None
) -> Scenario:
    """Builds plugins whose events a test writes. They replace those of the first plugin.

    If the first plugin only extracts, a plugin is added that makes the events.

    Args:
        falco: the Falco.
        folder: a folder for libraries.
        all_targets: the plugin that is tested, and further ones.
        event_source: the source of the events, for a plugin that extracts from every source.

    Raises:
        TargetError: a plugin cannot be built.
        FalcoError: the first plugin is a library, or its event source is not known.
    """
    first, *others = all_targets
    if targets.is_library(first):
        raise FalcoError(f"{first} is a library, whose events cannot be replaced: give the plugin's file or folder")
    loaded = targets.load(first)
    is_source = loaded.capabilities.is_source
    tested = written_events.replace_source(loaded) if is_source else loaded
    built = [built_plugins.write(tested, folder, self_contained=falco.is_container)]
    built += [built_plugins.build(target, folder, self_contained=falco.is_container) for target in others]
    source = built[0]
    if not is_source:
        name = written_events.source_for(built[0].extract_event_sources, event_source)
        stand_in = written_events.load_source(name, Path(tempfile.mkdtemp(dir=folder)))
        source = built_plugins.write(stand_in, folder, self_contained=falco.is_container)
        built.append(source)
    return Scenario(falco, folder, built, source)
