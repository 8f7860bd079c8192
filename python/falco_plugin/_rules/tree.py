"""Conditions of rules as trees, with offsets in the text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class And:
    """True if all children are."""

    children: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """True if one child is."""

    children: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """True if the child is not."""

    child: Expression


@dataclass(frozen=True, slots=True)
class Macro:
    """The name of a macro."""

    name: str
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Field:
    """A field, perhaps with the argument in brackets."""

    name: str
    argument: str | None = None
    offset: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return self.name if self.argument is None else f"{self.name}[{self.argument}]"


@dataclass(frozen=True, slots=True)
class Value:
    """A string or a number."""

    text: str
    is_quoted: bool = False
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Values:
    """Values in parentheses."""

    items: tuple[Value, ...]
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """A function, such as ``tolower``, of fields and values."""

    function: str
    arguments: tuple[Operand, ...]
    argument: str | None = None
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Operands:
    """Fields and values in parentheses, as an argument of a function."""

    items: tuple[Operand, ...]
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Check:
    """A comparison, or ``exists``."""

    left: Field | Call
    operator: str
    """The operator, with its modifier if it has one: ``=``, ``startswith anyof``."""
    right: Value | Values | Field | Call | None = None
    offset: int = field(default=0, compare=False)


Operand = Field | Call | Value | Operands
Expression = And | Or | Not | Macro | Check


def fields_of(tree: Expression | Operand | Values | None) -> Iterator[Field]:
    """Yields each field that a condition or a part of it names, without those of its macros."""
    match tree:
        case Field():
            yield tree
        case And(children) | Or(children):
            for child in children:
                yield from fields_of(child)
        case Not(child):
            yield from fields_of(child)
        case Check():
            yield from fields_of(tree.left)
            yield from fields_of(tree.right)
        case Call():
            for argument in tree.arguments:
                yield from fields_of(argument)
        case Operands(items):
            for item in items:
                yield from fields_of(item)
        case _:
            pass


def macros_of(tree: Expression) -> Iterator[Macro]:
    """Yields each macro that a condition names."""
    match tree:
        case Macro():
            yield tree
        case And(children) | Or(children):
            for child in children:
                yield from macros_of(child)
        case Not(child):
            yield from macros_of(child)
        case Check():
            pass
