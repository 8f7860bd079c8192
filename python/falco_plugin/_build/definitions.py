"""Finds the lines of a plugin's files at which its classes and their attributes are defined."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from pathlib import Path


def line_of(files: Mapping[str, Path], entry: str, attribute: str = "") -> str:
    """Returns ``path:line`` of the class of an entry point, or of an attribute of it; empty if it is not found."""
    path = _file(files, entry)
    if path is None:
        return ""
    statements = ast.parse(path.read_bytes()).body
    found = _definition(statements, entry.partition(":")[2])
    if isinstance(found, ast.ClassDef) and attribute:
        found = _definition(found.body, attribute) or found
    return f"{path}:{found.lineno}" if found else ""


def name_with_line(files: Mapping[str, Path], entry: str) -> str:
    """Returns the name of an entry point and the line of its definition, such as ``Lines at plugin.py:12``."""
    name = entry.partition(":")[2]
    where = line_of(files, entry)
    return f"{name} at {Path(where).name}" if where else name


def _file(files: Mapping[str, Path], entry: str) -> Path | None:
    module = entry.partition(":")[0]
    return files.get(f"{module}.py") or files.get(f"{module}/__init__.py")


def _definition(statements: Iterable[ast.stmt], name: str) -> ast.stmt | None:
    """Returns the last statement that defines a name, because Python uses that one."""
    found = None
    for statement in statements:
        match statement:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                names = [statement.name]
            case ast.Assign(targets=targets):
                names = [target.id for target in targets if isinstance(target, ast.Name)]
            case ast.AnnAssign(target=ast.Name(id=target)):
                names = [target]
            case _:
                continue
        if name in names:
            found = statement
    return found
