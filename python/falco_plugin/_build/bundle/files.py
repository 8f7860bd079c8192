"""Sorts the files of a distribution: modules, extension modules, data files, and what is left out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path, PurePosixPath

from falco_plugin._build.bundle import editable, native, records
from falco_plugin._build.bundle.parts import Part, Source
from falco_plugin._build.errors import TargetError

_LEFT_OUT_FOLDERS = frozenset({"test", "tests", "doc", "docs"})
_LEFT_OUT_MODULES = re.compile(r"(test_\w+|conftest)\.py")
_NOT_AT_RUN_TIME = frozenset(
    {
        *(".a", ".c", ".cc", ".cpp", ".cxx", ".f", ".f90", ".h", ".hh", ".hpp", ".la", ".lib", ".o", ".rs"),
        *(".pxd", ".pxi", ".pyc", ".pyi", ".pyo", ".pyx", ".pyd", ".dll", ".dylib", ".exe", ".pth"),
        *(".md", ".rst", ".ipynb"),
    }
)
_OTHER_PYTHON = re.compile(r".*\.(cpython|pypy|graalpy|abi)[\w-]*\.so")
_METADATA_FOLDER = re.compile(r"[^/]*\.(dist|egg)-info")
_METADATA_FILES = ("entry_points.txt", "top_level.txt")
_LICENCE = re.compile(r"(licen[cs]e|copying|notice|autho\w+|copyright)\b.*", re.IGNORECASE)


def part_of(name: str, distribution: metadata.Distribution) -> Part:
    """Sorts the files of a distribution.

    Args:
        name: its normalised name.
        distribution: the distribution.

    Raises:
        TargetError: its files are not known, or a module is missing.
    """
    part = Part(name, distribution.version)
    libraries: dict[str, Path] = {}
    for relative, path in _code_files(name, distribution):
        _add(part, libraries, relative, path)
    _add_libraries(part, libraries)
    _check(part)
    # An extension module takes precedence over a module of the same name.
    for module in part.extensions:
        part.modules.pop(module, None)
        part.left_out.pop(module, None)
    add_metadata(part, distribution)
    return part


def is_licence(path: str) -> bool:
    """Returns whether a file of a distribution is a licence or a notice."""
    return _LICENCE.fullmatch(path.rpartition("/")[2]) is not None or ".dist-info/licenses/" in path


def _code_files(name: str, distribution: metadata.Distribution) -> Iterable[tuple[str, Path]]:
    """Returns the files of a distribution beside its metadata, by their paths in the folder of packages."""
    if editable.is_editable(distribution):
        return editable.files(distribution, name)
    listed = records.files_of(distribution)
    if listed is None:
        raise TargetError(
            f"{name} {distribution.version} has no list of its files (RECORD), so build cannot pack it: install it "
            "with pip"
        )
    folder = records.folder_of(distribution)
    return [(file, folder / file) for file in listed if not _METADATA_FOLDER.fullmatch(file.partition("/")[0])]


def _add(part: Part, libraries: dict[str, Path], relative: str, path: Path) -> None:
    """Adds a file to a part. Collects shared libraries that are not extension modules in `libraries`."""
    file = PurePosixPath(relative)
    if "__pycache__" in file.parts or file.name == "py.typed":
        return
    if file.suffix in _NOT_AT_RUN_TIME and not is_licence(relative):
        return
    if file.parts[0].endswith(".libs"):
        # The extension modules that need these libraries state it.
        return
    is_left_out = bool(_LEFT_OUT_FOLDERS & set(file.parts[:-1]) or _LEFT_OUT_MODULES.fullmatch(file.name))
    in_package = all(parent.isidentifier() for parent in file.parts[:-1])
    if file.suffix == ".py" and in_package and file.stem.isidentifier():
        is_package = file.stem == "__init__" and len(file.parts) > 1
        module = ".".join(file.parts[:-1] if is_package else (*file.parts[:-1], file.stem))
        modules = part.left_out if is_left_out else part.modules
        if not is_package and module in modules:
            return
        modules[module] = Source(path, is_package)
    elif native.is_shared_library(file.name):
        name = native.extension_name(file.name) if in_package else None
        if is_left_out:
            return
        if name is not None and path.is_file() and native.exports_module(path, name):
            part.extensions[".".join((*file.parts[:-1], name))] = path
        elif not _OTHER_PYTHON.fullmatch(file.name):
            libraries[relative] = path
    elif not is_left_out and len(file.parts) > 1 and path.is_file():
        part.files[relative] = path


def _add_libraries(part: Part, libraries: dict[str, Path]) -> None:
    """Adds shared libraries that code opens by their paths. Those that extension modules need are found later."""
    if not libraries:
        return
    needed = b"".join(path.read_bytes() for path in part.extensions.values())
    for relative, path in libraries.items():
        if b"\0" + path.name.encode() + b"\0" not in needed and path.is_file():
            part.files[relative] = path


def _check(part: Part) -> None:
    missing = [source.path for source in part.modules.values() if not source.path.is_file()]
    if missing:
        raise TargetError(
            f"{part.name} {part.version} lacks {missing[0]}: install it again (pip install --force-reinstall "
            f"{part.name}=={part.version})"
        )


def add_metadata(part: Part, distribution: metadata.Distribution) -> None:
    """Adds the metadata that ``importlib.metadata`` reads, and the licences."""
    folder = f"{part.name.replace('-', '_')}-{part.version}.dist-info"
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    # The long description follows the first empty line.
    part.files[f"{folder}/METADATA"] = text.replace("\r\n", "\n").partition("\n\n")[0].encode() + b"\n"
    for name in _METADATA_FILES:
        if content := distribution.read_text(name):
            part.files[f"{folder}/{name}"] = content.encode()
    root = records.folder_of(distribution)
    for file in records.files_of(distribution) or ():
        first, _, rest = file.partition("/")
        if _METADATA_FOLDER.fullmatch(first) and is_licence(file) and (root / file).is_file():
            part.files[f"{folder}/{rest}"] = root / file
