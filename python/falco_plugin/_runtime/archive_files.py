"""The files of a plugin's own archive for ``importlib.resources``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.resources.abc import TraversableResources

from falco_plugin._runtime.bundle.resources import Reader, Resource


class ArchiveFiles:
    """The files of an archive. The number of a file is its entry. The files of modules are among the others."""

    def __init__(self, files: Mapping[str, bytes], root: str) -> None:
        self.root = root
        self._paths = list(files)
        self._contents = list(files.values())

    def find(self, name: str) -> None:
        """Returns ``None``: no module is separate from the files."""

    def modules(self, prefix: str) -> list[tuple[str, int]]:
        """Returns an empty list: no module is separate from the files."""
        return []

    def file(self, path: str) -> int | None:
        return self._paths.index(path) if path in self._paths else None

    def files(self, prefix: str) -> list[str]:
        return [path for path in self._paths if path.startswith(prefix)]

    def read(self, entry: int) -> bytes:
        return self._contents[entry]

    def memory_file(self, entry: int) -> int:
        descriptor = os.memfd_create(os.path.basename(self._paths[entry]), os.MFD_CLOEXEC)
        with open(descriptor, "wb", closefd=False) as file:
            file.write(self._contents[entry])
        return descriptor


def reader(files: Mapping[str, bytes], root: str, folder: str) -> TraversableResources:
    """Returns the files of a folder of an archive. The paths of the files are below `root`."""
    return Reader(Resource(ArchiveFiles(files, root), folder))
