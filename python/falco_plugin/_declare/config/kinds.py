"""The types that a configuration can have: those of msgspec, as an operator meets them."""

from __future__ import annotations

import datetime
import decimal
import json
import uuid
from collections.abc import Collection, Iterator, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import inspect as mi

_CONSTRAINTS = ("gt", "ge", "lt", "le", "multiple_of", "pattern", "min_length", "max_length", "tz")


class Kind(NamedTuple):
    """A type of msgspec, as the operator meets it."""

    called: str
    json: tuple[type, ...]
    """What it is read from."""
    python: Any
    """What msgspec checks the constraints on: of a container, its length."""


_LIST = Kind("list", (list,), list)
_MAP = Kind("map", (dict,), dict)

# A type that is not in here has no place in a configuration.
KINDS: dict[type[mi.Type], Kind] = {
    mi.AnyType: Kind("anything", (type(None), bool, int, float, str, list, dict), Any),
    mi.NoneType: Kind("null", (type(None),), None),
    mi.BoolType: Kind("bool", (bool,), bool),
    mi.IntType: Kind("int", (int,), int),
    mi.FloatType: Kind("float", (int, float), float),
    mi.DecimalType: Kind("decimal number", (str, int, float), decimal.Decimal),
    mi.StrType: Kind("str", (str,), str),
    mi.BytesType: Kind("base64 text", (str,), bytes),
    mi.DateTimeType: Kind("date and time", (str,), datetime.datetime),
    mi.DateType: Kind("date", (str,), datetime.date),
    mi.TimeType: Kind("time of day", (str,), datetime.time),
    mi.TimeDeltaType: Kind("ISO 8601 duration", (str,), datetime.timedelta),
    mi.UUIDType: Kind("UUID", (str,), uuid.UUID),
    mi.ListType: _LIST,
    mi.SetType: _LIST,
    mi.FrozenSetType: _LIST,
    mi.VarTupleType: _LIST,
    mi.TupleType: _LIST,
    mi.NamedTupleType: _LIST,
    mi.DictType: _MAP,
    mi.TypedDictType: _MAP,
    mi.DataclassType: _MAP,
    mi.StructType: _MAP,
}


def options_of(expected: mi.Type) -> Iterator[mi.Type]:
    match expected:
        case mi.Metadata():
            yield from options_of(expected.type)
        case mi.UnionType():
            for option in expected.types:
                yield from options_of(option)
        case _:
            yield expected


def preference(option: mi.Type) -> int:
    """Which of several types msgspec reads a value into."""
    order = (mi.AnyType, mi.IntType, mi.StrType, mi.LiteralType, mi.EnumType, mi.FloatType)
    return order.index(type(option)) if type(option) in order else len(order)


def allowed(option: mi.Type) -> Sequence[Any]:
    match option:
        case mi.LiteralType():
            return option.values
        case mi.EnumType():
            return [member.value for member in option.cls]
        case _:
            return ()


def is_one_of(value: Any, allowed: Sequence[Any]) -> bool:
    # To Python, True is 1.
    return any(type(value) is type(other) and value == other for other in allowed)


def json_kinds(option: mi.Type) -> Collection[type]:
    kind = KINDS.get(type(option))
    return kind.json if kind else {type(value) for value in allowed(option)}


def called(options: Sequence[mi.Type]) -> str:
    """What is expected, such as "int, str or null"."""
    names: dict[str, None] = {}
    for option in options:
        kind = KINDS.get(type(option))
        names_of = [kind.called] if kind else [json.dumps(value, ensure_ascii=False) for value in allowed(option)]
        names.update(dict.fromkeys(names_of))
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def python_type(option: mi.Type) -> Any:
    """A type that has the constraints of what msgspec described, and no types within."""
    if isinstance(option, mi.LiteralType):
        literal: Any = Literal
        return literal[option.values]
    if isinstance(option, mi.EnumType):
        return option.cls
    limits = {name: limit for name in _CONSTRAINTS if (limit := getattr(option, name, None)) is not None}
    python = KINDS[type(option)].python
    return Annotated[python, msgspec.Meta(**limits)] if limits else python


def reads_key(option: mi.Type, key: str) -> bool:
    mapping: Any = dict
    try:
        msgspec.convert({key: None}, mapping[python_type(option), None], str_keys=True)
    except msgspec.ValidationError:
        return False
    return True
