"""Applies what the user includes and excludes: modules, packages, distributions, and data files by patterns."""

from __future__ import annotations

import fnmatch
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from falco_plugin._build.bundle import distributions
from falco_plugin._build.bundle.distributions import SDK, Installed
from falco_plugin._build.bundle.parts import Part
from falco_plugin._build.bundle.requirements import Owners
from falco_plugin._build.bundle.settings import Setting, Settings
from falco_plugin._build.bundle.standard_library import StandardLibrary
from falco_plugin._build.errors import TargetError

if TYPE_CHECKING:
    from packaging.requirements import Requirement


class Choice:
    """The modules, packages, distributions and data files that settings name."""

    def __init__(self, settings: Settings, library: StandardLibrary, installed: Installed, owners: Owners) -> None:
        self._include = [setting for setting in settings.include if not setting.is_pattern]
        self._exclude = [setting for setting in settings.exclude if not setting.is_pattern]
        self._kept = [setting for setting in settings.include if setting.is_pattern]
        self._dropped = [setting for setting in settings.exclude if setting.is_pattern]
        self.requirements: list[Requirement] = []
        """Distributions that are packed beside those that the plugin requires."""
        self.modules: set[str] = set()
        """Modules of the standard library that are packed beside those that are reachable."""
        self.excluded = frozenset(distributions.normalise(setting.name) for setting in self._exclude)
        """Normalised names of distributions that are not packed."""
        self._unused = {
            setting
            for setting in self._exclude
            if not _is_installed(setting.name, installed)
            and not library.has(setting.name)
            # Some systems leave out parts of the standard library, such as tkinter.
            and setting.name.partition(".")[0] not in sys.stdlib_module_names
        }
        for setting in self._exclude:
            if distributions.normalise(setting.name) == SDK or setting.name.partition(".")[0] == "falco_plugin":
                raise TargetError(f"{setting}: the SDK is always packed")
        for setting in self._include:
            self._require(setting, library, installed, owners)

    @property
    def excluded_modules(self) -> list[str]:
        """Names of modules and packages that are not packed."""
        return [setting.name for setting in self._exclude]

    def _require(self, setting: Setting, library: StandardLibrary, installed: Installed, owners: Owners) -> None:
        name = setting.name
        in_library = {module for module in library.names() if module == name or module.startswith(f"{name}.")}
        self.modules |= in_library
        if _is_installed(name, installed):
            self.requirements.append(distributions.parse(name, setting.origin))
        elif not in_library:
            found = owners.of([name], str(setting))
            if not found:
                raise TargetError(f"{setting}: no module, package or distribution of this environment has this name")
            self.requirements += [distributions.parse(owner, setting.origin) for owner in found]

    def apply(self, parts: list[Part]) -> None:
        """Adds modules that were left out, and removes excluded modules and data files.

        Raises:
            TargetError: a pattern matches no data file.
        """
        for part in parts:
            for setting in self._include:
                for module in [module for module in part.left_out if f"{module}.".startswith(f"{setting.name}.")]:
                    part.modules[module] = part.left_out.pop(module)
            for setting in self._exclude:
                if part.remove(setting.name):
                    self._unused.discard(setting)
        self._drop_files(parts)

    def _drop_files(self, parts: list[Part]) -> None:
        """Removes the data files that a pattern excludes and that no pattern includes."""
        parts = [part for part in parts if part.name != SDK]
        paths = {path for part in parts for path in part.files if not path.partition("/")[0].endswith(".dist-info")}
        kept = set(_matches(self._kept, paths))
        dropped = set(_matches(self._dropped, paths)) - kept
        for part in parts:
            for path in dropped.intersection(part.files):
                del part.files[path]

    def check(self) -> None:
        """Raises ``TargetError`` if an excluded name means nothing, because it may be misspelt."""
        for setting in sorted(self._unused):
            raise TargetError(f"{setting}: no module, package or distribution that is packed has this name")


def _matches(patterns: list[Setting], paths: set[str]) -> Iterator[str]:
    """Yields the paths that patterns match."""
    for setting in patterns:
        found = fnmatch.filter(paths, setting.name)
        if not found:
            raise TargetError(f"{setting}: no data file of a packed distribution has a path that matches")
        yield from found


def _is_installed(name: str, installed: Installed) -> bool:
    return installed.find(distributions.normalise(name)) is not None
