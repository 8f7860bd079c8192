"""Finds and loads the modules of a bundle.

This is the first Python code of a self-contained library. Everything that it imports while the process starts comes
through itself, so its top imports only modules that are built into Python.
"""

import _frozen_importlib
import _imp
import sys
from _frozen_importlib import FrozenImporter, ModuleSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from importlib.metadata import Distribution, DistributionFinder
    from types import CodeType, ModuleType
    from typing import Any

    from falco_plugin._core import Bundle
    from falco_plugin._runtime.bundle.resources import Reader

# Type checkers do not know the private names of these modules.
_bootstrap: "Any" = _frozen_importlib
_private_imp: "Any" = _imp
_PACKAGE = 1
"""The kind of an entry that is a package."""
_EXTENSION = 2
"""The kind of an entry that is an extension module."""
REAL_FILES = "falco_plugin/_runtime/bundle/real_files.txt"
"""The file of the bundle that lists the folders of packages that need real files, such as ``botocore/``, by lines."""
_ADAPTATIONS = {
    "ctypes": ("native", "adapt_ctypes"),
    "multiprocessing.context": ("processes", "adapt_context"),
    "multiprocessing.util": ("processes", "adapt_util"),
    "ssl": ("certificates", "adapt_ssl"),
    "subprocess": ("processes", "adapt_subprocess"),
}
"""The modules that need an adaptation: the module of this package and its function, which gets the module."""

installed: "Finder | None" = None
"""The finder of this interpreter; ``None`` in a linked library."""


class Spec(ModuleSpec):
    """The spec of a module of the bundle. No bytecode file is cached for it."""

    cached = None


class Finder:
    """Finds modules of a bundle, and loads them.

    One finder on ``sys.meta_path`` finds all modules. Others find those of one folder, for users of ``sys.path`` and
    ``pkgutil``.
    """

    def __init__(self, bundle: "Bundle", folder: str = "") -> None:
        """Makes a finder.

        Args:
            bundle: the bundle.
            folder: the dotted name of the package whose folder is searched, with a dot at the end; empty for the finder
                of all modules.
        """
        self.bundle = bundle
        self._folder = folder
        listed = bundle.file(REAL_FILES)
        self._real_folders = () if listed is None else tuple(bundle.read(listed).decode().split())

    def _packed_name(self, fullname: str) -> str:
        """Returns the name that a module has in the bundle."""
        return self._folder + fullname.rpartition(".")[2] if self._folder else fullname

    def find_spec(
        self, fullname: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> ModuleSpec | None:
        name = self._packed_name(fullname)
        found = self.bundle.find(name)
        is_package = found is None or found[0] == _PACKAGE
        if found is None and not self._is_namespace(name):
            return None
        folder = name.replace(".", "/")
        location = f"{self._location(folder)}/{folder}"
        # Type checkers require a subclass of importlib.abc.Loader. That module would import many others.
        loader: Any = self
        spec = Spec(fullname, loader, is_package=is_package, loader_state=found)
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(location)
        if found is not None:
            spec.origin = location + _ending(found[0])
            spec.has_location = True
        return spec

    def _is_namespace(self, name: str) -> bool:
        """Returns whether a package without a module exists: a folder with modules or files."""
        return bool(self.bundle.modules(f"{name}.") or self.bundle.files(f"{name.replace('.', '/')}/"))

    def _location(self, path: str) -> str:
        """Returns the folder that the path of an entry is relative to."""
        for folder in self._real_folders:
            if f"{path}/".startswith(folder):
                from falco_plugin._runtime.bundle import real_files

                return real_files.write(self.bundle, folder)
        return self.bundle.root

    def create_module(self, spec: ModuleSpec) -> "ModuleType | None":
        found = spec.loader_state
        if found is None or found[0] != _EXTENSION:
            return None
        module = self.bundle.create_extension(found[1], spec.name)
        if isinstance(module, type(sys)):
            # A module with single-phase initialisation has the path of the file in memory.
            module.__file__ = spec.origin
        return module

    def exec_module(self, module: "ModuleType") -> None:
        spec = module.__spec__
        found = spec.loader_state if spec else None
        if spec is None or found is None:
            return
        if found[0] == _EXTENSION:
            _imp.exec_dynamic(module)
        else:
            _bootstrap._call_with_frames_removed(exec, self._code(found, spec.origin or ""), module.__dict__)
        if spec.name in _ADAPTATIONS:
            from importlib import import_module

            name, function = _ADAPTATIONS[spec.name]
            getattr(import_module(f"falco_plugin._runtime.bundle.{name}"), function)(module)

    def _code(self, found: tuple[int, int], file: str) -> "CodeType":
        code = self.bundle.code(found[1])
        _private_imp._fix_co_filename(code, file)
        return code

    def _found(self, fullname: str) -> tuple[int, int]:
        found = self.bundle.find(self._packed_name(fullname))
        if found is None:
            raise ImportError(f"{self.bundle.root} has no module {fullname}", name=fullname)
        return found

    def get_code(self, fullname: str) -> "CodeType | None":
        found = self._found(fullname)
        return None if found[0] == _EXTENSION else self._code(found, self.get_filename(fullname))

    def get_source(self, fullname: str) -> None:
        """Returns ``None``, because a bundle contains no source code."""

    def is_package(self, fullname: str) -> bool:
        return self._found(fullname)[0] == _PACKAGE

    def get_filename(self, fullname: str) -> str:
        kind, _ = self._found(fullname)
        path = self._packed_name(fullname).replace(".", "/")
        return f"{self._location(path)}/{path}{_ending(kind)}"

    def get_data(self, path: str) -> bytes:
        """Returns a file of the bundle, by the path that ``pkgutil.get_data`` builds from ``__file__``."""
        relative = self._relative(path)
        entry = None if relative is None else self.bundle.file(relative)
        if entry is None:
            raise FileNotFoundError(f"{path}: not packed into the plugin library")
        return self.bundle.read(entry)

    def _relative(self, path: str) -> str | None:
        """Returns the path of a file relative to the bundle; ``None`` if the file is outside of it."""
        roots = [self.bundle.root]
        if self._real_folders:
            from falco_plugin._runtime.bundle import private_folder

            roots += private_folder.made()
        for root in roots:
            if path.startswith(f"{root}/"):
                return path[len(root) + 1 :]
        return None

    def get_resource_reader(self, fullname: str) -> "Reader":
        """Returns the files of a package for ``importlib.resources``."""
        from falco_plugin._runtime.bundle import resources

        path = self._packed_name(fullname).replace(".", "/")
        return resources.reader(self.bundle, path, self._location(path))

    def iter_modules(self, prefix: str = "") -> "Iterator[tuple[str, bool]]":
        """Yields name and kind of each module of the folder, for ``pkgutil.iter_modules``."""
        for name, kind in self.bundle.modules(self._folder):
            child = name[len(self._folder) :]
            if "." not in child:
                yield prefix + child, kind == _PACKAGE

    def path_hook(self, path: str) -> "Finder":
        """Returns the finder of a folder of the bundle, for an entry of ``sys.path`` or of the path of a package."""
        if path == self.bundle.root:
            return Finder(self.bundle)
        relative = self._relative(path)
        if relative is None:
            raise ImportError(f"{path} is not inside of {self.bundle.root}", path=path)
        return Finder(self.bundle, relative.replace("/", ".") + ".")

    def find_distributions(self, context: "DistributionFinder.Context") -> "Iterator[Distribution]":
        """Yields the installed distributions for ``importlib.metadata``."""
        from falco_plugin._runtime.bundle import distributions

        return distributions.find(self.bundle, context.name)

    def invalidate_caches(self) -> None:
        """Does nothing: a bundle never changes."""


def _ending(kind: int) -> str:
    return "/__init__.py" if kind == _PACKAGE else ".so" if kind == _EXTENSION else ".py"


def install(bundle: "Bundle") -> None:
    """Makes Python find its modules in a bundle. Called once, before anything but start-up code was imported."""
    global installed  # noqa: PLW0603 - there is one bundle for each interpreter
    installed = finder = Finder(bundle)
    path_hook: Any = finder.path_hook
    sys.meta_path.insert(sys.meta_path.index(FrozenImporter) + 1, finder)
    sys.path_hooks.insert(0, path_hook)
    _complete_frozen_modules(bundle.root)
    _complete_this_module(finder)
    _define_builtins()


def _complete_frozen_modules(root: str) -> None:
    """Gives the modules that Python has frozen a ``__file__`` and a ``__path__``, as in an installed Python."""
    python: Any = sys
    python._stdlib_dir = root
    for module in list(sys.modules.values()):
        spec = getattr(module, "__spec__", None)
        state = getattr(spec, "loader_state", None)
        if spec is None or state is None or spec.loader is not FrozenImporter or hasattr(module, "__file__"):
            continue
        locations = spec.submodule_search_locations
        state.filename, folder = _bootstrap.FrozenImporter._resolve_filename(
            state.origname, spec.name, locations is not None
        )
        module.__file__ = state.filename
        if folder:
            locations[:] = module.__path__ = [folder]


def _complete_this_module(finder: Finder) -> None:
    """Gives this module the attributes of a module that the finder has loaded."""
    if spec := finder.find_spec(__name__):
        _bootstrap._init_module_attrs(spec, sys.modules[__name__], override=True)
    # From tracebacks, Python removes the frames of an import that are in this file.
    loading = vars(Finder)["exec_module"]
    loading.__code__ = loading.__code__.replace(co_filename="<frozen importlib._bootstrap_external>")


def _define_builtins() -> None:
    """Defines the names that the module ``site`` would define."""
    import builtins
    from _sitebuiltins import Quitter

    for name in ("exit", "quit"):
        setattr(builtins, name, Quitter(name, "Ctrl-D (i.e. EOF)"))
