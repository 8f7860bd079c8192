"""Finds the fields in outputs of rules, as Falco does."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from falco_plugin._rules.conditions import parse_operand
from falco_plugin._rules.tokens import ConditionError
from falco_plugin._rules.tree import Call, Field

State = Literal["right", "wrong", "unknown"]
"""Whether Falco accepts a field or a function; ``unknown`` if only Falco can decide."""
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


def parse(text: str, state: Callable[[Field | Call], State]) -> Iterator[tuple[Token, Token]]:
    """Yields the fields of an output: as they are written, and as Falco reads them.

    Args:
        text: the output.
        state: whether Falco accepts a field or function. Falco shortens the text after a ``%`` until it does.

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
        known = (token for token in _shortened(text, index, start) if state(token.operand) == "right")
        try:
            operand, end = parse_operand(text, start)
            whole = Token(operand, index, end)
            read = whole if state(operand) == "unknown" else next(known, None)
        except ConditionError as error:
            read = next(known, None)
            if read is None and error.offset > start:
                raise
            if read is None:
                message = "'%' has no field after it, and outputs cannot have this character: write 'percent'"
                raise ConditionError(index, message) from None
            whole = Token(read.operand, index, min(error.offset + 1, len(text)))
        yield whole, read or whole
        index = text.find("%", (read or whole).end)


def _shortened(text: str, index: int, start: int) -> Iterator[Token]:
    """Yields what each beginning of a text is, the longest first."""
    for end in range(min(len(text), start + _LONGEST), start, -1):
        try:
            operand, found = parse_operand(text[:end], start)
        except ConditionError:
            continue
        yield Token(operand, index, found)
