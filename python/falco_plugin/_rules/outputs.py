"""Finds the fields in outputs of rules, as Falco does."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from falco_plugin._rules.conditions import ConditionError, parse_operand
from falco_plugin._rules.tree import Call, Field

_WIDTH = re.compile(r"[0-9]+")
_LONGEST = 300
"""The most characters of a field or function that are shortened until they are one."""


@dataclass(frozen=True)
class Token:
    """A field or a function of fields after a ``%``."""

    operand: Field | Call
    offset: int
    end: int
    """The offset after it."""


def parse(text: str, exists: Callable[[Field | Call], bool]) -> Iterator[tuple[Token, Token]]:
    """Yields the fields of an output: as they are written, and as Falco reads them.

    Args:
        text: the output.
        exists: whether a field or function has no error. Falco shortens the text after a ``%`` until it has none.

    Raises:
        ConditionError: a ``%`` has no field after it.
    """
    index = text.find("%")
    while index >= 0:
        start = index + 1
        if width := _WIDTH.match(text, start):
            start = width.end()
        if start >= len(text):
            raise ConditionError(index, "the output ends with '%', which begins a field: write a field after it")
        read = next((token for token in _shortened(text, index, start) if exists(token.operand)), None)
        try:
            operand, end = parse_operand(text, start)
        except ConditionError as error:
            if read is None and error.offset > start:
                raise
            if read is None:
                message = "'%' has no field after it, and outputs cannot have this character: write 'percent'"
                raise ConditionError(index, message) from None
            operand, end = read.operand, min(error.offset + 1, len(text))
        written = Token(operand, index, end)
        yield written, read or written
        index = text.find("%", (read or written).end)


def _shortened(text: str, index: int, start: int) -> Iterator[Token]:
    """Yields what each beginning of a text is, the longest first."""
    for end in range(min(len(text), start + _LONGEST), start, -1):
        try:
            operand, found = parse_operand(text[:end], start)
        except ConditionError:
            continue
        yield Token(operand, index, found)
