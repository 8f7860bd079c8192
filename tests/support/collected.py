"""The parts that a build collects for a self-contained library."""

from __future__ import annotations

from collections.abc import Callable

from falco_plugin._build.bundle.collect import Collection
from falco_plugin._build.bundle.reachable import Compiled

Collect = Callable[..., Collection]


def part_of(collection: Collection, name: str) -> Compiled:
    """Returns the part of a distribution."""
    (part,) = [part for part in collection.dependencies if part.part.name == name]
    return part


def names_of(collection: Collection) -> list[str]:
    """Returns the names of the distributions, without the SDK and what it needs."""
    return [name for name in collection.needed if name not in {"falco-plugin-sdk", "msgspec"}]
