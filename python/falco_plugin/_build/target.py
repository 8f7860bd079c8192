"""From what a user names on the command line to a plugin library."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from falco_plugin import _core
from falco_plugin._build import definitions as _lines
from falco_plugin._build import environment as _environment
from falco_plugin._build import library as _library
from falco_plugin._declare import capabilities as _capabilities
from falco_plugin._declare.capabilities import Capabilities
from falco_plugin._declare.config.schema import schema
from falco_plugin._runtime import archive as _archive
from falco_plugin._runtime.failures import describe
from falco_plugin._runtime.loader import Modules
from falco_plugin._runtime.runtime import make
from falco_plugin.errors import PluginError
from falco_plugin.plugin import Plugin

_LEFT_OUT_FOLDERS = frozenset({"__pycache__", "tests", "test", "build", "dist", "node_modules", "venv"})
_LEFT_OUT_FILES = frozenset({"setup.py", "conftest.py"})
_DATA_SUFFIXES = frozenset({".json", ".yaml", ".yml", ".toml", ".txt", ".csv", ".pem", ".crt"})


class TargetError(Exception):
    """What is wrong with a target, in one line. ``__cause__`` is the author's exception, if there is one."""


_SOURCING = (
    "plugin_get_id",
    "plugin_get_event_source",
    "plugin_open",
    "plugin_close",
    "plugin_next_batch",
    "plugin_get_progress",
    "plugin_list_open_params",
    "plugin_event_to_string",
)
_EXTRACTION = (
    "plugin_get_fields",
    "plugin_extract_fields",
    "plugin_get_extract_event_sources",
    "plugin_get_extract_event_types",
)


@dataclass(frozen=True)
class Target:
    """A Python target, packed and inspected."""

    plugin: Any
    capabilities: Capabilities
    schema: str
    """Of its configuration; empty where that is text."""
    entry: str
    archive: bytes
    folder: str
    """Where its files are, which tracebacks name."""

    @property
    def library_name(self) -> str:
        """The file name that Falco's users expect."""
        return f"lib{self.plugin.name}.so"

    def manifest(self) -> dict[str, str]:
        """What the library answers without Python, and where it finds its environment."""
        try:
            libpython = _environment.libpython()
        except FileNotFoundError as problem:
            raise TargetError(str(problem)) from None
        plugin, capabilities = self.plugin, self.capabilities
        fields = [field.described() for field in capabilities.fields]
        return {
            "name": plugin.name,
            "version": plugin.version,
            "description": plugin.description,
            "contact": plugin.contact,
            "id": str(plugin.id),
            "event_source": plugin.event_source,
            "fields": json.dumps(fields, ensure_ascii=False, separators=(",", ":")) if fields else "",
            "extract_event_sources": json.dumps(capabilities.extract_event_sources),
            "schema": self.schema,
            "entry": self.entry,
            "folder": self.folder,
            "sdk_version": _core.SDK_VERSION,
            "python_version": _environment.python_version(),
            "libpython": libpython,
            "core": os.path.realpath(_core.__file__),
            "python": sys.executable,
            "folders": "\n".join(_environment.folders()),
        }

    def write(self, path: Path) -> None:
        """Writes the plugin library."""
        try:
            _library.write(path, self.manifest(), self.archive, hidden=self._hidden())
        except OSError as problem:
            raise TargetError(f"cannot write {path}: {problem.strerror}") from problem

    def write_into(self, folder: Path) -> Path:
        """Writes it into a folder, under its own name, and returns where it is."""
        path = folder / self.library_name
        self.write(path)
        return path

    def clashes(self, path: Path) -> Iterator[str]:
        """Yields each plugin library in the folder of `path` that Falco cannot load together with this one, and why.

        Only libraries of this SDK are checked, because they can be read without running them.
        """
        for other in sorted(path.parent.glob("*.so")):
            try:
                found = None if other.samefile(path) else _library.identity(other)
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

    def _hidden(self) -> frozenset[str]:
        """Symbols of capabilities that the plugin lacks: those that exist are what a host goes by."""
        hidden: set[str] = set()
        own = getattr(type(self.plugin), "list_open_params", None)
        if own is None or own is Plugin.list_open_params:
            hidden.add("plugin_list_open_params")
        if not self.capabilities.is_source:
            hidden.update(_SOURCING)
        if not self.capabilities.fields:
            hidden.update(_EXTRACTION)
        if not self.schema:
            hidden.add("plugin_get_init_schema")
        return frozenset(hidden)


def is_library(target: str) -> bool:
    """Whether the target is a plugin library rather than Python code."""
    return not Path(target).is_dir() and not target.partition(":")[0].endswith(".py")


def load(target: str) -> Target:
    """Packs ``path.py[:Name]`` or a folder, imports it as the library would, and finds its plugin.

    Raises:
        TargetError: what is wrong with it.
    """
    location, _, name = target.partition(":")
    path = Path(location)
    if not path.exists():
        raise TargetError(f"{location}: no such file or folder: give path.py[:Name], a folder, or a library")
    files = dict(_folder_files(path)) if path.is_dir() else {path.name: path}
    candidates = [path.name] if path.is_file() else [file for file in files if _is_top(file)]
    archive = _pack(files)
    if path.is_file():
        _check_alone(path)
    folder = _folder_of(path)
    modules = Modules(archive, folder, folder)
    try:
        entry = _entry(modules, files, path, candidates, name)
        try:
            plugin, capabilities = make(modules, entry)
            # While its modules are there: annotations may name what they have.
            written = schema(capabilities.config) if capabilities.config is not None else ""
        except PluginError as problem:
            attribute = getattr(problem, _capabilities.ATTRIBUTE, "")
            where = _lines.of_class(files, entry, attribute) or location
            raise TargetError(f"{where}: {problem}") from None
        except BaseException as error:
            raise TargetError(f"{location}: {entry} fails: {describe(error)}") from error
        return Target(plugin, capabilities, written, entry, archive, folder)
    finally:
        modules.unload()


def _folder_of(path: Path) -> str:
    """The folder that the names of a target's files are relative to."""
    whole = path.resolve()
    return str(whole if path.is_dir() and not (path / "__init__.py").exists() else whole.parent)


def _folder_files(folder: Path) -> Iterator[tuple[str, Path]]:
    prefix = f"{folder.resolve().name}/" if (folder / "__init__.py").exists() else ""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if name not in _LEFT_OUT_FOLDERS
            and not name.startswith(".")
            and not (Path(parent, name) / "pyvenv.cfg").exists()
        )
        for name in sorted(names):
            file = Path(parent, name)
            code = file.suffix == ".py" and name not in _LEFT_OUT_FILES and not name.startswith("test_")
            if (code or file.suffix in _DATA_SUFFIXES) and not name.startswith("."):
                _check_within(folder, file)
                yield f"{prefix}{file.relative_to(folder).as_posix()}", file


def _check_within(folder: Path, file: Path) -> None:
    """Refuses what would take a file from elsewhere into a library that all can read, and what is no file at all."""
    if not file.resolve().is_relative_to(folder.resolve()):
        raise TargetError(f"{file} is a link that leads out of {folder}: copy the file, or leave it out")
    if file.exists() and not file.is_file():
        raise TargetError(f"{file} is no regular file: leave it out")


def _is_top(file: str) -> bool:
    return file.endswith(".py") and (file.count("/") == 0 or (file.count("/") == 1 and file.endswith("/__init__.py")))


def _pack(files: dict[str, Path]) -> bytes:
    read: dict[str, bytes] = {}
    for name, path in files.items():
        try:
            read[name] = path.read_bytes()
        except OSError as problem:
            raise TargetError(f"cannot read {path}: {problem.strerror}") from problem
    return _archive.pack(read)


def _entry(modules: Modules, files: Mapping[str, Path], path: Path, candidates: list[str], name: str) -> str:
    """The entry point ``module:name`` of the one plugin in the candidates."""
    found: dict[str, None] = {}
    others: list[str] = []
    for file in candidates:
        module_name = file.removesuffix(".py").removesuffix("/__init__")
        module = _import(modules, path, module_name)
        if name:
            if callable(getattr(module, name, None)):
                return f"{module_name}:{name}"
            continue
        found.update(dict.fromkeys(f"{module_name}:{plugin}" for plugin in _plugins(module)))
        others += [f"{module_name}:{other}" for other in _almost_plugins(module)]
    if name:
        raise TargetError(f"{path} has no class or factory function {name!r}: name one that stands at its top level")
    if not found and others:
        other = others[0].partition(":")[2]
        where = _lines.of_class(files, others[0]) or path
        raise TargetError(f"{where}: the class {other} is not a plugin: derive it, as in class {other}(Plugin)")
    if not found:
        raise TargetError(
            f"{path} has no plugin: define a subclass of falco_plugin.Plugin, or name a factory function as {path}:NAME"
        )
    if len(found) > 1:
        names = ", ".join(_lines.named(files, entry) for entry in found)
        first = next(iter(found)).partition(":")[2]
        raise TargetError(f"{path} has {len(found)} plugins ({names}): name one, such as {path}:{first}")
    return next(iter(found))


def _almost_plugins(module: ModuleType) -> Iterator[str]:
    """Yields the names of classes that look like plugins but are not subclasses of ``Plugin``."""
    for name, value in vars(module).items():
        is_class = isinstance(value, type) and value.__module__ == module.__name__ and not issubclass(value, Plugin)
        if is_class and "open" in vars(value) and "name" in vars(value):
            yield name


def _plugins(module: ModuleType) -> Iterator[str]:
    for name, value in vars(module).items():
        is_plugin = isinstance(value, type) and issubclass(value, Plugin) and value.__module__ == module.__name__
        if is_plugin and not name.startswith("_"):
            yield name


def _check_alone(path: Path) -> None:
    """Refuses a single file that imports what lies beside it.

    In a process that has the file's folder on its path, as a test has, the import would succeed here, and fail in the
    library.
    """
    try:
        statements = ast.parse(path.read_bytes()).body
    except (SyntaxError, ValueError):
        return  # The import tells it.
    names: list[str] = []
    for statement in statements:
        if isinstance(statement, ast.Import):
            names += [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            names.append(statement.module)
    tops = dict.fromkeys(name.partition(".")[0] for name in names)
    beside = [name for name in tops if name != path.stem and _is_beside(path, name)]
    if not beside:
        return
    # The library's Python may have it all the same, as a package that is installed in place.
    check = "import sys; from importlib.util import find_spec; print(*(n for n in sys.argv[1:] if not find_spec(n)))"
    done = subprocess.run([sys.executable, "-I", "-c", check, *beside], capture_output=True, text=True, check=False)
    if missing := done.stdout.split():
        raise TargetError(_not_packed(path, missing[0]))


def _is_beside(path: Path, name: str) -> bool:
    return (path.parent / f"{name}.py").exists() or (path.parent / name).is_dir()


def _not_packed(path: Path, name: str) -> str:
    return (
        f"{path.name} imports {name}, which lies beside it but is not packed with a single file: build the folder "
        f"instead ({path.parent})"
    )


def _import(modules: Modules, path: Path, name: str) -> ModuleType:
    try:
        return modules.load(name)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if path.is_file() and _is_beside(path, missing):
            raise TargetError(_not_packed(path, missing)) from error
        raise TargetError(f"{path} cannot be imported: {describe(error)}") from error
    except BaseException as error:
        raise TargetError(f"{path} cannot be imported: {describe(error)}") from error
