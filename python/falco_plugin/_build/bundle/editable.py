"""Finds the files of distributions that are installed as editable, in the folders that they point to."""

from __future__ import annotations

import ast
import importlib.machinery
import json
import os
import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from falco_plugin._build.bundle import records
from falco_plugin._build.errors import TargetError

_SOURCE_SUFFIXES = (".py", *importlib.machinery.EXTENSION_SUFFIXES)
_NOT_CODE = frozenset(
    {
        *("build", "conftest", "dist", "doc", "docs", "examples", "node_modules", "noxfile", "setup", "tasks", "test"),
        *("tests", "venv"),
    }
)
"""Modules and folders of a project's folder that its distribution does not contain."""
_PROJECT_FILES = ("pyproject.toml", "setup.py", "setup.cfg")


def is_editable(distribution: metadata.Distribution) -> bool:
    """Returns whether a distribution was installed as editable."""
    text = distribution.read_text("direct_url.json")
    if text is not None:
        return bool(json.loads(text).get("dir_info", {}).get("editable"))
    # "setup.py develop" adds the project's folder, with metadata in it, to sys.path.
    return distribution.read_text("PKG-INFO") is not None and any(
        (records.folder_of(distribution) / name).is_file() for name in _PROJECT_FILES
    )


def files(distribution: metadata.Distribution, name: str) -> list[tuple[str, Path]]:
    """Returns the files of an editable distribution.

    Args:
        distribution: the distribution.
        name: its normalised name.

    Returns:
        The paths that the files would have in the folder of packages, and the paths that they have.

    Raises:
        TargetError: the install does not state where its code is.
    """
    folder = records.folder_of(distribution)
    found: dict[str, Path] = {}
    if distribution.read_text("direct_url.json") is None:
        found.update(_files_of_root(folder, distribution, name))
    for path in _path_files(distribution, folder, name):
        for line in path.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            if line.startswith(("import ", "import\t")):
                for module in re.findall(r"^import\s+(\w+)", line):
                    found.update(_files_of_finder(folder / f"{module}.py"))
            elif line.strip() and not line.startswith("#"):
                found.update(_files_of_root(folder / line.strip(), distribution, name))
    if not found:
        raise TargetError(
            f"{name} {distribution.version} is installed as editable in a form that build cannot read: install it "
            f"without --editable"
        )
    return sorted(found.items())


def _path_files(distribution: metadata.Distribution, folder: Path, name: str) -> Iterator[Path]:
    """Yields the .pth files of a distribution. Not every tool lists them in its RECORD."""
    words = re.escape(name).replace(r"\-", "[-_.]+")
    pattern = re.compile(rf"(_|__editable__[._])?{words}([-_.].*)?\.pth", re.IGNORECASE)
    listed = records.files_of(distribution) or ()
    for path in sorted(folder.glob("*.pth")):
        if path.name in listed or pattern.fullmatch(path.name):
            yield path


def _files_of_finder(path: Path) -> Iterator[tuple[str, Path]]:
    """Yields the files of the modules that a finder maps to paths.

    setuptools and scikit-build-core write a dictionary, and hatchling a call for each module.
    """
    if not path.is_file():
        return
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
        elif isinstance(node, ast.Call) and len(node.args) == 2:
            pairs = zip(node.args[:1], node.args[1:], strict=True)
        else:
            continue
        for key, value in pairs:
            if isinstance(key, ast.Constant) and isinstance(value, ast.Constant):
                name, target = key.value, value.value
                if isinstance(name, str) and isinstance(target, str) and os.path.isabs(target):
                    yield from _files_of_module(name.replace(".", "/"), Path(target))


def _files_of_module(name: str, path: Path) -> Iterator[tuple[str, Path]]:
    """Yields the files of a module or package, given its path with or without suffix or ``__init__.py``."""
    if path.name == "__init__.py":
        path = path.parent
    if path.is_dir():
        yield from _walk(path, name)
    elif path.is_file():
        yield f"{name}{''.join(path.suffixes)}", path
    else:
        for suffix in _SOURCE_SUFFIXES:
            file = path.with_name(path.name + suffix)
            if file.is_file():
                yield f"{name}{suffix}", file


def _files_of_root(root: Path, distribution: metadata.Distribution, name: str) -> Iterator[tuple[str, Path]]:
    """Yields the files of the modules and packages in a folder of ``sys.path``."""
    if not root.is_dir():
        return
    entries = sorted(root.iterdir())
    top_level = distribution.read_text("top_level.txt")
    is_project = any((root / file).is_file() for file in _PROJECT_FILES)
    own = {name.replace("-", "_"), name.replace("-", "")}
    if top_level:
        entries = [entry for entry in entries if _module_of(entry) in top_level.split()]
    elif is_project and any(_module_of(entry).lower() in own for entry in entries):
        entries = [entry for entry in entries if _module_of(entry).lower() in own]
    for entry in entries:
        module = _module_of(entry)
        if module.isidentifier() and module not in _NOT_CODE:
            if entry.is_dir():
                yield from _walk(entry, entry.name)
            elif entry.name.endswith(_SOURCE_SUFFIXES):
                yield entry.name, entry


def _module_of(path: Path) -> str:
    return path.name.partition(".")[0]


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and not Path(parent, name, "pyvenv.cfg").exists()
        )
        for name in sorted(names):
            path = Path(parent, name)
            yield f"{prefix}/{path.relative_to(folder).as_posix()}", path
