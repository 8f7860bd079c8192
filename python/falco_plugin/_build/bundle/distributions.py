"""Finds the distributions that a plugin needs among those of the environment, by their metadata."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING

from falco_plugin._build import environment
from falco_plugin._build.errors import TargetError

if TYPE_CHECKING:
    from packaging.requirements import Requirement

SDK = "falco-plugin-sdk"
_COMMAND_ONLY = frozenset({"click", "packaging", "pyyaml"})
"""Requirements of the SDK that only its command needs."""


@dataclass
class Needed:
    """A distribution that is packed."""

    name: str
    """The normalised name."""
    metadata: metadata.Distribution
    requires: list[str] = field(default_factory=list)
    """The normalised names of the distributions that it needs."""


class Installed:
    """The distributions of the environment, as an isolated Python finds them."""

    def __init__(self) -> None:
        self._found: dict[str, metadata.Distribution] = {}
        self._positions: dict[str, int] = {}
        for position, folder in enumerate(environment.folders()):
            for distribution in metadata.distributions(path=[folder]):
                name = distribution.metadata["Name"]
                if name:
                    self._found.setdefault(normalise(name), distribution)
                    self._positions.setdefault(normalise(name), position)

    def find(self, name: str) -> metadata.Distribution | None:
        """Returns a distribution by its normalised name."""
        return self._found.get(name)

    def position(self, name: str) -> int:
        """Returns the position in ``sys.path`` of the folder that a distribution is in."""
        return self._positions[name]

    def all(self) -> Iterable[tuple[str, metadata.Distribution]]:
        """Returns all distributions with their normalised names."""
        return self._found.items()


def normalise(name: str) -> str:
    """Returns the name of a distribution in the form in which names are compared."""
    from packaging.utils import canonicalize_name

    return canonicalize_name(name)


def parse(requirement: str, origin: str) -> Requirement:
    """Returns a requirement.

    Args:
        requirement: the requirement as text, such as ``httpx>=0.28``.
        origin: who has the requirement, for the error.

    Raises:
        TargetError: it is not valid.
    """
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(requirement)
    except InvalidRequirement as error:
        raise TargetError(f"{origin}: {requirement!r} is not a requirement: {error}") from None


def resolve(
    installed: Installed, requirements: Iterable[Requirement], origin: str, excluded: frozenset[str]
) -> dict[str, Needed]:
    """Returns the distributions that requirements name, and those that these need in turn, sorted by name.

    Args:
        installed: the distributions of the environment.
        requirements: the requirements of the plugin.
        origin: who has these requirements, for errors.
        excluded: normalised names of distributions that are not packed.

    Raises:
        TargetError: one is not installed, or has a version that the plugin does not accept.
    """
    found: dict[str, Needed] = {}
    extras: dict[str, set[str]] = {}
    pending = [(requirement, origin, "") for requirement in requirements]
    while pending:
        requirement, by, by_name = pending.pop(0)
        name = normalise(requirement.name)
        if name in excluded:
            continue
        if by_name and name not in found[by_name].requires:
            found[by_name].requires.append(name)
        distribution = installed.find(name)
        if distribution is None:
            raise TargetError(f"{by} requires {_bare(requirement)}, which is not installed: {_install(requirement)}")
        if not by_name and not requirement.specifier.contains(distribution.version, prereleases=True):
            raise TargetError(
                f"{by} requires {_bare(requirement)}, but {name} {distribution.version} is installed: "
                f"{_install(requirement)}"
            )
        wanted = {"", *requirement.extras}
        new = wanted - extras.setdefault(name, set())
        extras[name] |= wanted
        if new:
            found.setdefault(name, Needed(name, distribution))
            by = f"{name} {distribution.version}"
            pending += [(needed, by, name) for needed in _requirements(name, distribution, new, by)]
    for needed in found.values():
        needed.requires.sort()
    return dict(sorted(found.items()))


def _requirements(name: str, distribution: metadata.Distribution, extras: set[str], by: str) -> Iterable[Requirement]:
    """Yields what a distribution requires in this environment with some of its extras."""
    for text in distribution.requires or ():
        requirement = parse(text, by)
        if name == SDK and normalise(requirement.name) in _COMMAND_ONLY:
            continue
        marker = requirement.marker
        if "" in extras if marker is None else any(marker.evaluate({"extra": extra}) for extra in extras):
            yield requirement


def _bare(requirement: Requirement) -> str:
    """Returns a requirement without its marker, which was evaluated."""
    return str(requirement).partition(";")[0].strip()


def _install(requirement: Requirement) -> str:
    return f"install it ({sys.executable} -m pip install '{_bare(requirement)}')"
