"""Writes the plan of a bundle for the packer, and the code of its modules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from falco_plugin._build import environment
from falco_plugin._build.bundle import real_files
from falco_plugin._build.bundle.collect import STANDARD_LIBRARY, Collection
from falco_plugin._build.bundle.distributions import SDK
from falco_plugin._build.bundle.reachable import Compiled
from falco_plugin._runtime.bundle.finder import REAL_FILES

_START = "start"
_METADATA = "metadata"


@dataclass(frozen=True)
class Entry:
    """A module or a data file of the bundle."""

    part: str
    """The name of its part."""
    kind: str
    name: str
    group: str
    """Entries of one group are stored together."""
    source: bytes | Path


def entries(collection: Collection, start: frozenset[str]) -> list[Entry]:
    """Returns all modules and data files in the order in which they are stored.

    Args:
        collection: the parts.
        start: modules that every start imports.
    """
    found = [entry for part in collection.parts for entry in _of_part(part, collection, start)]
    real = [prefix for part in collection.parts for prefix in real_files.prefixes(part)]
    if real:
        listed = "".join(f"{prefix}\n" for prefix in sorted(real)).encode()
        found.append(Entry(SDK, "file", REAL_FILES, _START, listed))
    groups = dict.fromkeys([_START, *sorted({entry.group for entry in found if entry.part == STANDARD_LIBRARY})])
    groups |= dict.fromkeys([_METADATA, *(entry.group for entry in found)])
    order = {group: position for position, group in enumerate(groups)}
    return sorted(found, key=lambda entry: (order[entry.group], entry.kind == "file", entry.name))


def _of_part(part: Compiled, collection: Collection, start: frozenset[str]) -> Iterator[Entry]:
    own = part.part.name
    for name, module in part.modules.items():
        kind = "package" if part.part.modules[name].is_package else "module"
        if name in start:
            group = _START
        elif own == STANDARD_LIBRARY:
            # The modules that the SDK reaches are the same in every bundle, so their blocks are compressed once.
            group = own if name in collection.base else f"{own} of plugins"
        else:
            group = f"package {own}"
        yield Entry(own, kind, name, group, module.code)
    for path, source in part.part.files.items():
        group = _METADATA if path.partition("/")[0].endswith(".dist-info") else f"package {own}"
        yield Entry(own, "file", path, group, source)


def write(
    collection: Collection,
    stored: list[Entry],
    data: Path,
    output: Path,
    plugin: str,
    cache: Path | None,
    debug: bool,
) -> dict[str, Any]:
    """Writes the code of the modules into a file, and returns the plan.

    Args:
        collection: the parts.
        stored: their modules and data files.
        data: the path of the file to write.
        output: the path of the bundle.
        plugin: the plugin's name.
        cache: the cache folder; ``None`` for no cache.
        debug: whether native code keeps its symbol tables and debug information.
    """
    planned: list[dict[str, Any]] = []
    with data.open("wb") as stream:
        for entry in stored:
            source: Any = str(entry.source)
            if isinstance(entry.source, bytes):
                source = [str(data), stream.tell(), len(entry.source)]
                stream.write(entry.source)
            planned.append({"kind": entry.kind, "name": entry.name, "group": entry.group, "source": source})
    for part in collection.parts:
        for name, path in sorted(part.part.extensions.items()):
            planned.append({"kind": "extension", "name": name, "path": str(path)})
    planned.append({"kind": "library", "name": environment.libpython_name(), "path": environment.libpython()})
    return {
        "output": str(output),
        "plugin": plugin,
        "cache": None if cache is None else str(cache / "blocks"),
        "debug_symbols": debug,
        "entries": planned,
    }
