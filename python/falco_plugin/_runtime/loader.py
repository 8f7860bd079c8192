"""Imports a plugin's own modules from the archive of its library.

Each init imports a fresh copy below a private package. So two plugins can have modules with the same name, a plugin can
be initialised twice, and an old and a new version can be loaded together. An absolute import in the plugin's code, such
as ``import helpers``, finds the plugin's own module first.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.machinery
import itertools
import sys
import threading
from collections.abc import Mapping, Sequence
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

from falco_plugin._runtime.archive import unpack

if TYPE_CHECKING:
    from importlib.resources.abc import TraversableResources

PACKAGE = "falco_plugin_modules_"
"""The beginning of the name of each private package."""
_counter = itertools.count(1)
# Two threads may initialise plugins at the same time.
_adding = threading.Lock()


class Modules:
    """The modules of one archive. They are in ``sys.modules`` until they are unloaded."""

    def __init__(self, archive: bytes, library: str, folder: str) -> None:
        """Unpacks an archive.

        Args:
            archive: the archive.
            library: path of the library that contains the archive. The ``__file__`` of the modules is below it.
            folder: path of the folder that contained the files when the library was built. Tracebacks show it. If it is
                empty, they show the path of the library instead.
        """
        with _adding:
            self.package = f"{PACKAGE}{next(_counter)}"
        self._library = library
        self._folder = folder or library
        self._files = unpack(archive)
        self.plugin = ""
        """The name of the plugin; empty until it is known."""
        self.event_source = ""
        """The event source of the plugin; empty if it has none or is not known yet."""
        _finder.add(self)

    def load(self, name: str) -> ModuleType:
        """Imports one of the plugin's own modules."""
        return importlib.import_module(f"{self.package}.{name}")

    def unload(self) -> None:
        """Removes all modules. Code that still runs keeps its own references."""
        _finder.remove(self)
        prefix = f"{self.package}."
        for name in [name for name in list(sys.modules) if name == self.package or name.startswith(prefix)]:
            sys.modules.pop(name, None)
        # A later version of the plugin may have other lines at the same path.
        if (linecache := sys.modules.get("linecache")) is not None:
            for file in self._files:
                linecache.cache.pop(self.path(file), None)

    def has(self, name: str) -> bool:
        """Returns whether the plugin has a top-level module with this name."""
        return (
            f"{name}.py" in self._files
            or f"{name}/__init__.py" in self._files
            or any(file.startswith(f"{name}/") and file.endswith(".py") for file in self._files)
        )

    def spec(self, fullname: str) -> importlib.machinery.ModuleSpec | None:
        """Returns how to import a module below the private package; ``None`` if there is no such module."""
        if fullname == self.package:
            return importlib.machinery.ModuleSpec(fullname, self._loader(None), is_package=True)
        path = fullname.removeprefix(f"{self.package}.").replace(".", "/")
        for file, is_package in ((f"{path}.py", False), (f"{path}/__init__.py", True)):
            if file in self._files:
                spec = importlib.machinery.ModuleSpec(
                    fullname, self._loader(file), origin=f"{self._library}/{file}", is_package=is_package
                )
                spec.has_location = True
                return spec
        if any(file.startswith(f"{path}/") for file in self._files):
            return importlib.machinery.ModuleSpec(fullname, self._loader(None), is_package=True)
        return None

    def _loader(self, file: str | None) -> Any:
        # Type checkers require a subclass of importlib.abc.Loader. That module would import many others.
        return ArchiveLoader(self, file)

    def source(self, file: str) -> bytes:
        """Returns the source of a file of the archive."""
        return self._files[file]

    def path(self, file: str) -> str:
        """Returns the path of a file that tracebacks show."""
        return f"{self._folder}/{file}"

    def reader(self, folder: str) -> TraversableResources:
        """Returns the files of a folder of the archive for ``importlib.resources``."""
        from falco_plugin._runtime import archive_files

        return archive_files.reader(self._files, self._library, folder)

    def data(self, path: str) -> bytes:
        """Returns a data file beside the modules, by the path that ``pkgutil.get_data`` builds from ``__file__``."""
        return self._files[path.removeprefix(f"{self._library}/")]

    def namespace_builtins(self) -> dict[str, Any]:
        """Returns builtins for the plugin's modules, with an ``import`` that prefers the plugin's own modules."""
        names = dict(vars(builtins))
        names["__import__"] = self._import
        return names

    def _import(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        top = name.partition(".")[0]
        if level or not self.has(top):
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        module = builtins.__import__(f"{self.package}.{name}", None, None, fromlist or ("",), 0)
        return module if fromlist else sys.modules[f"{self.package}.{top}"]


class ArchiveLoader:
    """Runs a file of an archive as a module. Without a file, the module is a package that only contains modules."""

    def __init__(self, modules: Modules, file: str | None) -> None:
        self._modules = modules
        self._file = file

    @property
    def modules(self) -> Modules:
        """All modules of the archive."""
        return self._modules

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        """Returns ``None``, so that Python makes the module."""

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = self._modules.namespace_builtins()
        code = self.get_code(module.__name__)
        if code is not None:
            self.remember_lines()
            exec(code, module.__dict__)  # noqa: S102 - importing a module means running it

    def get_source(self, fullname: str) -> str | None:
        if self._file is None:
            return None
        import importlib.util

        return importlib.util.decode_source(self._modules.source(self._file))

    def get_code(self, fullname: str) -> CodeType | None:
        if self._file is None:
            return None
        return compile(self._modules.source(self._file), self._modules.path(self._file), "exec", dont_inherit=True)

    def remember_lines(self) -> None:
        """Makes tracebacks show the lines of the archive, not those of the file at this path, which may be newer."""
        if self._file is None:
            return
        import linecache

        source = self._modules.source(self._file)
        path = self._modules.path(self._file)
        # The modification time None keeps linecache from comparing the entry with the file.
        linecache.cache[path] = (len(source), None, source.decode("utf-8", "replace").splitlines(keepends=True), path)

    def get_resource_reader(self, fullname: str) -> TraversableResources:
        """Returns the files beside the module for ``importlib.resources``."""
        inner = fullname.removeprefix(self._modules.package).removeprefix(".").replace(".", "/")
        return self._modules.reader(inner if self._file is None else self._file.rpartition("/")[0])

    def get_data(self, path: str) -> bytes:
        """Returns a data file for ``pkgutil.get_data``."""
        try:
            return self._modules.data(path)
        except KeyError:
            raise FileNotFoundError(
                f"{path}: not packed into the plugin library: put it into the plugin's folder, and build that folder"
            ) from None


def is_user_code(names: Mapping[str, object]) -> bool:
    """Returns whether these are the global names of a plugin's module."""
    return isinstance(names.get("__loader__"), ArchiveLoader)


def remember_lines(names: Mapping[str, object]) -> None:
    """Makes tracebacks show the lines of the module with these global names, as `ArchiveLoader.remember_lines`."""
    loader = names.get("__loader__")
    if isinstance(loader, ArchiveLoader):
        loader.remember_lines()


class _Finder:
    """Finds the modules of all loaded archives for Python's import."""

    def __init__(self) -> None:
        self._archives: dict[str, Modules] = {}

    def add(self, modules: Modules) -> None:
        with _adding:
            if self not in sys.meta_path:
                sys.meta_path.insert(0, self)
        self._archives[modules.package] = modules

    def remove(self, modules: Modules) -> None:
        self._archives.pop(modules.package, None)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        modules = self._archives.get(fullname.partition(".")[0])
        return modules.spec(fullname) if modules else None


_finder = _Finder()
