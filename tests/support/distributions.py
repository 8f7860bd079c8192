"""Distributions that tests install into a folder, without pip."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path

Files = Mapping[str, str | bytes]


def install(
    folder: Path,
    name: str,
    version: str = "1.0",
    files: Files | None = None,
    *,
    requires: Iterable[str] = (),
    headers: Iterable[str] = (),
    metadata: Files | None = None,
    listed: Iterable[str] = (),
) -> None:
    """Writes a distribution into a folder of packages.

    Args:
        folder: the folder, as a site-packages.
        name: the name of the distribution.
        version: its version.
        files: its files beside the metadata; strings are dedented.
        requires: its requirements.
        headers: further lines of its METADATA.
        metadata: further files of its metadata.
        listed: further paths for its RECORD.
    """
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    lines = ["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", *headers]
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    extras = {
        requirement.partition("extra ==")[2].strip(" '\"") for requirement in requires if "extra ==" in requirement
    }
    lines += [f"Provides-Extra: {extra}" for extra in sorted(extras)]
    contents: dict[str, str | bytes] = {f"{info}/METADATA": "\n".join(lines) + "\n\nA long description.\n"}
    contents |= {f"{info}/{file}": content for file, content in (metadata or {}).items()}
    contents |= files or {}
    write(folder, contents)
    record = "".join(f"{file},,\n" for file in [*contents, *listed, f"{info}/RECORD"])
    (folder / info / "RECORD").write_text(record, encoding="utf-8")


def install_editable(
    folder: Path, name: str, project: Path, files: Files, *, top_level: str = "", version: str = "1.0"
) -> None:
    """Writes the metadata of an editable distribution, with the files by which its tool points to the project."""
    metadata: dict[str, str | bytes] = {
        "direct_url.json": json.dumps({"url": project.as_uri(), "dir_info": {"editable": True}})
    }
    if top_level:
        metadata["top_level.txt"] = top_level
    install(folder, name, version, files, metadata=metadata)


def write(folder: Path, files: Files) -> None:
    """Writes files below a folder. Strings are dedented."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else textwrap.dedent(content).encode())
