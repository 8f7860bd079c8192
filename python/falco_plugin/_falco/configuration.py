"""Writes the configuration of a Falco that runs some plugins with some rules, and does nothing else."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

PluginConfig = str | Mapping[str, Any]
RuleMatching = Literal["first", "all"]


@dataclass(frozen=True)
class LoadedPlugin:
    """A plugin that Falco loads."""

    name: str
    library: Path
    config: PluginConfig = ""
    """The ``init_config``: a string, or a mapping, which Falco passes as JSON."""
    params: str = ""
    """The ``open_params``."""

    def entry(self) -> dict[str, Any]:
        """Returns its entry in the configuration."""
        return {
            "name": self.name,
            "library_path": str(self.library.resolve()),
            "init_config": self.config,
            "open_params": self.params,
        }


def write(
    path: Path,
    plugins: Sequence[LoadedPlugin],
    rules: Sequence[Path],
    *,
    rule_matching: RuleMatching = "first",
    scap: str | None = None,
) -> None:
    """Writes a configuration.

    Args:
        path: the file to write.
        plugins: the plugins, in the order in which Falco loads them.
        rules: the rule files.
        rule_matching: whether only the first rule that matches an event fires, or all of them.
        scap: a capture file whose events replace those of the plugins' sources.
    """
    engine: dict[str, Any] = {"kind": "nodriver"}
    if scap is not None:
        engine = {"kind": "replay", "replay": {"capture_file": os.path.abspath(scap)}}
    configuration = {
        "engine": engine,
        "plugins": [plugin.entry() for plugin in plugins],
        "load_plugins": [plugin.name for plugin in plugins],
        "rules_files": [str(file.resolve()) for file in rules],
        "rule_matching": rule_matching,
        "json_output": True,
        "json_include_output_property": True,
        "json_include_tags_property": True,
        "json_include_output_fields_property": True,
        "buffered_outputs": False,
        # The command reads alerts more slowly than Falco makes them; the default of 2 s would report blocked outputs.
        "output_timeout": 600_000,
        "priority": "debug",
        "stdout_output": {"enabled": True},
        "syslog_output": {"enabled": False},
        "webserver": {"enabled": False},
        "watch_config_files": False,
        "log_stderr": True,
        "log_syslog": False,
        "log_level": "info",
        "libs_logger": {"enabled": True, "severity": "info"},
    }
    # JSON is YAML, too, and needs no rules for quotes.
    path.write_text(json.dumps(_escaped(configuration), ensure_ascii=False, indent=1), encoding="utf-8")


def _escaped(value: Any) -> Any:
    """Escapes ``${``, which Falco would replace by the value of an environment variable."""
    match value:
        case str():
            return value.replace("${", "$${")
        case Mapping():
            return {key: _escaped(member) for key, member in value.items()}
        case list() | tuple():
            return [_escaped(element) for element in value]
        case _:
            return value
