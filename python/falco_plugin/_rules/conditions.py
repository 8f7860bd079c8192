"""Parses conditions of rules, as Falco does, into a tree with offsets.

The grammar is that of libs 0.25. Lists must have been replaced by their items before: see `lists.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from falco_plugin._rules.tokens import ConditionError, Tokens
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
_KEYWORD = re.compile(r"(?:and|or|not)(?![a-zA-Z0-9])")
_FUNCTION = re.compile(rf"({'|'.join(FUNCTIONS)})\(")


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


class _Parser(Tokens):
    """A recursive descent parser. Each method consumes what it parses."""

    def condition(self) -> Expression:
        if not self.text.strip():
            raise self.error("the condition is empty: write one, such as evt.num > 0")
        found = self._or()
        if self.position != len(self.text):
            raise self.unexpected()
        return found

    def operand(self) -> Field | Call:
        found = self._field() or self._call()
        if found is None:
            raise self.error("expected a field or a function")
        return found

    # Boolean operators

    def _or(self) -> Expression:
        return self._joined("or", self._and, Or)

    def _and(self) -> Expression:
        return self._joined("and", self._not, And)

    def _joined(
        self, word: str, parse_child: Callable[[], Expression], join: Callable[[tuple[Expression, ...]], Expression]
    ) -> Expression:
        self.blanks()
        children = [parse_child()]
        self.blanks()
        while self.take(word):
            if self.blanks():
                children.append(parse_child())
            elif self.take("("):
                children.append(self._in_parentheses())
            else:
                raise self.error(f"expected a blank or '(' after {word!r}: add a blank")
            self.blanks()
        return join(tuple(children)) if len(children) > 1 else children[0]

    def _not(self) -> Expression:
        self.blanks()
        is_negated = False
        while found := _NOT.match(self.text, self.position):
            self.position = found.end()
            is_negated = not is_negated
        if self.take("not("):
            is_negated = not is_negated
            child = self._in_parentheses()
        else:
            child = self._check()
        return Not(child) if is_negated else child

    def _in_parentheses(self) -> Expression:
        start = self.position - 1
        with self.nested():
            self.blanks()
            found = self._or()
            self.blanks()
            if not self.take(")"):
                if self.position < len(self.text):
                    raise self.unexpected()
                raise ConditionError(start, "the parenthesis is not closed: add ')'")
        return found

    # Checks

    def _check(self) -> Expression:
        self.blanks()
        start = self.position
        if self.take("("):
            return self._in_parentheses()
        left = self._field() or self._call()
        if left is not None:
            return self._comparison(left, start)
        if found := self.match(_IDENTIFIER):
            return Macro(found, start)
        raise self.expected("a field, a macro or '('")

    def _comparison(self, left: Field | Call, start: int) -> Check:
        self.blanks()
        if self._operator(UNARY):
            return Check(left, "exists", None, start)
        if operator := self._operator(NUMERIC):
            return Check(left, operator, self._number(), start)
        if operator := self._operator(STRING, need_blank=True):
            had_blank = operator.isalpha() or self.blanks()
            before = self.position
            modifier = self._operator(MODIFIERS, need_blank=True) if had_blank else ""
            if modifier and self._is_at_list():
                return Check(left, f"{operator} {modifier}", self._values(), start)
            self.position = before
            return Check(left, operator, self._string(), start)
        if operator := self._operator(LIST):
            return Check(left, operator, self._values_or_call(), start)
        name = left.name if isinstance(left, Field) else f"{left.function}(…)"
        raise self.expected(f"an operator after {name}", f"use one of {_listed(OPERATORS)}")

    def _operator(self, operators: tuple[str, ...], *, need_blank: bool = False) -> str:
        """Consumes an operator. Some words need a blank after them, which is consumed, too."""
        for operator in operators:
            before = self.position
            if self.take(operator):
                if not need_blank or not operator.isalpha() or self.blanks():
                    return operator
                self.position = before
        return ""

    def _is_at_list(self) -> bool:
        if self.text.startswith("(", self.position):
            return True
        is_word = _IDENTIFIER.match(self.text, self.position) is not None
        return is_word and _KEYWORD.match(self.text, self.position) is None

    # Values

    def _number(self) -> Value | Field | Call:
        self.blanks()
        start = self.position
        if found := self._call_or_val():
            return found
        if number := self.match(_NUMBER):
            return Value(number, False, start)
        raise self.expected("a number", "compare a number without quotes, or a field in val(…)")

    def _string(self) -> Value | Field | Call:
        self.blanks()
        return self._call_or_val() or self._value()

    def _value(self) -> Value:
        self.blanks()
        start = self.position
        quoted = self.quoted()
        if quoted is not None:
            return Value(quoted, True, start)
        if bare := self.match(_BARE):
            return Value(bare, False, start)
        raise self.expected("a value", "write text in quotes")

    def _values_or_call(self) -> Value | Values | Field | Call:
        self.blanks()
        if self.text.startswith("(", self.position):
            return self._values()
        return self._call_or_val() or self._values()

    def _values(self) -> Value | Values:
        self.blanks()
        start = self.position
        if not self.take("("):
            if word := self.match(_IDENTIFIER):
                return Value(word, False, start)
            raise self.expected("a list", "write the values in parentheses, such as (a, b)")
        items: list[Value] = []
        self.blanks()
        if self.take(")"):
            return Values((), start)
        while True:
            items.append(self._value())
            self.blanks()
            if not self.take(","):
                break
        if not self.take(")"):
            raise self.expected("',' or ')'", "separate values by ',', and close the list")
        return Values(tuple(items), start)

    def _call_or_val(self) -> Field | Call | None:
        start = self.position
        if not self.take("val("):
            return self._call()
        self.blanks()
        found = self._field()
        if found is None:
            raise self.expected("a field in val(…)")
        self.blanks()
        if not self.take(")"):
            raise self.expected("')'", "close val(…)")
        argument = self._argument()
        return found if argument is None else Call("val", (found,), argument, start)

    # Fields and functions

    def _field(self) -> Field | None:
        start = self.position
        name = self.match(_FIELD)
        return Field(name, self._argument(), start) if name else None

    def _argument(self) -> str | None:
        start = self.position
        if not self.take("["):
            return None
        argument = self.quoted()
        if argument is None:
            argument = self.match(_ARGUMENT)
        if not argument and self.text[self.position - 1] == "[":
            raise self.expected("an argument in the brackets", "write an index or a key without blanks")
        if not self.take("]"):
            raise ConditionError(start, "the bracket is not closed: add ']', and write the argument without blanks")
        return argument

    def _call(self) -> Call | None:
        start = self.position
        found = _FUNCTION.match(self.text, start)
        if not found:
            return None
        self.position = found.end()
        with self.nested():
            arguments: list[Operand] = []
            while True:
                self.blanks()
                arguments.append(self._function_argument(found[1]))
                self.blanks()
                if not self.take(","):
                    break
            if not self.take(")"):
                raise self.expected("',' or ')'", f"close {found[1]}(…)")
        return Call(found[1], tuple(arguments), self._argument(), start)

    def _function_argument(self, function: str) -> Operand:
        start = self.position
        if self.take("("):
            items: list[Operand] = []
            self.blanks()
            if self.take(")"):
                return Operands((), start)
            while True:
                self.blanks()
                items.append(self._single_argument(function))
                self.blanks()
                if not self.take(","):
                    break
            if not self.take(")"):
                raise self.expected("',' or ')'", "separate values by ',', and close the list")
            return Operands(tuple(items), start)
        return self._single_argument(function)

    def _single_argument(self, function: str) -> Operand:
        start = self.position
        if number := self.match(_NUMBER):
            return Value(number, False, start)
        quoted = self.quoted()
        if quoted is not None:
            return Value(quoted, True, start)
        found = self._call() or self._field()
        if found is None:
            raise self.expected(f"an argument of {function}(…)", "write a field, or text in quotes")
        return found
