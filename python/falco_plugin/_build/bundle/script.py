"""Reads the metadata of a plugin in a single file: a comment with TOML between ``# /// script`` and ``# ///``.

The Python packaging user guide specifies them as inline script metadata (PEP 723).
"""

from __future__ import annotations

import platform
import sys
import tokenize
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from falco_plugin._build.errors import TargetError

_BEGIN, _END = "# /// script", "# ///"
DEPENDENCIES = f"dependencies in its '{_BEGIN}' block"
"""The name of the dependencies for messages."""


def metadata(path: Path) -> dict[str, Any]:
    """Returns the metadata, which are empty if the file has none.

    Raises:
        TargetError: the metadata are not valid, or require another Python.
    """
    block = _block(path)
    if block is None:
        return {}
    try:
        found = tomllib.loads(block)
    except ValueError as error:
        raise TargetError(f"{path}: the '{_BEGIN}' block is not TOML: {error}: correct it, or remove it") from None
    _check_python(path, found.get("requires-python", ""))
    return found


def _check_python(path: Path, required: object) -> None:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        versions = SpecifierSet(required if isinstance(required, str) else "not a string")
    except InvalidSpecifier:
        raise TargetError(
            f"{path}: requires-python in its '{_BEGIN}' block must be a range of versions such as \">=3.11\", "
            f"got {required!r}"
        ) from None
    if not versions.contains(platform.python_version(), prereleases=True):
        raise TargetError(
            f"{path} requires Python {required}, but {sys.executable} is Python {platform.python_version()}: "
            "install falco-plugin-sdk and the dependencies for such a Python, and build with --python PATH"
        )


def _block(path: Path) -> str | None:
    """Returns the text of the block, without the comment characters."""
    try:
        with tokenize.open(path) as file:
            lines = file.read().splitlines()
    except (OSError, SyntaxError, ValueError) as error:
        raise TargetError(f"cannot read {path}: {error}") from None
    blocks = list(_blocks(lines))
    if len(blocks) > 1:
        raise TargetError(f"{path} has {len(blocks)} '{_BEGIN}' blocks: keep one of them")
    return blocks[0] if blocks else None


def _blocks(lines: Sequence[str]) -> Iterator[str]:
    position = 0
    while position < len(lines):
        begin = position
        position += 1
        if lines[begin] != _BEGIN:
            continue
        end = position
        while end < len(lines) and (lines[end] == "#" or lines[end].startswith("# ")):
            end += 1
        # A line of the content may look like the end, so the last one counts. A block without an end is a comment.
        ends = [line for line in range(position, end) if lines[line] == _END]
        if ends:
            yield "\n".join(line[2:] for line in lines[position : ends[-1]])
            position = ends[-1] + 1
