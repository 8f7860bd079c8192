"""Makes the bundle of a self-contained library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from falco_plugin._build import environment, packer, temporary
from falco_plugin._build.bundle import cache, plan
from falco_plugin._build.bundle.collect import collect
from falco_plugin._build.bundle.contents import describe
from falco_plugin._build.bundle.start import Start
from falco_plugin._build.errors import TargetError
from falco_plugin._runtime import archive

_NAMED = 5
"""Largest number of modules that a warning names."""


@dataclass(frozen=True)
class Options:
    """The parts that a build packs in addition, and those that it leaves out."""

    include: Sequence[str] = ()
    """Names of modules, packages and distributions to pack."""
    exclude: Sequence[str] = ()
    """Names of modules, packages and distributions to leave out."""
    debug_symbols: bool = False
    """Whether native code keeps its symbol tables and debug information."""


@dataclass(frozen=True)
class Bundle:
    """A bundle and its description."""

    data: bytes
    index_hash: bytes
    """The hash of its index."""
    id: str
    contents: dict[str, Any]
    """The description, as `falco_plugin._build.bundle.contents.describe` returns it."""
    warnings: list[str]


def make_bundle(path: Path, packed: bytes, plugin: str, options: Options, needs_gil: str = "") -> Bundle:
    """Collects and compresses everything that a plugin needs from the environment of this Python.

    Args:
        path: the file or folder of the plugin.
        packed: the archive of the plugin's files.
        plugin: its name.
        options: what else to pack or to leave out.
        needs_gil: the extension module for which a free-threaded Python switches its GIL on; empty if there is none.

    Raises:
        TargetError: something that the plugin needs cannot be packed.
    """
    try:
        environment.libpython()
    except FileNotFoundError as error:
        raise TargetError(str(error)) from None
    folder = cache.folder()
    with Start() as start:
        collection = collect(path, archive.unpack(packed), options.include, options.exclude, folder)
        stored = plan.entries(collection, start.modules())
    with temporary.folder() as scratch:
        output, data = scratch / "bundle", scratch / "data"
        try:
            written = plan.write(collection, stored, data, output, plugin, folder, options.debug_symbols)
        except OSError as error:
            raise TargetError(f"cannot write {data}: {error.strerror}") from error
        reply = packer.pack(written)
        contents = describe(collection, stored, reply, needs_gil)
        warnings = [*collection.warnings, *_warn_of_skipped(contents["skipped"])]
        return Bundle(output.read_bytes(), bytes.fromhex(reply["index_hash"]), reply["id"], contents, warnings)


def _warn_of_skipped(modules: Sequence[str]) -> Iterator[str]:
    """Yields a warning if this Python cannot compile some modules."""
    if modules:
        more = f" and {len(modules) - _NAMED} more" if len(modules) > _NAMED else ""
        yield (
            f"modules that Python {environment.python_version()} cannot compile are not packed: "
            f"{', '.join(modules[:_NAMED])}{more}: check that the plugin does not import them"
        )
