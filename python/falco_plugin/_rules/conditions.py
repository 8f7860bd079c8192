"""Parses conditions of rules, as Falco does, into a tree with offsets.

The grammar is that of libs 0.25. Lists must have been replaced by their items before: see `lists.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from falco_plugin._rules.tree import (
    And,
    Call,
    Check,
    Expression,
    Field,
    Macro,
    Not,
    Operand,
    Operands,
    Or,
    Value,
    Values,
)

MAX_DEPTH = 60
"""The deepest nesting of parentheses and functions."""
UNARY = ("exists",)
NUMERIC = ("<=", "<", ">=", ">")
STRING = (
    "==",
    "=",
    "!=",
    "glob",
    "iglob",
    "contains",
    "icontains",
    "bcontains",
    "startswith",
    "bstartswith",
    "endswith",
    "regex",
)
LIST = ("intersects", "in", "pmatch")
MODIFIERS = ("oneof", "anyof", "allof")
OPERATORS = (*UNARY, *NUMERIC, *STRING, *LIST)
"""The operators, in the order in which Falco looks for them."""
FUNCTIONS = ("tolower", "toupper", "b64", "basename", "len", "join", "concat", "getopt")
_IDENTIFIER = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*")
_FIELD = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*(?:\.[a-zA-Z][a-zA-Z0-9_]*)+")
_ARGUMENT = re.compile(r"[^\]\[\"' \t\n\r\f\v]+")
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|[+-]?[0-9]+\.?[0-9]*(?:[eE][+-][0-9]+)?")
_BARE = re.compile(r"[^()\"' \t\n\r\f\v=,]+")
_NOT = re.compile(r"not[ \t\n\r\f\v]+")
_BLANKS = re.compile(r"[ \t\b\r\n]*")
_KEYWORD = re.compile(r"(?:and|or|not)(?![a-zA-Z0-9])")
_FUNCTION = re.compile(rf"({'|'.join(FUNCTIONS)})\(")
_WORD = re.compile(r"[^\s()]+|\S")
_CAPITAL = re.compile(r"(?:AND|OR|NOT|IN|EXISTS|CONTAINS|STARTSWITH|ENDSWITH)\b")
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", " ": "\\", "\\": "\\", "/": "/"}


class ConditionError(Exception):
    """A condition or a field cannot be parsed."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message)
        self.offset = offset


def parse(text: str) -> Expression:
    """Parses a condition.

    Raises:
        ConditionError: the condition is not one.
    """
    return _Parser(text).condition()


def parse_operand(text: str, start: int = 0) -> tuple[Field | Call, int]:
    """Parses a field or a function at the beginning of a text, and returns it and its end. Outputs have them.

    Raises:
        ConditionError: there is none.
    """
    parser = _Parser(text, start)
    found = parser.operand()
    return found, parser.position


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(words)


class _Parser:
    """A recursive descent parser. Each method consumes what it parses."""

    def __init__(self, text: str, position: int = 0) -> None:
        self._text = text
        self.position = position
        self._depth = 0

    def condition(self) -> Expression:
        if not self._text.strip():
            raise self._error("the condition is empty: write one, such as evt.num > 0")
        found = self._or()
        if self.position != len(self._text):
            raise self._unexpected()
        return found

    def operand(self) -> Field | Call:
        found = self._field() or self._call()
        if found is None:
            raise self._error("expected a field or a function")
        return found

    # Boolean operators

    def _or(self) -> Expression:
        return self._joined("or", self._and, Or)

    def _and(self) -> Expression:
        return self._joined("and", self._not, And)

    def _joined(
        self, word: str, parse_child: Callable[[], Expression], join: Callable[[tuple[Expression, ...]], Expression]
    ) -> Expression:
        self._blanks()
        children = [parse_child()]
        self._blanks()
        while self._take(word):
            if self._blanks():
                children.append(parse_child())
            elif self._take("("):
                children.append(self._in_parentheses())
            else:
                raise self._error(f"expected a blank or '(' after {word!r}: add a blank")
            self._blanks()
        return join(tuple(children)) if len(children) > 1 else children[0]

    def _not(self) -> Expression:
        self._blanks()
        is_negated = False
        while found := _NOT.match(self._text, self.position):
            self.position = found.end()
            is_negated = not is_negated
        if self._take("not("):
            is_negated = not is_negated
            child = self._in_parentheses()
        else:
            child = self._check()
        return Not(child) if is_negated else child

    def _in_parentheses(self) -> Expression:
        start = self.position - 1
        with self._nested():
            self._blanks()
            found = self._or()
            self._blanks()
            if not self._take(")"):
                if self.position < len(self._text):
                    raise self._unexpected()
                raise ConditionError(start, "the parenthesis is not closed: add ')'")
        return found

    # Checks

    def _check(self) -> Expression:
        self._blanks()
        start = self.position
        if self._take("("):
            return self._in_parentheses()
        left = self._field() or self._call()
        if left is not None:
            return self._comparison(left, start)
        if found := self._match(_IDENTIFIER):
            return Macro(found, start)
        raise self._expected("a field, a macro or '('")

    def _comparison(self, left: Field | Call, start: int) -> Check:
        self._blanks()
        if self._operator(UNARY):
            return Check(left, "exists", None, start)
        if operator := self._operator(NUMERIC):
            return Check(left, operator, self._number(), start)
        if operator := self._operator(STRING, need_blank=True):
            had_blank = operator.isalpha() or self._blanks()
            before = self.position
            modifier = self._operator(MODIFIERS, need_blank=True) if had_blank else ""
            if modifier and self._is_at_list():
                return Check(left, f"{operator} {modifier}", self._values(), start)
            self.position = before
            return Check(left, operator, self._string(), start)
        if operator := self._operator(LIST):
            return Check(left, operator, self._values_or_call(), start)
        name = left.name if isinstance(left, Field) else f"{left.function}(…)"
        raise self._expected(f"an operator after {name}", f"use one of {_listed(OPERATORS)}")

    def _operator(self, operators: tuple[str, ...], *, need_blank: bool = False) -> str:
        """Consumes an operator. Some words need a blank after them, which is consumed, too."""
        for operator in operators:
            before = self.position
            if self._take(operator):
                if not need_blank or not operator.isalpha() or self._blanks():
                    return operator
                self.position = before
        return ""

    def _is_at_list(self) -> bool:
        if self._text.startswith("(", self.position):
            return True
        is_word = _IDENTIFIER.match(self._text, self.position) is not None
        return is_word and _KEYWORD.match(self._text, self.position) is None

    # Values

    def _number(self) -> Value | Field | Call:
        self._blanks()
        start = self.position
        if found := self._call_or_val():
            return found
        if number := self._match(_NUMBER):
            return Value(number, False, start)
        raise self._expected("a number", "compare a number without quotes, or a field in val(…)")

    def _string(self) -> Value | Field | Call:
        self._blanks()
        return self._call_or_val() or self._value()

    def _value(self) -> Value:
        self._blanks()
        start = self.position
        quoted = self._quoted()
        if quoted is not None:
            return Value(quoted, True, start)
        if bare := self._match(_BARE):
            return Value(bare, False, start)
        raise self._expected("a value", "write text in quotes")

    def _values_or_call(self) -> Value | Values | Field | Call:
        self._blanks()
        if self._text.startswith("(", self.position):
            return self._values()
        return self._call_or_val() or self._values()

    def _values(self) -> Value | Values:
        self._blanks()
        start = self.position
        if not self._take("("):
            if word := self._match(_IDENTIFIER):
                return Value(word, False, start)
            raise self._expected("a list", "write the values in parentheses, such as (a, b)")
        items: list[Value] = []
        self._blanks()
        if self._take(")"):
            return Values((), start)
        while True:
            items.append(self._value())
            self._blanks()
            if not self._take(","):
                break
        if not self._take(")"):
            raise self._expected("',' or ')'", "separate values by ',', and close the list")
        return Values(tuple(items), start)

    def _call_or_val(self) -> Field | Call | None:
        start = self.position
        if not self._take("val("):
            return self._call()
        self._blanks()
        found = self._field()
        if found is None:
            raise self._expected("a field in val(…)")
        self._blanks()
        if not self._take(")"):
            raise self._expected("')'", "close val(…)")
        argument = self._argument()
        return found if argument is None else Call("val", (found,), argument, start)

    # Fields and functions

    def _field(self) -> Field | None:
        start = self.position
        name = self._match(_FIELD)
        return Field(name, self._argument(), start) if name else None

    def _argument(self) -> str | None:
        start = self.position
        if not self._take("["):
            return None
        argument = self._quoted()
        if argument is None:
            argument = self._match(_ARGUMENT)
        if not argument and self._text[self.position - 1] == "[":
            raise self._expected("an argument in the brackets", "write an index or a key without blanks")
        if not self._take("]"):
            raise ConditionError(start, "the bracket is not closed: add ']', and write the argument without blanks")
        return argument

    def _call(self) -> Call | None:
        start = self.position
        found = _FUNCTION.match(self._text, start)
        if not found:
            return None
        self.position = found.end()
        with self._nested():
            arguments: list[Operand] = []
            while True:
                self._blanks()
                arguments.append(self._function_argument(found[1]))
                self._blanks()
                if not self._take(","):
                    break
            if not self._take(")"):
                raise self._expected("',' or ')'", f"close {found[1]}(…)")
        return Call(found[1], tuple(arguments), self._argument(), start)

    def _function_argument(self, function: str) -> Operand:
        start = self.position
        if self._take("("):
            items: list[Operand] = []
            self._blanks()
            if self._take(")"):
                return Operands((), start)
            while True:
                self._blanks()
                items.append(self._single_argument(function))
                self._blanks()
                if not self._take(","):
                    break
            if not self._take(")"):
                raise self._expected("',' or ')'", "separate values by ',', and close the list")
            return Operands(tuple(items), start)
        return self._single_argument(function)

    def _single_argument(self, function: str) -> Operand:
        start = self.position
        if number := self._match(_NUMBER):
            return Value(number, False, start)
        quoted = self._quoted()
        if quoted is not None:
            return Value(quoted, True, start)
        found = self._call() or self._field()
        if found is None:
            raise self._expected(f"an argument of {function}(…)", "write a field, or text in quotes")
        return found

    # Tokens

    def _blanks(self) -> bool:
        found = _BLANKS.match(self._text, self.position)
        before, self.position = self.position, found.end() if found else self.position
        return self.position > before

    def _take(self, word: str) -> bool:
        is_there = self._text.startswith(word, self.position)
        if is_there:
            self.position += len(word)
        return is_there

    def _match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self.position)
        if not found:
            return ""
        self.position = found.end()
        return found.group()

    def _quoted(self) -> str | None:
        """Consumes a text in quotes. A quote after a backslash does not end it, even after two of them."""
        start = self.position
        quote = self._text[start : start + 1]
        if quote not in {"'", '"'}:
            return None
        end = start
        while True:
            end = self._text.find(quote, end + 1)
            if end < 0:
                raise ConditionError(start, f"the quote {quote} is not closed: add it")
            if self._text[end - 1] != "\\":
                break
        self.position = end + 1
        return self._unescape(start, end, quote)

    def _unescape(self, start: int, end: int, quote: str) -> str:
        parts: list[str] = []
        index = start + 1
        while index < end:
            character = self._text[index]
            if character == "\\":
                index += 1
                character = self._text[index]
                if index >= end or not (character in _ESCAPES or character == quote):
                    raise ConditionError(
                        index - 1, f"\\{character} is not an escape: write \\\\ for a backslash, or leave it out"
                    )
                character = _ESCAPES.get(character, character)
            parts.append(character)
            index += 1
        return "".join(parts)

    # Errors

    def _nested(self) -> _Depth:
        return _Depth(self)

    def deepen(self, step: int) -> None:
        """Counts the nesting."""
        self._depth += step
        if self._depth > MAX_DEPTH:
            raise self._error(f"nested deeper than {MAX_DEPTH} levels: use macros")

    def _error(self, message: str) -> ConditionError:
        return ConditionError(self.position, message)

    def _rest(self) -> str:
        found = _WORD.search(self._text, self.position)
        return repr(found.group()) if found else "the end"

    def _expected(self, what: str, remedy: str = "") -> ConditionError:
        if capital := _CAPITAL.match(self._text, self.position):
            remedy = f"write {capital.group().lower()} in lower case"
        return self._error(f"expected {what}, got {self._rest()}{f': {remedy}' if remedy else ''}")

    def _unexpected(self) -> ConditionError:
        rest = self._text[self.position :]
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
        return self._error(f"unexpected {self._rest()}: {remedy}")


class _Depth:
    """Counts one level of nesting as long as its block runs."""

    def __init__(self, parser: _Parser) -> None:
        self._parser = parser

    def __enter__(self) -> None:
        self._parser.deepen(1)

    def __exit__(self, *_: object) -> None:
        self._parser.deepen(-1)
