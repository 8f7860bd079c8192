"""Conditions of rules are parsed as Falco's grammar has them, and errors name the offset and the remedy."""

from __future__ import annotations

import pytest

from falco_plugin._rules.conditions import parse, parse_operand
from falco_plugin._rules.tokens import ConditionError
from falco_plugin._rules.tree import (
    And,
    Call,
    Check,
    Expression,
    Field,
    Macro,
    Not,
    Operands,
    Or,
    Value,
    Values,
    fields_of,
    macros_of,
)

A, B = Check(Field("a.b"), "=", Value("1")), Check(Field("c.d"), "exists")
PARSED: dict[str, Expression] = {
    "a.b=1": A,
    "a.b = 1": A,
    "  (a.b = 1)\n": A,
    "c.d exists": B,
    "macro_1": Macro("macro_1"),
    "a.b = 1 and c.d exists": And((A, B)),
    "a.b = 1 or c.d exists and m": Or((A, And((B, Macro("m"))))),
    "(a.b = 1 or c.d exists) and m": And((Or((A, B)), Macro("m"))),
    "(a.b = 1)and(c.d exists)or(m)": Or((And((A, B)), Macro("m"))),
    "not m": Not(Macro("m")),
    "not not m": Macro("m"),
    "not(m)": Not(Macro("m")),
    "not not(m)": Macro("m"),
    "a.b == x": Check(Field("a.b"), "==", Value("x")),
    "a.b != 'x y'": Check(Field("a.b"), "!=", Value("x y", True)),
    'a.b = ""': Check(Field("a.b"), "=", Value("", True)),
    'a.b = "a\\"b\\\\c\\n"': Check(Field("a.b"), "=", Value('a"b\\c\n', True)),
    "a.b > -1.5": Check(Field("a.b"), ">", Value("-1.5")),
    "a.b <= 0xff": Check(Field("a.b"), "<=", Value("0xff")),
    "a.b contains /etc/*": Check(Field("a.b"), "contains", Value("/etc/*")),
    "a.b in (x, 'y z')": Check(Field("a.b"), "in", Values((Value("x"), Value("y z", True)))),
    "a.b in ()": Check(Field("a.b"), "in", Values(())),
    "a.b in names": Check(Field("a.b"), "in", Value("names")),
    "a.b intersects (x)": Check(Field("a.b"), "intersects", Values((Value("x"),))),
    "a.b pmatch (/etc)": Check(Field("a.b"), "pmatch", Values((Value("/etc"),))),
    "a.b startswith anyof (x, y)": Check(Field("a.b"), "startswith anyof", Values((Value("x"), Value("y")))),
    "a.b = anyof": Check(Field("a.b"), "=", Value("anyof")),
    "a.b = anyof and m": And((Check(Field("a.b"), "=", Value("anyof")), Macro("m"))),
    "a.b[3] = x": Check(Field("a.b", "3"), "=", Value("x")),
    'a.b["x y"] = x': Check(Field("a.b", "x y"), "=", Value("x")),
    "tolower(a.b) = x": Check(Call("tolower", (Field("a.b"),)), "=", Value("x")),
    "len(b64(a.b[0])) > 3": Check(Call("len", (Call("b64", (Field("a.b", "0"),)),)), ">", Value("3")),
    "a.b = val(c.d)": Check(Field("a.b"), "=", Field("c.d")),
    "a.b in val(c.d[x])": Check(Field("a.b"), "in", Field("c.d", "x")),
    "a.b = toupper(c.d)": Check(Field("a.b"), "=", Call("toupper", (Field("c.d"),))),
    'join(",", (a.b, "x", 3)) = x': Check(
        Call("join", (Value(",", True), Operands((Field("a.b"), Value("x", True), Value("3"))))), "=", Value("x")
    ),
    "getopt(a.b, 'ab:')[b] = x": Check(Call("getopt", (Field("a.b"), Value("ab:", True)), "b"), "=", Value("x")),
}


@pytest.mark.parametrize("text", PARSED)
def test_condition_is_parsed(text: str) -> None:
    assert parse(text) == PARSED[text]


REFUSED = {
    "": (0, "the condition is empty: write one, such as evt.num > 0"),
    "a.b = 1 AND c.d = 2": (8, "unexpected 'AND': write and in lower case"),
    "a.b = 1 && c.d = 2": (8, "unexpected '&&': write and"),
    "a.b = 1 || c.d = 2": (8, "unexpected '||': write or"),
    "a.b = x y": (8, "unexpected 'y': join conditions by 'and' or 'or', and quote values with blanks"),
    "a.b = 1)": (7, "unexpected ')': remove it, or open a parenthesis before"),
    "(a.b = 1": (0, "the parenthesis is not closed: add ')'"),
    "a.b = 1 and": (11, "expected a blank or '(' after 'and': add a blank"),
    "a.b = 1 and ": (12, "expected a field, a macro or '(', got the end"),
    "a.b": (3, "expected an operator after a.b, got the end: use one of exists, <=,"),
    "a.b =": (5, "expected a value, got the end: write text in quotes"),
    "a.b > 'x'": (6, "expected a number, got \"'x'\": compare a number without quotes, or a field in val(…)"),
    "a.b in (x, y": (12, "expected ',' or ')', got the end: separate values by ',', and close the list"),
    "a.b in x, y": (8, "unexpected ',': write the values of a list in parentheses"),
    "a.b in (x y)": (10, "expected ',' or ')', got 'y'"),
    "a.b = 'x": (6, "the quote ' is not closed: add it"),
    'a.b = "\\d"': (7, "\\d is not an escape: write \\\\ for a backslash, or leave it out"),
    "a.b[x y] = 1": (3, "the bracket is not closed: add ']', and write the argument without blanks"),
    "a.b[] = 1": (4, "expected an argument in the brackets, got ']'"),
    "tolower(a.b = 1": (12, "expected ',' or ')', got '=': close tolower(…)"),
    "a.b = val(x)": (10, "expected a field in val(…), got 'x'"),
    "(" * 61 + "m" + ")" * 61: (61, "nested deeper than 60 levels: use macros"),
}


@pytest.mark.parametrize("text", REFUSED)
def test_condition_is_refused_with_offset_and_remedy(text: str) -> None:
    with pytest.raises(ConditionError) as caught:
        parse(text)
    offset, message = REFUSED[text]
    assert (caught.value.offset, str(caught.value)[: len(message)]) == (offset, message)


def test_fields_and_macros_of_condition_are_found() -> None:
    tree = parse("a.b[1] = val(c.d) and not (m or len(e.f) > 1) and join(',', (g.h, 'x')) exists and n")
    assert [str(field) for field in fields_of(tree)] == ["a.b[1]", "c.d", "e.f", "g.h"]
    assert [macro.name for macro in macros_of(tree)] == ["m", "n"]


def test_operand_of_output_ends_before_other_text() -> None:
    assert parse_operand("%a.b[x], text", 1) == (Field("a.b", "x"), 7)
    assert parse_operand("tolower(a.b).") == (Call("tolower", (Field("a.b"),)), 12)
