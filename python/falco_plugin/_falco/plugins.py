"""The libraries of the plugins that Falco loads."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from falco_plugin._build import host, library
from falco_plugin._build import target as targets
from falco_plugin._build.errors import TargetError


@dataclass(frozen=True)
class BuiltPlugin:
    """The library of a plugin, and what Falco reads from it."""

    library: Path
    name: str
    event_source: str | None
    """The source of its events; ``None`` if it makes none."""
    extract_event_sources: tuple[str, ...]
    """The sources of the events that have its fields; empty for every source, or if it has no fields."""
    fields: frozenset[str]
    """The names of its fields."""


def build(target: str, folder: Path, *, self_contained: bool) -> BuiltPlugin:
    """Builds the library of a target below a folder, or reads the one that the target names.

    Args:
        target: ``path.py[:Name]``, a folder, or a library.
        folder: a folder for libraries.
        self_contained: whether the library must bring its own Python, because it runs in a container.

    Raises:
        TargetError: the target cannot be built, or the library cannot be used.
    """
    if not targets.is_library(target):
        return write(targets.load(target), folder, self_contained=self_contained)
    path = Path(target)
    if self_contained and _is_linked(path):
        raise TargetError(
            f"{target} is a linked library, which needs the Python of this machine, but Falco runs in a container: "
            "build it without --linked"
        )
    status, output, errors = host.output(["info", path, "--json"])
    if status != 0:
        reason = errors.strip().rpartition("falco-plugin-host: ")[2] or f"the host ended with status {status}"
        raise TargetError(reason if str(path) in reason else f"{path}: {reason}")
    info = json.loads(output)
    return BuiltPlugin(
        library=path,
        name=info["name"],
        event_source=info["event_source"],
        extract_event_sources=tuple(info["extract_event_sources"]),
        fields=frozenset(field["name"] for field in info["fields"]),
    )


def write(target: targets.Target, folder: Path, *, self_contained: bool) -> BuiltPlugin:
    """Writes the library of a target that is loaded into a new folder below `folder`.

    Raises:
        TargetError: the library cannot be written.
    """
    # Two plugins can have the same name. Then Falco reports it.
    path = Path(tempfile.mkdtemp(dir=folder)) / target.library_name
    if self_contained:
        # Only here, because it imports much.
        from falco_plugin._build.self_contained import Options

        target.write_self_contained(path, Options())
        # Falco runs as another user in the container.
        path.parent.chmod(0o755)
    else:
        target.write(path)
    plugin, capabilities = target.plugin, target.capabilities
    return BuiltPlugin(
        library=path,
        name=plugin.name,
        event_source=plugin.event_source if capabilities.is_source else None,
        extract_event_sources=tuple(capabilities.extract_event_sources),
        fields=frozenset(field.name for field in capabilities.fields),
    )


def _is_linked(path: Path) -> bool:
    try:
        manifest: Mapping[str, Any] | None = library.read_manifest(path)
    except OSError as error:
        raise TargetError(f"cannot read {path}: {error.strerror}") from None
    return manifest is not None and "contents" not in manifest
