"""The options of the native host for a run of a plugin."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from falco_plugin._falco.written_events import WrittenEvent, write_records
from falco_plugin.testing.plugins import (
    Config,
    FurtherPlugin,
    TestedPlugin,
    config_text,
    library_of,
    pairs_of,
    target_of,
)


def host_options(
    folder: Path,
    params: str,
    *,
    config: Config,
    fields: Sequence[str] | None,
    set_config: Config,
    tables: Sequence[str],
    table_contents: Mapping[str, Any] | None,
    scap: str | os.PathLike[str] | None,
    replay: str | os.PathLike[str] | None,
    events: Iterable[WrittenEvent] | None,
    limit: int | None,
    dump_state: bool,
) -> list[str]:
    """Returns the options for arguments of ``run``. Writes files that the host reads into a folder.

    Raises:
        TypeError: an argument has a wrong type, or two arguments replace the source.
    """
    if isinstance(fields, str):
        raise TypeError("fields must be a list of names, not str")
    if isinstance(tables, str):
        raise TypeError("tables must be a list of names, not str")
    options = ["--config", config_text(config), "--params", params, "--metrics"]
    if set_config is not None:
        options += ["--set-config", config_text(set_config)]
    options += _replaced_source(folder, scap, replay, events)
    if limit is not None:
        options += ["--limit", str(limit)]
    if dump_state:
        options.append("--dump-state")
    options += ["--all-fields"] if fields is None else [f"--fields={name}" for name in fields]
    if tables:
        options.append(f"--tables={','.join(tables)}")
    if table_contents is not None:
        contents = folder / "tables.json"
        contents.write_text(json.dumps(table_contents))
        options.append(f"--table-contents={contents}")
    return options


def plugin_options(plugin: TestedPlugin, further_plugins: Sequence[FurtherPlugin], folder: Path) -> list[str]:
    """Returns the options for further plugins, and for the names of all plugins in messages.

    Builds the further plugins in a folder.

    Raises:
        PluginError: a plugin cannot be built.
        TypeError: ``further_plugins`` is not a list.
    """
    options = [f"--target={target_of(plugin)}"]
    for further, config in pairs_of(further_plugins):
        options += [f"--with={library_of(further, folder)}", f"--with-config={config_text(config)}"]
        options.append(f"--with-target={target_of(further)}")
    return options


def _replaced_source(
    folder: Path,
    scap: str | os.PathLike[str] | None,
    replay: str | os.PathLike[str] | None,
    events: Iterable[WrittenEvent] | None,
) -> list[str]:
    """Returns the options of the host for the file whose events replace those of the source. Writes `events` to one."""
    given = {"scap": scap, "replay": replay, "events": events}
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise TypeError(f"{names[0]} and {names[1]} both replace the source: give one of them")
    if events is not None:
        replay = folder / "events.jsonl"
        write_records(replay, events)
    if scap is not None:
        return ["--scap", os.fspath(scap)]
    return [] if replay is None else ["--replay", os.fspath(replay)]
