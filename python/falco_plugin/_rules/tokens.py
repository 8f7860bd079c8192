"""Consumes the parts of a condition from its text, and describes what is wrong at an offset."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager

MAX_DEPTH = 60
"""The deepest nesting of parentheses and functions."""
_BLANKS = re.compile(r"[ \t\b\r\n]*")
_WORD = re.compile(r"[^\s()]+|\S")
_CAPITAL = re.compile(r"(?:AND|OR|NOT|IN|EXISTS|CONTAINS|STARTSWITH|ENDSWITH)\b")
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", " ": "\\", "\\": "\\", "/": "/"}


class ConditionError(Exception):
    """A condition or a field cannot be parsed."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message)
        self.offset = offset


class Tokens:
    """The text of a condition, and the position up to which it was consumed."""

    def __init__(self, text: str, position: int = 0) -> None:
        self.text = text
        self.position = position
        self._depth = 0

    def blanks(self) -> bool:
        """Consumes blanks. Returns whether there were any."""
        found = _BLANKS.match(self.text, self.position)
        before, self.position = self.position, found.end() if found else self.position
        return self.position > before

    def take(self, word: str) -> bool:
        """Consumes a word if the text continues with it. Returns whether it does."""
        is_there = self.text.startswith(word, self.position)
        if is_there:
            self.position += len(word)
        return is_there

    def match(self, pattern: re.Pattern[str]) -> str:
        """Consumes and returns what a pattern matches here; empty if it does not match."""
        found = pattern.match(self.text, self.position)
        if not found:
            return ""
        self.position = found.end()
        return found.group()

    def quoted(self) -> str | None:
        """Consumes a text in quotes. A quote after a backslash does not end it, even after two of them."""
        start = self.position
        quote = self.text[start : start + 1]
        if quote not in {"'", '"'}:
            return None
        end = start
        while True:
            end = self.text.find(quote, end + 1)
            if end < 0:
                raise ConditionError(start, f"the quote {quote} is not closed: add it")
            if self.text[end - 1] != "\\":
                break
        self.position = end + 1
        return self._unescape(start, end, quote)

    def _unescape(self, start: int, end: int, quote: str) -> str:
        parts: list[str] = []
        index = start + 1
        while index < end:
            character = self.text[index]
            if character == "\\":
                index += 1
                character = self.text[index]
                if index >= end or not (character in _ESCAPES or character == quote):
                    raise ConditionError(
                        index - 1, f"\\{character} is not an escape: write \\\\ for a backslash, or leave it out"
                    )
                character = _ESCAPES.get(character, character)
            parts.append(character)
            index += 1
        return "".join(parts)

    @contextmanager
    def nested(self) -> Generator[None]:
        """Counts one level of nesting as long as its block runs."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self.error(f"nested deeper than {MAX_DEPTH} levels: use macros")
        try:
            yield
        finally:
            self._depth -= 1

    def error(self, message: str) -> ConditionError:
        """Returns an error at the position."""
        return ConditionError(self.position, message)

    def _rest(self) -> str:
        found = _WORD.search(self.text, self.position)
        return repr(found.group()) if found else "the end"

    def expected(self, what: str, remedy: str = "") -> ConditionError:
        """Returns the error that the condition needs something else here, which ``what`` names."""
        if capital := _CAPITAL.match(self.text, self.position):
            remedy = f"write {capital.group().lower()} in lower case"
        return self.error(f"expected {what}, got {self._rest()}{f': {remedy}' if remedy else ''}")

    def unexpected(self) -> ConditionError:
        """Returns the error that the condition should end here."""
        rest = self.text[self.position :]
        if capital := _CAPITAL.match(rest):
            remedy = f"write {capital.group().lower()} in lower case"
        elif rest.startswith(("&&", "||")):
            remedy = f"write {'and' if rest[0] == '&' else 'or'}"
        elif rest.startswith(","):
            remedy = "write the values of a list in parentheses"
        elif rest.startswith(")"):
            remedy = "remove it, or open a parenthesis before"
        else:
            remedy = "join conditions by 'and' or 'or', and quote values with blanks"
        return self.error(f"unexpected {self._rest()}: {remedy}")
