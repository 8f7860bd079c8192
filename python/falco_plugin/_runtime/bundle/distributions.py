"""The installed distributions of a bundle for ``importlib.metadata``."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator
from importlib.metadata import Distribution
from typing import TYPE_CHECKING, Any

from falco_plugin._runtime.bundle.resources import Resource

if TYPE_CHECKING:
    from falco_plugin._core import Bundle

_METADATA = re.compile(r"([^/]+?)-[^/]*\.(?:dist-info/METADATA|egg-info/PKG-INFO)")
"""The path of a distribution's metadata. The group is its name."""


class BundledDistribution(Distribution):
    """One distribution. Its files are those of the bundle."""

    def __init__(self, bundle: Bundle, name: str, folder: str) -> None:
        self._bundle = bundle
        self._name = name
        self._folder = folder

    @property
    def _normalized_name(self) -> str:
        # importlib.metadata would read the metadata of each distribution to list entry points.
        return self._name

    def read_text(self, filename: str | os.PathLike[str]) -> str | None:
        entry = self._bundle.file(f"{self._folder}/{os.fspath(filename)}")
        return None if entry is None else self._bundle.read(entry).decode("utf-8")

    def locate_file(self, path: str | os.PathLike[str]) -> Any:
        return Resource(self._bundle, os.fspath(path))


def find(bundle: Bundle, name: str | None) -> Iterator[Distribution]:
    """Yields the distribution with a name, or all of them."""
    folders = _folders(bundle)
    for normalised in folders if name is None else (_normalise(name),):
        if normalised in folders:
            yield BundledDistribution(bundle, normalised, folders[normalised])


@functools.cache
def _folders(bundle: Bundle) -> dict[str, str]:
    """Returns the folder of each distribution by its normalised name."""
    found = (_METADATA.fullmatch(path) for path in bundle.files(""))
    return {_normalise(match[1]): os.path.dirname(match[0]) for match in found if match}


def _normalise(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
