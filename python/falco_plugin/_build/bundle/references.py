"""Finds what a code object refers to: imported modules, names of modules in strings, and ``__file__``."""

from __future__ import annotations

import dis
import re
import sys
from collections.abc import Iterator
from types import CodeType
from typing import Any, NamedTuple

_IMPORT_NAME = dis.opmap["IMPORT_NAME"]
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_NEVER_RUN = re.compile(
    rb"""^([ \t]*)if[ \t]+(?:__name__[ \t]*==[ \t]*['"]__main__['"]|(?:\w+\.)?TYPE_CHECKING)[ \t]*:""", re.MULTILINE
)
"""The beginning of a block that does not run when the module is imported, nor later."""
_COMMANDS = frozenset({"main", "_main", "test", "_test", "_test_generator"})
"""Functions of modules of the standard library that only run for ``python -m``."""
_PATHS = frozenset({"__file__", "__path__"})
_SEARCHES = frozenset({"extend_path", "iter_modules", "walk_packages"})
"""Functions that use ``__path__`` to find modules."""


class References(NamedTuple):
    """The references of a module. The fields are those of `falco_plugin._build.bundle.code.Module`."""

    imports: tuple[str, ...]
    strings: tuple[str, ...]
    uses_path: bool


def find(code: CodeType, source: bytes, name: str, is_package: bool) -> References:
    """Returns the references of a module's code, sorted."""
    package = name if is_package else name.rpartition(".")[0]
    never_run = _lines_never_run(source)
    imports: set[str] = set()
    strings: set[str] = set()
    names: set[str] = set()
    is_standard = name.partition(".")[0] in sys.stdlib_module_names
    for part in _nested(code):
        if not (is_standard and part.co_qualname in _COMMANDS):
            imports.update(_imports(part, package, never_run))
        strings.update(_module_names(part.co_consts))
        names.update(_PATHS & set(part.co_names), _SEARCHES & set(part.co_names))
    uses_path = "__file__" in names or ("__path__" in names and not names & _SEARCHES)
    return References(tuple(sorted(imports)), tuple(sorted(strings)), uses_path)


def _nested(code: CodeType) -> Iterator[CodeType]:
    """Yields a code object, and those of its functions and classes."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


def _imports(code: CodeType, package: str, never_run: list[range]) -> Iterator[str]:
    if _IMPORT_NAME not in code.co_code[::2]:
        return
    line = code.co_firstlineno
    constants: list[Any] = [None, None]
    for instruction in dis.get_instructions(code):
        line = _line(instruction, line)
        if instruction.opcode == _IMPORT_NAME and not any(line in lines for lines in never_run):
            level, names = constants
            yield from _imported(instruction.argval, names or (), level or 0, package)
        if instruction.opcode != dis.EXTENDED_ARG:
            constants = [constants[1], instruction.argval]


def _line(instruction: dis.Instruction, line: int) -> int:
    positions = instruction.positions
    return line if positions is None or positions.lineno is None else positions.lineno


def _imported(name: str, names: tuple[str, ...], level: int, package: str) -> Iterator[str]:
    """Yields the modules that a statement may import. ``from a import b`` may import a and a.b."""
    if level:
        # The modules at the top level of a plugin import each other so, too.
        parents = package.split(".") if package else []
        name = ".".join(parents[: len(parents) - level + 1] + ([name] if name else []))
    if name:
        yield name
        yield from (f"{name}.{member}" for member in names if member != "*")


def _module_names(constants: Any) -> Iterator[str]:
    """Yields the strings among constants that may be names of modules of the standard library."""
    for constant in constants:
        if isinstance(constant, str):
            if constant.partition(".")[0] in sys.stdlib_module_names and _DOTTED.fullmatch(constant):
                yield constant
        elif isinstance(constant, (tuple, frozenset)):
            yield from _module_names(constant)


def _lines_never_run(source: bytes) -> list[range]:
    """Returns the lines of the blocks that never run in a plugin."""
    found = []
    for block in _NEVER_RUN.finditer(source):
        first = source.count(b"\n", 0, block.start()) + 1
        indentation = len(block[1])
        last = first
        for number, line in enumerate(source[block.end() :].split(b"\n")):
            code = line.split(b"#")[0].rstrip()
            if number and code and len(code) - len(code.lstrip()) <= indentation:
                break
            last = first + number
        found.append(range(first, last + 1))
    return found
