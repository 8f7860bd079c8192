"""Finds the plugin in the modules of a target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

from falco_plugin._build import definitions
from falco_plugin._build.errors import TargetError
from falco_plugin._build.pack import is_beside, not_packed
from falco_plugin._runtime.failures import describe
from falco_plugin._runtime.loader import Modules
from falco_plugin.plugin import Plugin


def find_entry_point(modules: Modules, files: Mapping[str, Path], path: Path, name: str) -> str:
    """Imports the top-level modules of a target, and returns the entry point ``module:name`` of its plugin.

    Args:
        modules: the modules of the target.
        files: the files of the target by their names in the archive.
        path: the path of the target.
        name: the name of a class or factory function; empty for the only subclass of ``Plugin``.

    Raises:
        TargetError: a module cannot be imported, or there is not exactly one plugin.
    """
    plugins: dict[str, None] = {}
    almost_plugins: list[str] = []
    for file in [path.name] if path.is_file() else filter(_is_top_level, files):
        module_name = file.removesuffix(".py").removesuffix("/__init__")
        module = _import(modules, path, module_name)
        if name:
            if callable(getattr(module, name, None)):
                return f"{module_name}:{name}"
            continue
        plugins.update(dict.fromkeys(f"{module_name}:{plugin}" for plugin in _plugins(module)))
        almost_plugins += [f"{module_name}:{other}" for other in _almost_plugins(module)]
    if name:
        raise TargetError(f"{path} has no class or factory function {name!r}: use a name of the top level of a module")
    if not plugins and almost_plugins:
        other = almost_plugins[0].partition(":")[2]
        where = definitions.line_of(files, almost_plugins[0]) or path
        raise TargetError(f"{where}: the class {other} is not a plugin: derive it, as in class {other}(Plugin)")
    if not plugins:
        raise TargetError(
            f"{path} has no plugin: define a subclass of falco_plugin.Plugin, or name a factory function as {path}:NAME"
        )
    if len(plugins) > 1:
        names = ", ".join(definitions.name_with_line(files, entry) for entry in plugins)
        first = next(iter(plugins)).partition(":")[2]
        raise TargetError(f"{path} has {len(plugins)} plugins ({names}): name one, such as {path}:{first}")
    return next(iter(plugins))


def _is_top_level(file: str) -> bool:
    return file.endswith(".py") and (file.count("/") == 0 or (file.count("/") == 1 and file.endswith("/__init__.py")))


def _plugins(module: ModuleType) -> Iterator[str]:
    for name, value in vars(module).items():
        is_plugin = isinstance(value, type) and issubclass(value, Plugin) and value.__module__ == module.__name__
        if is_plugin and not name.startswith("_"):
            yield name


def _almost_plugins(module: ModuleType) -> Iterator[str]:
    """Yields the names of classes that look like plugins but are not subclasses of ``Plugin``."""
    for name, value in vars(module).items():
        is_class = isinstance(value, type) and value.__module__ == module.__name__ and not issubclass(value, Plugin)
        if is_class and "open" in vars(value) and "name" in vars(value):
            yield name


def _import(modules: Modules, path: Path, name: str) -> ModuleType:
    try:
        return modules.load(name)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if path.is_file() and is_beside(path, missing):
            raise not_packed(path, missing) from error
        raise TargetError(f"{path} cannot be imported: {describe(error)}") from error
    except BaseException as error:
        raise TargetError(f"{path} cannot be imported: {describe(error)}") from error
