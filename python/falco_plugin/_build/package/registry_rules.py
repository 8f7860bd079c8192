"""The rules of Falco's plugin registry and of OCI registries that a published plugin must follow."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Literal

from falco_plugin._build.package.plugin_library import PluginLibrary
from falco_plugin._declare import plugin_ids

Allowed = Literal["linked", "development-id", "name"]
ALLOWED: tuple[Allowed, ...] = ("linked", "development-id", "name")

SEMANTIC_VERSION = re.compile(r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?")
"""A version as falcoctl accepts it: semantic, without build metadata."""
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*")
"""A component of the name of a repository in an OCI registry."""
_DEVELOPMENT_SOURCE = "test"


def problems(library: PluginLibrary, allowed: Collection[str]) -> Iterator[str]:
    """Yields why a library should not be published, one message each, with the remedy."""
    plugin, path = library.metadata, library.path
    if library.is_linked and "linked" not in allowed:
        yield (
            f"{path} is a linked library, which needs the environment of the machine that built it: build it without "
            "--linked, or pass --allow linked if this environment is also where Falco runs"
        )
    if not SEMANTIC_VERSION.fullmatch(plugin.version):
        yield (
            f"{path}: the version {plugin.version!r} is not a semantic version, which falcoctl needs: use three "
            "numbers without leading zeros, such as 1.2.3"
        )
    if not _REPOSITORY.fullmatch(plugin.name) and "name" not in allowed:
        yield (
            f"{path}: the name {plugin.name!r} cannot be the name of a repository in a registry: use letters and "
            "digits with single '-' or '_' between them, or pass --allow name if the repository has another name"
        )
    yield from _problems_of_id(library, allowed)


def _problems_of_id(library: PluginLibrary, allowed: Collection[str]) -> Iterator[str]:
    plugin, path = library.metadata, library.path
    if plugin.id is None:
        return
    remedy = (
        f"use a number from {plugin_ids.PRIVATE[0]} to {plugin_ids.PRIVATE[-1]} for private use, such as "
        f"id = {plugin_ids.private_id(plugin.name)}, or one that is registered with Falco"
    )
    if plugin.id > plugin_ids.PRIVATE[-1]:
        yield f"{path}: the id {plugin.id} is too large: {remedy}"
    elif "development-id" in allowed:
        return
    elif plugin.id == plugin_ids.DEVELOPMENT:
        yield (
            f"{path}: the id {plugin.id} is for development, and Falco does not load two plugins with one id: "
            f"{remedy}, or pass --allow development-id"
        )
    elif plugin.event_source == _DEVELOPMENT_SOURCE:
        yield (
            f"{path}: the event source {plugin.event_source!r} is for development: choose another, or pass "
            "--allow development-id"
        )
