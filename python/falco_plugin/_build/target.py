"""Makes a plugin library from a target, which is what users name on the command line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from falco_plugin._build import definitions, library, manifest, pack
from falco_plugin._build.entry_point import find_entry_point
from falco_plugin._build.errors import TargetError
from falco_plugin._declare import fields
from falco_plugin._declare.capabilities import Capabilities
from falco_plugin._declare.config.schema import schema as schema_of
from falco_plugin._runtime import gil
from falco_plugin._runtime.failures import describe
from falco_plugin._runtime.loader import Modules
from falco_plugin._runtime.runtime import make_plugin
from falco_plugin.errors import PluginError

if TYPE_CHECKING:
    from falco_plugin._build.self_contained import Bundle, Options


@dataclass(frozen=True)
class Target:
    """A plugin in Python, imported and packed."""

    path: Path
    """The file or folder."""
    plugin: Any
    """The plugin object."""
    capabilities: Capabilities
    """Its capabilities."""
    schema: str
    """The JSON schema of its configuration; empty if the configuration is a ``str``."""
    entry: str
    """The entry point, ``module:name``."""
    archive: bytes
    """The archive of its modules and data files."""
    folder: str
    """The folder of its files, which tracebacks show."""
    needs_gil: str
    """The extension module that switched the GIL of a free-threaded Python on while the plugin was imported; empty if
    none did."""

    @property
    def library_name(self) -> str:
        """The file name of the library, as Falco's documentation suggests it."""
        return f"lib{self.plugin.name}.so"

    def manifest(self) -> dict[str, str]:
        """Returns the manifest of the linked library."""
        return {**self._static_manifest(self.folder), **manifest.environment_of_this_python()}

    def _static_manifest(self, folder: str) -> dict[str, str]:
        return manifest.manifest_of(self.plugin, self.capabilities, self.schema, self.entry, folder)

    def hidden_symbols(self) -> frozenset[str]:
        """Returns the symbols that the library must not export."""
        return manifest.hidden_symbols(self.plugin, self.capabilities, self.schema)

    def write(self, path: Path) -> None:
        """Writes a linked library, which points to the environment of this Python.

        Raises:
            TargetError: the file cannot be written.
        """
        self._write(path, self.manifest())

    def write_into(self, folder: Path) -> Path:
        """Writes a linked library into a folder under its own name, and returns its path."""
        path = folder / self.library_name
        self.write(path)
        return path

    def write_self_contained(self, path: Path, options: Options) -> Bundle:
        """Writes a self-contained library, which brings its own Python, and returns its bundle.

        Raises:
            TargetError: something that the plugin needs cannot be packed, or the file cannot be written.
        """
        # Only here, because it imports much.
        from falco_plugin._build.self_contained import make_bundle

        bundle = make_bundle(self.path, self.archive, self.plugin.name, options, self.needs_gil)
        # No folder: a library does not depend on where it was built.
        self._write(path, {**self._static_manifest(""), **manifest.bundle_of(bundle)}, bundle)
        return bundle

    def _write(self, path: Path, values: dict[str, str], bundle: Bundle | None = None) -> None:
        parts = {} if bundle is None else {"bundle": bundle.data, "index_hash": bundle.index_hash}
        try:
            library.write(path, values, self.archive, hidden=self.hidden_symbols(), **parts)
        except OSError as error:
            raise TargetError(f"cannot write {path}: {error.strerror}") from error

    def clashes(self, path: Path) -> Iterator[str]:
        """Yields a message for each other library in the folder of `path` that Falco cannot load with this one.

        Only libraries of this SDK are checked, because their identity can be read without running them.
        """
        for other in sorted(path.parent.glob("*.so")):
            try:
                found = None if other.samefile(path) else library.read_identity(other)
            except OSError:
                continue
            if found is None:
                continue
            if found.name == self.plugin.name:
                yield (
                    f"{other} has the name {found.name} too, and Falco does not load two plugins with one name: "
                    "load one of them, or choose another name"
                )
            elif self.capabilities.is_source and found.id == str(self.plugin.id):
                yield (
                    f"{other} has the id {found.id} too (plugin {found.name}), and Falco does not load two plugins "
                    "with one id: give one of them another id"
                )


def is_library(target: str) -> bool:
    """Returns whether a target is a plugin library rather than Python code."""
    return not Path(target).is_dir() and not target.partition(":")[0].endswith(".py")


def load(target: str) -> Target:
    """Packs a target, imports it as its library will do, and checks its plugin.

    Args:
        target: ``path.py[:Name]`` or a folder.

    Raises:
        TargetError: the target cannot be built.
    """
    location, _, name = target.partition(":")
    path = Path(location)
    if not path.exists():
        raise TargetError(f"{location}: no such file or folder: give path.py[:Name], a folder, or a library")
    files = pack.files_of(path)
    archive = pack.pack(files)
    if path.is_file():
        pack.check_imports(path)
    folder = pack.root_of(path)
    modules = Modules(archive, folder, folder)
    try:
        with gil.watched() as needs_gil:
            entry = find_entry_point(modules, files, path, name)
        try:
            plugin, capabilities = make_plugin(modules, entry)
            # Make the schema before the modules are unloaded, because annotations may name their classes.
            schema = schema_of(capabilities.config) if capabilities.config is not None else ""
        except PluginError as error:
            attribute = getattr(error, fields.ATTRIBUTE, "")
            where = definitions.line_of(files, entry, attribute) or location
            raise TargetError(f"{where}: {error}") from None
        except BaseException as error:
            raise TargetError(f"{location}: {entry} failed: {describe(error)}") from error
        return Target(path, plugin, capabilities, schema, entry, archive, folder, next(iter(needs_gil), ""))
    finally:
        modules.unload()
