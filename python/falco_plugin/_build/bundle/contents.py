"""Describes what is in a bundle: for ``falco-plugin info``, for a bill of materials, and for the start of Python."""

from __future__ import annotations

import hashlib
import platform
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from falco_plugin._build import environment
from falco_plugin._build.bundle import real_files
from falco_plugin._build.bundle.collect import STANDARD_LIBRARY, Collection
from falco_plugin._build.bundle.licences import licence_of
from falco_plugin._build.bundle.plan import Entry

_PYTHON_LICENCE = "PSF-2.0"


def describe(collection: Collection, stored: list[Entry], reply: Mapping[str, Any], needs_gil: str) -> dict[str, Any]:
    """Returns the description of a bundle. It has no path or time of this machine.

    Args:
        collection: its parts.
        stored: its modules and data files.
        reply: the packer's reply.
        needs_gil: the extension module for which a free-threaded Python switches its GIL on; empty if there is none.
    """
    sizes = _sizes(collection, stored, reply)
    native = {entry["name"]: entry for entry in reply["entries"] if entry["kind"] == "library"}
    own = environment.libpython_name()
    sizes[STANDARD_LIBRARY] += Counter(size=native[own]["len"], stored=native[own]["stored"])
    packages = []
    for name, needed in collection.needed.items():
        licence, is_expression = licence_of(needed.metadata.metadata)
        packages.append(
            {
                "name": needed.metadata.metadata["Name"],
                "version": needed.metadata.version,
                "licence": licence,
                "is_spdx": is_expression,
                "requires": [collection.needed[other].metadata.metadata["Name"] for other in needed.requires],
                **sizes[name],
            }
        )
    libraries: list[dict[str, Any]] = [
        {
            "name": library["soname"],
            "size": native[library["soname"]]["len"],
            "stored": library["stored"],
            "sha256": hashlib.sha256(Path(library["path"]).read_bytes()).hexdigest(),
        }
        for library in reply["libraries"]
        if library["soname"] != own
    ]
    return {
        "kind": "self-contained",
        "python": {
            "version": platform.python_version(),
            "build": " ".join(platform.python_build()).strip(),
            "licence": _PYTHON_LICENCE,
            "free_threaded": environment.is_free_threaded(),
            "needs_gil": needs_gil,
            **sizes[STANDARD_LIBRARY],
        },
        "packages": packages,
        "libraries": libraries,
        "glibc": reply["glibc"],
        "size": sum(size["size"] for size in sizes.values()) + sum(library["size"] for library in libraries),
        "stored": reply["size"],
        "real_files": [prefix for part in collection.parts for prefix in real_files.prefixes(part)],
        "skipped": [name for part in collection.parts for name in part.skipped],
    }


def _sizes(collection: Collection, stored: list[Entry], reply: Mapping[str, Any]) -> dict[str, Counter[str]]:
    """Returns the size of each part and its share of the compressed size, without libraries."""
    groups = {group["group"]: group for group in reply["groups"]}
    sizes: dict[str, Counter[str]] = {}
    for entry in stored:
        size = len(entry.source) if isinstance(entry.source, bytes) else entry.source.stat().st_size
        group = groups[entry.group]
        # A group can hold modules of several parts.
        share = size * group["stored"] // group["len"] if group["len"] else 0
        sizes.setdefault(entry.part, Counter()).update(size=size, stored=share)
    native = {entry["name"]: entry for entry in reply["entries"] if entry["kind"] == "extension"}
    for part in collection.parts:
        for name in part.part.extensions:
            counter = sizes.setdefault(part.part.name, Counter())
            counter.update(size=native[name]["len"], stored=native[name]["stored"])
    return sizes
