"""The types of fields: annotations of Python as types of the plugin API."""

from __future__ import annotations

import types
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from falco_plugin._declare.annotations import name

_KINDS: dict[frozenset[type], tuple[str, str]] = {
    frozenset({str}): ("string", "str"),
    frozenset({int}): ("uint64", "int"),
    frozenset({bool}): ("bool", "bool"),
    frozenset({datetime}): ("abstime", "datetime"),
    frozenset({timedelta}): ("reltime", "timedelta"),
    frozenset({IPv4Address, IPv6Address}): ("ipaddr", "IPv4Address | IPv6Address"),
    frozenset({IPv4Network, IPv6Network}): ("ipnet", "IPv4Network | IPv6Network"),
}
_FAMILIES: dict[frozenset[type], int] = {
    frozenset({IPv4Address}): 4,
    frozenset({IPv6Address}): 6,
    frozenset({IPv4Network}): 4,
    frozenset({IPv6Network}): 6,
}
_POSSIBLE = f"{', '.join(name for _, name in _KINDS.values())}, or a list of one of them"
_HINTS = {
    float: " (Falco has no floats: use str or int)",
    bytes: " (decode it: use str)",
    list: " (say of what, such as list[str])",
}


class ValueType(NamedTuple):
    """The type of a field's values."""

    kind: str
    """As the plugin API names it."""
    is_list: bool
    name: str
    """As Python writes it."""
    classes: frozenset[type]
    """The classes of one value."""

    @property
    def family(self) -> int | None:
        """4 or 6 if the type has addresses or networks of only that version of IP."""
        return _FAMILIES.get(self.classes)


def of_value(annotation: Any, wrapper: Any = None) -> ValueType:
    """The type behind an annotation such as ``list[str] | None``. ``wrapper[T]`` counts as T.

    Raises:
        TypeError: there is none.
    """
    members = [member for member in _members(annotation, wrapper) if member is not types.NoneType]
    is_list = len(members) == 1 and get_origin(members[0]) is list and not _wraps(annotation, wrapper)
    if is_list:
        members = [member for part in get_args(members[0]) for member in _members(part, wrapper)]
    if not all(isinstance(member, type) for member in members):
        raise TypeError(f"{name(annotation)} is no type of a field; it can be {_POSSIBLE}")
    classes = frozenset(members)
    for whole, (kind, python_name) in _KINDS.items():
        if classes and classes <= whole:
            return ValueType(kind, is_list, f"list[{python_name}]" if is_list else python_name, classes)
    hint = next((hint for kind, hint in _HINTS.items() if kind in classes), "")
    if wrapper in classes:
        hint = f" (say of what, such as {wrapper.__name__}[str])"
    raise TypeError(f"{name(annotation)} is no type of a field{hint}; it can be {_POSSIBLE}")


def _wraps(annotation: Any, wrapper: Any) -> bool:
    """Whether the wrapper is around the whole, or a part of a union."""
    parts = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    return wrapper is not None and wrapper in map(get_origin, parts)


def _members(annotation: Any, wrapper: Any) -> list[Any]:
    """The parts of a union, without their wrapper."""
    if annotation is None:
        return [types.NoneType]
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0], wrapper)
    if get_origin(annotation) in (Union, types.UnionType) or (wrapper and get_origin(annotation) is wrapper):
        return [member for part in get_args(annotation) for member in _members(part, wrapper)]
    return [annotation]
