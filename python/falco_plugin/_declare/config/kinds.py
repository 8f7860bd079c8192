"""The types that the values of a configuration can have, with the names that messages to users call them by."""

from __future__ import annotations

import datetime
import decimal
import json
import uuid
from collections.abc import Collection, Iterator, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import inspect as mi

from falco_plugin.secret import Secret

_CONSTRAINTS = ("gt", "ge", "lt", "le", "multiple_of", "pattern", "min_length", "max_length", "tz")


class Kind(NamedTuple):
    """How a value of one of msgspec's types is written in ``init_config``."""

    name: str
    """The name of the type in messages."""
    json: tuple[type, ...]
    """The Python types of the JSON values that the type is read from."""
    python: Any
    """The type with which msgspec checks the constraints, such as the length of a container."""


_LIST = Kind("list", (list,), list)
_MAP = Kind("map", (dict,), dict)

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
    mi.CustomType: Kind("secret", (str,), Secret),
}
"""The types that a configuration can have, besides unions, literals and enums. The only custom type is ``Secret``."""


def options_of(expected: mi.Type) -> Iterator[mi.Type]:
    """Yields the members of a union, or the type itself."""
    match expected:
        case mi.Metadata():
            yield from options_of(expected.type)
        case mi.UnionType():
            for option in expected.types:
                yield from options_of(option)
        case _:
            yield expected


def preference(option: mi.Type) -> int:
    """Returns the rank of a type: msgspec reads a value into the member of a union with the lowest rank."""
    order = (mi.AnyType, mi.IntType, mi.StrType, mi.LiteralType, mi.EnumType, mi.FloatType)
    return order.index(type(option)) if type(option) in order else len(order)


def allowed_values(option: mi.Type) -> Sequence[Any]:
    """Returns the values of a literal or an enum; none for another type."""
    match option:
        case mi.LiteralType():
            return option.values
        case mi.EnumType():
            return [member.value for member in option.cls]
        case _:
            return ()


def is_one_of(value: Any, allowed: Sequence[Any]) -> bool:
    """Returns whether the value is in the sequence. Unlike ``in``, it distinguishes ``True`` and ``1``."""
    return any(type(value) is type(other) and value == other for other in allowed)


def json_types(option: mi.Type) -> Collection[type]:
    """Returns the Python types of the JSON values that a type is read from."""
    kind = KINDS.get(type(option))
    return kind.json if kind else {type(value) for value in allowed_values(option)}


def names_of(options: Sequence[mi.Type]) -> str:
    """Returns the names of types for a message, such as "int, str or null"."""
    names: dict[str, None] = {}
    for option in options:
        kind = KINDS.get(type(option))
        if kind is not None:
            names[kind.name] = None
        else:
            names.update((json.dumps(value, ensure_ascii=False), None) for value in allowed_values(option))
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def python_type(option: mi.Type) -> Any:
    """Returns a type with the constraints of the described one, but without the types of elements."""
    if isinstance(option, mi.LiteralType):
        literal: Any = Literal
        return literal[option.values]
    if isinstance(option, mi.EnumType):
        return option.cls
    limits = {name: limit for name in _CONSTRAINTS if (limit := getattr(option, name, None)) is not None}
    python = KINDS[type(option)].python
    return Annotated[python, msgspec.Meta(**limits)] if limits else python


def can_be_key(option: mi.Type, key: str) -> bool:
    """Returns whether the key of a JSON object can be read into this type."""
    mapping: Any = dict
    try:
        msgspec.convert({key: None}, mapping[python_type(option), None], str_keys=True)
    except msgspec.ValidationError:
        return False
    return True
