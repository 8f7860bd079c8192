"""Rules files and conditions of any content have problems, but raise nothing else; conditions are read as written."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.checked import RULE, rule
from support.checks import check_rules

from falco_plugin._rules import conditions, files, lists, tokens
from falco_plugin._rules.problems import RulesError
from falco_plugin._rules.tree import And, Call, Check, Expression, Field, Macro, Not, Or, Value, Values

NAMES = st.from_regex(r"\A[a-z][a-z0-9_]{0,4}\.[a-z][a-z0-9_]{0,4}\Z")
FIELDS = st.builds(Field, NAMES, st.none() | st.from_regex(r"\A[a-zA-Z0-9/~.-]{1,5}\Z"))
CALLS = st.builds(lambda name, field: Call(name, (field,)), st.sampled_from(["tolower", "len", "b64"]), FIELDS)
QUOTED = st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
VALUES = st.builds(Value, QUOTED, st.just(True)) | st.builds(Value, st.from_regex(r"\A[a-z0-9*/.-]{1,6}\Z"))
OPERANDS = FIELDS | CALLS
CHECKS = (
    st.builds(lambda left: Check(left, "exists"), OPERANDS)
    | st.builds(Check, OPERANDS, st.sampled_from(["=", "!=", "contains", "glob", "regex"]), VALUES)
    | st.builds(Check, OPERANDS, st.sampled_from(["<", ">="]), st.builds(Value, st.from_regex(r"\A-?[0-9]{1,3}\Z")))
    | st.builds(
        Check,
        OPERANDS,
        st.sampled_from(["in", "intersects", "pmatch", "startswith anyof", "= allof"]),
        st.builds(Values, st.lists(VALUES, max_size=3).map(tuple)),
    )
)
MACROS = st.from_regex(r"\A[a-z][a-z0-9_]{0,5}\Z").filter(lambda name: not name.startswith(("not", "or", "and")))
EXPRESSIONS: st.SearchStrategy[Expression] = st.recursive(
    CHECKS | st.builds(Macro, MACROS),
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(And, st.lists(inner, min_size=2, max_size=3).map(tuple))
        | st.builds(Or, st.lists(inner, min_size=2, max_size=3).map(tuple))
    ),
    max_leaves=8,
)


def written(tree: object) -> str:
    """Returns a tree as a condition. Each inner expression is in parentheses."""
    match tree:
        case And(children) | Or(children):
            word = " and " if isinstance(tree, And) else " or "
            return word.join(f"({written(child)})" for child in children)
        case Not(child):
            return f"not ({written(child)})"
        case Macro(name):
            return name
        case Check(left, operator, right):
            return f"{written(left)} {operator}" + ("" if right is None else f" {written(right)}")
        case Call(function, arguments):
            return f"{function}({', '.join(map(written, arguments))})"
        case Values(items):
            return f"({', '.join(map(written, items))})"
        case Value(text, is_quoted):
            return quoted(text) if is_quoted else text
        case _:
            return str(tree)


def quoted(text: str) -> str:
    escaped = {"\\": "\\\\ ".strip(), '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return '"' + "".join(escaped.get(character, character) for character in text) + '"'


@given(EXPRESSIONS)
def test_condition_is_read_as_written(tree: Expression) -> None:
    text = written(tree)
    if '\\\\"' in text:
        return  # A quote after two backslashes does not end the text in Falco.
    assert conditions.parse(text) == tree


PIECES = st.sampled_from(
    [
        "a.b",
        "and",
        "or",
        "not",
        "not(",
        "(",
        ")",
        "=",
        "in",
        "'",
        '"',
        "\\",
        ",",
        "[",
        "]",
        "val(",
        "len(",
        "5",
        " ",
        "é",
    ]
)


@given(st.text() | st.lists(PIECES, max_size=30).map("".join) | st.lists(PIECES, max_size=30).map(" ".join))
def test_any_text_is_a_condition_or_has_an_error_in_it(text: str) -> None:
    try:
        conditions.parse(text)
    except tokens.ConditionError as error:
        assert 0 <= error.offset <= len(text)
        assert str(error)


@given(st.text(alphabet="ab ,()=", max_size=30), st.lists(st.sampled_from(["a", "b", "a b", "ab"]), max_size=3))
def test_offsets_of_replaced_lists_stay_in_the_text(text: str, items: list[str]) -> None:
    resolved = lists.resolve(text, {"a": lists.joined(items), "ab": ""})
    assert len(resolved.offsets) == len(resolved.text) + 1
    assert list(resolved.offsets) == sorted(resolved.offsets)
    assert all(0 <= offset <= len(text) for offset in resolved.offsets)


WORDS = st.sampled_from(
    ["rule", "macro", "list", "condition", "output", "items", "override", "append", "exceptions", "fields", "values"]
    + [
        "comps",
        "name",
        "source",
        "shop",
        "shop.user",
        "a and b",
        "true",
        "",
        "%",
        "required_plugin_versions",
        "version",
    ]
)
NODES = st.recursive(
    WORDS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5), max_leaves=20
)


@given(st.lists(st.dictionaries(WORDS, NODES, max_size=8), max_size=4))
def test_any_entries_have_problems_only(tmp_path_factory: pytest.TempPathFactory, entries: list[object]) -> None:
    import json

    folder = tmp_path_factory.getbasetemp()
    for line in check_rules(folder, json.dumps(entries)):
        assert line.startswith("rules.yaml")


@given(st.binary(max_size=60) | st.text(alphabet="-: \n\t[]{}&*!|>'\"%@`a#<", max_size=60).map(str.encode))
def test_any_bytes_have_problems_only(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    check_rules(tmp_path_factory.getbasetemp(), b"- rule: x\n  condition: " + data)
    check_rules(tmp_path_factory.getbasetemp(), data)


def test_line_of_each_style_of_text_is_found(tmp_path: Path) -> None:
    for head, tail in (("|", ""), (">-", ""), ("", ""), ("'", "'"), ('"', '"'), ("> # a comment", ""), ("&x |", "")):
        blank = "\n    " if head[:1] not in {"'", '"', ""} else ""
        text = f"{head}{blank}shop.amount > 5\n    and shop.amount < 6\n\n    and shop.usr exists{tail}"
        (line,) = check_rules(tmp_path, rule(text))
        assert line.startswith(f"rules.yaml:{8 if blank else 7}: "), (head, line)


def test_file_cannot_use_what_a_later_file_defines(tmp_path: Path) -> None:
    macro = "- macro: paid\n  condition: shop.paid = true\n"
    assert check_rules(tmp_path, macro, rule("paid")) == []
    assert check_rules(tmp_path, rule("paid"), macro) == [
        "rules.yaml:4: there is no macro paid: define it, or compare a field, such as a.b = 1"
    ]
    change = "- rule: R\n  condition: or shop.usr exists\n  override: {condition: append}\n"
    assert check_rules(tmp_path, RULE, change) == [
        "2.yaml:2: events of shop have no field shop.usr: did you mean shop.user?"
    ]


def test_aliases_that_multiply_take_no_memory(tmp_path: Path) -> None:
    lines = ["- list: a", "  items: &a0 [x, x]"]
    for number in range(1, 40):
        lines += [f"- list: a{number}", f"  items: &a{number} [*a{number - 1}, *a{number - 1}]"]
    found = check_rules(tmp_path, "\n".join(lines))
    assert len(found) == 40
    assert found[1] == "rules.yaml:2: items of the list 'a1' has a list: write texts only"


@pytest.mark.parametrize("data", ["[" * 100_000, "- {a: " * 1_000, "- - " * 1_000, "? " * 1_000, "- &a [*a, *a]\n"])
def test_deep_yaml_is_one_error(tmp_path: Path, data: str) -> None:
    (line,) = check_rules(tmp_path, data)
    assert line.startswith("rules.yaml:1: ")


def test_unreadable_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RulesError, match="cannot read the file: Is a directory"):
        files.read(str(tmp_path))


def test_text_that_is_not_utf_8_is_a_warning(tmp_path: Path) -> None:
    data = RULE.encode().replace(b"desc: d", b"desc: caf\xe9")
    assert check_rules(tmp_path, data) == ["rules.yaml:2: warning: not UTF-8: save the file as UTF-8"]
    assert check_rules(tmp_path, RULE.encode("utf-16")) == []
    assert check_rules(tmp_path, b"\xef\xbb\xbf" + RULE.encode()) == []


@pytest.mark.slow
def test_large_file_is_checked(tmp_path: Path) -> None:
    items = ", ".join(f"user{number}" for number in range(1_000))
    rules = "".join(rule("shop.user in (users) and m", name=f"R{number}") for number in range(2_000))
    text = f"- list: users\n  items: [{items}]\n- macro: m\n  condition: shop.amount > 5\n{rules[: len(rules) // 20]}"
    lines = check_rules(tmp_path, f"{text}{rule('shop.usr = x', name='last')}")
    assert [line.partition(": ")[2] for line in lines][-1:] == [
        "events of shop have no field shop.usr: did you mean shop.user?"
    ]
