"""The methods of ``_core.Bundle`` that this package calls. Only type checkers import this module."""

from __future__ import annotations

from types import CodeType, ModuleType
from typing import Protocol


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


class Bundle(Files, Protocol):
    """Reads the bundle of one self-contained library."""

    @property
    def id(self) -> str:
        """The bundle id, which begins the SONAME of each native library in the bundle."""
        ...

    @property
    def libpython(self) -> str:
        """The SONAME of the Python library of this interpreter."""
        ...

    def code(self, entry: int) -> CodeType:
        """Returns a new code object of a module."""
        ...

    def create_extension(self, entry: int, name: str) -> ModuleType:
        """Opens an extension module under a name. Its module is not executed yet."""
        ...
