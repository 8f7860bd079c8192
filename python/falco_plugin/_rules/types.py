"""Which operators and values fit the type of a field, as Falco decides it."""

from __future__ import annotations

import re
import socket
import warnings

from falco_plugin._rules.fields import ADDRESS, BOOLEAN, DURATION, NETWORK, NUMBER, STRING, TIME, FieldType
from falco_plugin._rules.names import listed
from falco_plugin._rules.tree import Value

_EQUALITY = ("=", "==", "!=")
_ORDER = ("<", "<=", ">", ">=")
_OF_LISTS = ("in", "intersects", "exists")
_NUMERIC = (*_EQUALITY, *_ORDER, *_OF_LISTS)
_OPERATORS = {
    STRING: (
        *_NUMERIC,
        "contains",
        "icontains",
        "startswith",
        "endswith",
        "glob",
        "iglob",
        "regex",
        "pmatch",
    ),
    NUMBER: _NUMERIC,
    DURATION: _NUMERIC,
    TIME: _NUMERIC,
    BOOLEAN: (*_EQUALITY, *_OF_LISTS),
    ADDRESS: (*_EQUALITY, *_OF_LISTS),
    NETWORK: (*_EQUALITY, *_OF_LISTS),
}
_WHOLE_NUMBER = re.compile(r"[ \t\n\r]*[+-]?[0-9]+")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_KNOWN_ESCAPES = "0afnrtvx"
"""The letters and digits that have a meaning after a backslash. Each other character means itself."""
_CLASS = re.compile(r"\[:\^?([a-z]*):\]")
_CLASSES = (
    *("alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph"),
    *("lower", "print", "punct", "space", "upper", "word", "xdigit"),
)
_REPEATED = re.compile(r"\{([0-9]+)(?:,([0-9]*))?\}")
_MOST_REPETITIONS = 1000
_REPLACEMENTS = {"d": "[0-9]", "s": "[[:space:]]", "w": "[0-9A-Za-z_]"}


def problem_of_operator(operator: str, kind: FieldType, name: str) -> str:
    """Returns why a field cannot be compared by an operator; empty if it can."""
    base, _, modifier = operator.partition(" ")
    allowed = _OF_LISTS if kind.is_list else _OPERATORS[kind.kind]
    if base not in allowed:
        return f"{name} is {kind}, which has no operator {operator}: use one of {listed(allowed)}"
    return "" if not modifier or base != "exists" else f"exists has no {modifier}: leave it out"


def problem_of_value(operator: str, value: Value, kind: FieldType, name: str) -> str:
    """Returns why a value cannot be compared with a field; empty if it can."""
    text = value.text
    base = operator.partition(" ")[0]
    if base == "regex":
        return _problem_of_pattern(text)
    title = f"{text!r} is not {FieldType(kind.kind)}, as {name} is"
    match kind.kind:
        case "string":
            return ""
        case "bool":
            return "" if text in {"true", "false"} else f"{title}: write true or false"
        case "uint64" | "reltime" | "abstime":
            if _WHOLE_NUMBER.fullmatch(text):
                return ""
            unit = {DURATION: " of nanoseconds", TIME: " of nanoseconds since 1970"}.get(kind.kind, "")
            return f"{title}: write a whole number{unit}, in decimal digits"
        case "ipaddr":
            if _is_address(text):
                return ""
            hint = (
                "give the plugin a field of a network type for this comparison"
                if "/" in text
                else "write an address such as 10.0.0.1"
            )
            return f"{title}: {hint}"
        case _:
            return "" if _is_network(text) else f"{title}: write an address and a prefix, such as 10.0.0.0/8"


def _is_address(text: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET if "." in text else socket.AF_INET6, text)
    except (OSError, ValueError):
        return False
    return True


def _is_network(text: str) -> bool:
    address, slash, prefix = text.partition("/")
    is_prefix = _WHOLE_NUMBER.fullmatch(prefix) is not None and 0 <= int(prefix) <= (32 if "." in text else 128)
    return bool(slash) and is_prefix and _is_address(address)


def _problem_of_pattern(pattern: str) -> str:
    """Returns why an expression is wrong for RE2 with POSIX syntax; empty if it is not."""
    title = f"the expression {pattern!r}"
    for found in _ESCAPE.finditer(pattern):
        letter = found.group(1)
        if letter.isascii() and letter.isalnum() and letter not in _KNOWN_ESCAPES:
            hint = _REPLACEMENTS.get(letter)
            remedy = f"write {hint}" if hint else "leave it out"
            return f"{title} has \\{letter}, which POSIX expressions do not know: {remedy}"
    if "(?" in _ESCAPE.sub("", pattern):
        return f"{title} has (?, which POSIX expressions do not know: write a group without it"
    for found in _CLASS.finditer(pattern):
        if found.group(1) not in _CLASSES:
            return f"{title} has the unknown class {found.group()}: use one of {listed(_CLASSES)}"
    for found in _REPEATED.finditer(pattern):
        if max(int(number or 0) for number in found.groups()) > _MOST_REPETITIONS:
            return f"{title} repeats more than {_MOST_REPETITIONS} times: repeat less often"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(pattern)
    except re.error as error:
        # POSIX expressions may repeat a repetition.
        return "" if error.msg == "multiple repeat" else f"{title} is wrong: {error}"
    except (RecursionError, OverflowError):
        return ""
    return ""
