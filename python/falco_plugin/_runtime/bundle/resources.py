"""The files of a bundle for ``importlib.resources``."""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import posixpath
import tempfile
from collections.abc import Generator, Iterator
from importlib import resources
from importlib.resources.abc import Traversable, TraversableResources
from typing import IO, TYPE_CHECKING, Any, Protocol

from falco_plugin._runtime.bundle import private_folder, real_files

if TYPE_CHECKING:
    from falco_plugin._core import Bundle


class Reader(TraversableResources):
    """The files of one package."""

    def __init__(self, files: Traversable) -> None:
        self._files = files

    def files(self) -> Traversable:
        return self._files


class Files(Protocol):
    """The data files of a bundle, or the files of the plugin's own archive."""

    @property
    def root(self) -> str:
        """The path of the library file, which the paths of files are below."""
        ...

    def find(self, name: str) -> tuple[int, int] | None:
        """Returns the kind and the entry of a module by its dotted name."""
        ...

    def modules(self, prefix: str) -> list[tuple[str, int]]:
        """Returns name and kind of each module whose dotted name begins with `prefix`."""
        ...

    def file(self, path: str) -> int | None:
        """Returns the entry of a file."""
        ...

    def files(self, prefix: str) -> list[str]:
        """Returns the path of each file whose path begins with `prefix`."""
        ...

    def read(self, entry: int) -> bytes:
        """Returns the content of a file."""
        ...

    def memory_file(self, entry: int) -> int:
        """Returns a descriptor of a file in memory with the content of a file. Raises OSError if that is refused."""
        ...


class Resource(Traversable):
    """A file or a folder. In a bundle, the folder of a package contains its data files, but not its modules."""

    def __init__(self, files: Files, path: str) -> None:
        self._files = files
        self._path = path

    @property
    def name(self) -> str:
        return posixpath.basename(self._path)

    def __str__(self) -> str:
        return f"{self._files.root}/{self._path}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Resource) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def iterdir(self) -> Iterator[Resource]:
        prefix = f"{self._path}/" if self._path else ""
        names = dict.fromkeys(path[len(prefix) :].partition("/")[0] for path in self._files.files(prefix))
        if not names and not self.is_dir():
            raise NotADirectoryError(f"{self} is not a folder of the plugin library")
        return (self.joinpath(name) for name in names)

    def is_dir(self) -> bool:
        package = self._path.replace("/", ".")
        return not self._path or bool(
            self._files.files(f"{self._path}/") or self._files.find(package) or self._files.modules(f"{package}.")
        )

    def is_file(self) -> bool:
        return self._files.file(self._path) is not None

    def exists(self) -> bool:
        return self.is_file() or self.is_dir()

    def joinpath(self, *descendants: str | os.PathLike[str]) -> Resource:
        path = posixpath.normpath(posixpath.join(self._path, *(os.fspath(each) for each in descendants)))
        return Resource(self._files, "" if path == "." else path)

    def __truediv__(self, child: str | os.PathLike[str]) -> Resource:
        return self.joinpath(child)

    def open(self, mode: str = "r", *args: Any, **kwargs: Any) -> IO[Any]:
        file = io.BytesIO(self.read_bytes())
        if mode == "rb":
            return file
        if mode == "r":
            return io.TextIOWrapper(file, *args, **kwargs)
        raise ValueError(f"mode must be 'r' or 'rb', got {mode!r}: a file of the plugin library cannot be written")

    def read_bytes(self) -> bytes:
        return self._files.read(self._entry())

    def read_text(self, encoding: str | None = None, errors: str | None = None) -> str:
        with self.open(encoding=encoding, errors=errors) as file:
            text: str = file.read()
        return text

    def memory_file(self) -> int:
        """Returns a descriptor of a file in memory with the content. Raises OSError if that is refused."""
        return self._files.memory_file(self._entry())

    def _entry(self) -> int:
        entry = self._files.file(self._path)
        if entry is None:
            if self.is_dir():
                raise IsADirectoryError(f"{self} is a folder of the plugin library")
            raise FileNotFoundError(f"{self}: not packed into the plugin library")
        return entry


def reader(bundle: Bundle, path: str, location: str) -> Reader:
    """Returns the files of a package.

    Args:
        bundle: the bundle.
        path: the path of the package's folder in the bundle.
        location: the folder of the file system that has the files; the path of the library if there is none.
    """
    return Reader(Resource(bundle, path) if location == bundle.root else pathlib.Path(location, path))


@contextlib.contextmanager
def _as_file(resource: Resource) -> Generator[pathlib.Path]:
    """Gives a resource a path. A file is in memory if the kernel allows it, so that nothing is written."""
    descriptor = _open_in_memory(resource)
    if descriptor is None:
        with tempfile.TemporaryDirectory(dir=private_folder.path()) as folder:
            yield _copy(resource, pathlib.Path(folder))
        return
    try:
        yield pathlib.Path(_path_of(descriptor))
    finally:
        os.close(descriptor)


def _path_of(descriptor: int) -> str:
    return f"/proc/self/fd/{descriptor}"


def _open_in_memory(resource: Resource) -> int | None:
    if not resource.is_file():
        return None
    try:
        descriptor = resource.memory_file()
    except OSError:
        return None
    if os.path.exists(_path_of(descriptor)):
        return descriptor
    os.close(descriptor)
    return None


def _copy(resource: Resource, folder: pathlib.Path) -> pathlib.Path:
    """Writes a file, or a folder with its files, into a folder, and returns its path."""
    path = folder / resource.name
    if resource.is_file():
        real_files.write_file(str(path), resource.read_bytes())
    else:
        path.mkdir(mode=0o700)
        for inner in resource.iterdir():
            _copy(inner, path)
    return path


_dispatch: Any = resources.as_file
_dispatch.register(Resource)(_as_file)
