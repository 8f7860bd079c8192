"""Chooses the files of a target that go into its library, and packs them into an archive."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from falco_plugin._build.errors import TargetError
from falco_plugin._runtime import archive

_EXCLUDED_FOLDERS = frozenset({"__pycache__", "tests", "test", "build", "dist", "node_modules", "venv"})
_EXCLUDED_FILES = frozenset({"setup.py", "conftest.py"})
_DATA_SUFFIXES = frozenset({".json", ".yaml", ".yml", ".toml", ".txt", ".csv", ".pem", ".crt"})


def files_of(path: Path) -> dict[str, Path]:
    """Returns the files of a target by their names in the archive.

    Args:
        path: a single file, or a folder, of which code and data files are packed.

    Raises:
        TargetError: a file is a link that leads out of the folder, or is not a regular file.
    """
    return dict(_files_of_folder(path)) if path.is_dir() else {path.name: path}


def root_of(path: Path) -> str:
    """Returns the folder that the names in the archive are relative to."""
    absolute = path.resolve()
    return str(absolute if path.is_dir() and not (path / "__init__.py").exists() else absolute.parent)


def pack(files: Mapping[str, Path]) -> bytes:
    """Reads files and returns the archive."""
    contents: dict[str, bytes] = {}
    for name, path in files.items():
        try:
            contents[name] = path.read_bytes()
        except OSError as error:
            raise TargetError(f"cannot read {path}: {error.strerror}") from error
    return archive.pack(contents)


def check_imports(path: Path) -> None:
    """Raises ``TargetError`` if a single file imports a module that lies beside it, because only the file is packed.

    Importing the file does not show this if the file's folder is on the path of this process, as it is in a test.
    """
    try:
        statements = ast.parse(path.read_bytes()).body
    except (SyntaxError, ValueError):
        # Importing the file reports this error.
        return
    names: list[str] = []
    for statement in statements:
        if isinstance(statement, ast.Import):
            names += [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            names.append(statement.module)
    modules = dict.fromkeys(name.partition(".")[0] for name in names)
    beside = [name for name in modules if name != path.stem and is_beside(path, name)]
    if not beside:
        return
    # The module may also be installed in the environment, for example as an editable package.
    check = "import sys; from importlib.util import find_spec; print(*(n for n in sys.argv[1:] if not find_spec(n)))"
    done = subprocess.run([sys.executable, "-I", "-c", check, *beside], capture_output=True, text=True, check=False)
    if missing := done.stdout.split():
        raise not_packed(path, missing[0])


def is_beside(path: Path, module: str) -> bool:
    """Returns whether a module lies in the folder of a file."""
    return (path.parent / f"{module}.py").exists() or (path.parent / module).is_dir()


def not_packed(path: Path, module: str) -> TargetError:
    """Returns the error for a single file that imports a module beside it."""
    return TargetError(
        f"{path.name} imports {module}, which lies beside it but is not packed with a single file: build the folder "
        f"instead ({path.parent})"
    )


def _files_of_folder(folder: Path) -> Iterator[tuple[str, Path]]:
    prefix = f"{folder.resolve().name}/" if (folder / "__init__.py").exists() else ""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if name not in _EXCLUDED_FOLDERS
            and not name.startswith(".")
            and not (Path(parent, name) / "pyvenv.cfg").exists()
        )
        for name in sorted(names):
            file = Path(parent, name)
            is_code = file.suffix == ".py" and name not in _EXCLUDED_FILES and not name.startswith("test_")
            if (is_code or file.suffix in _DATA_SUFFIXES) and not name.startswith("."):
                _check_file(folder, file)
                yield f"{prefix}{file.relative_to(folder).as_posix()}", file


def _check_file(folder: Path, file: Path) -> None:
    """Refuses links out of the folder, because every user can read the library, and files that are not regular."""
    if not file.resolve().is_relative_to(folder.resolve()):
        raise TargetError(f"{file} is a link that leads out of {folder}: copy the file, or remove the link")
    if file.exists() and not file.is_file():
        raise TargetError(f"{file} is not a regular file: remove it from the folder")
