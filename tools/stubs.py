"""Writes the docstrings of ``falco_plugin/_core.pyi``, which are the doc comments in ``rust/python``.

The built module has the doc comments as ``__doc__``. The signatures in the file are written by hand. With ``--check``
the file is only compared, and not written.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from falco_plugin import _core

_FILE = Path(__file__).parent.parent / "python/falco_plugin/_core.pyi"
_LINE_LENGTH = 120


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the docstrings of _core.pyi out of the built module.")
    parser.add_argument("--check", action="store_true", help="fail if the file is not up to date, and do not write it")
    check = parser.parse_args().check
    text = _FILE.read_text()
    new = _formatted(_with_docstrings(text))
    if new == text:
        return
    if not check:
        _FILE.write_text(new)
        return
    diff = difflib.unified_diff(text.splitlines(True), new.splitlines(True), "_core.pyi", "generated")
    sys.stdout.writelines(diff)
    sys.exit("the docstrings of _core.pyi differ from the doc comments in rust/python: run `make stubs`")


def _with_docstrings(text: str) -> str:
    lines = text.splitlines()
    # Replace from the end of the file, so that the line numbers of the nodes before stay right.
    for node, documented in reversed(list(_documented_nodes(ast.parse(text)))):
        doc = documented.__doc__
        if not doc:
            sys.exit(f"{_FILE.name}:{getattr(node, 'lineno', 1)}: no doc comment in rust/python")
        first = node.body[0]
        is_replaced = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
        if not is_replaced:
            sys.exit(f"{_FILE.name}:{first.lineno}: the body must begin with a docstring or ...")
        start, end = first.lineno - 1, first.end_lineno
        before = lines[start][: first.col_offset].rstrip()
        indent = " " * (0 if isinstance(node, ast.Module) else node.col_offset + 4)
        lines[start:end] = ([before] if before else []) + _docstring(inspect.cleandoc(doc), indent)
    return "\n".join(lines) + "\n"


def _documented_nodes(
    module: ast.Module,
) -> Iterator[tuple[ast.Module | ast.ClassDef | ast.FunctionDef, object]]:
    """Yields each node that gets a docstring, with the object that has it, in the order of the file."""
    yield module, _core
    for node in module.body:
        if isinstance(node, ast.FunctionDef):
            yield node, getattr(_core, node.name)
        elif isinstance(node, ast.ClassDef):
            cls = getattr(_core, node.name)
            yield node, cls
            for method in node.body:
                # Special methods need no docstring, and a setter has none besides its getter's.
                if (
                    isinstance(method, ast.FunctionDef)
                    and not method.name.startswith("__")
                    and not any(isinstance(decorator, ast.Attribute) for decorator in method.decorator_list)
                ):
                    found = inspect.getattr_static(cls, method.name)
                    # PyO3 does not keep the doc comment of a static method.
                    yield method, found.__func__ if isinstance(found, staticmethod) else found


def _docstring(doc: str, indent: str) -> list[str]:
    first, *rest = doc.splitlines()
    lines = [f'{indent}"""{first}', *(f"{indent}{line}".rstrip() for line in rest)]
    if rest or len(lines[0]) + 3 > _LINE_LENGTH:
        lines.append(f'{indent}"""')
    else:
        lines[0] += '"""'
    too_long = next((line for line in lines if len(line) > _LINE_LENGTH), None)
    if too_long:
        sys.exit(f"wrap the doc comment in rust/python, this line of {_FILE.name} is too long: {too_long}")
    return lines


def _formatted(text: str) -> str:
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(_FILE), "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
