"""The types of fields: annotations of Python as types of the plugin API."""

from __future__ import annotations

import types
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from falco_plugin._declare.annotations import source_of

_KINDS: dict[frozenset[type], tuple[str, str]] = {
    frozenset({str}): ("string", "str"),
    frozenset({int}): ("uint64", "int"),
    frozenset({bool}): ("bool", "bool"),
    frozenset({datetime}): ("abstime", "datetime"),
    frozenset({timedelta}): ("reltime", "timedelta"),
    frozenset({IPv4Address, IPv6Address}): ("ipaddr", "IPv4Address | IPv6Address"),
    frozenset({IPv4Network, IPv6Network}): ("ipnet", "IPv4Network | IPv6Network"),
}
"""The type of the plugin API and the Python source of each possible type of a value."""
_FAMILIES: dict[frozenset[type], int] = {
    frozenset({IPv4Address}): 4,
    frozenset({IPv6Address}): 6,
    frozenset({IPv4Network}): 4,
    frozenset({IPv6Network}): 6,
}
_POSSIBLE = f"{', '.join(source for _, source in _KINDS.values())}, or a list of one of them"
_HINTS = {
    float: " (Falco has no floats: use str or int)",
    bytes: " (decode it: use str)",
    list: " (name the type of the elements, such as list[str])",
}


class ValueType(NamedTuple):
    """The type of a field's values."""

    kind: str
    """The name of the type in the plugin API."""
    is_list: bool
    """Whether a value is a list."""
    name: str
    """The type as Python source."""
    classes: frozenset[type]
    """The classes of a value, or of an element if the type is a list."""

    @property
    def family(self) -> int | None:
        """4 or 6 if the type has addresses or networks of only that version of IP."""
        return _FAMILIES.get(self.classes)


def value_type(annotation: Any, wrapper: Any = None) -> ValueType:
    """Returns the type of an annotation such as ``list[str] | None``. ``wrapper[T]`` counts as T.

    Raises:
        TypeError: a field cannot have this type.
    """
    members = [member for member in _members(annotation, wrapper) if member is not types.NoneType]
    is_list = len(members) == 1 and get_origin(members[0]) is list and not _is_wrapped(annotation, wrapper)
    if is_list:
        members = [member for part in get_args(members[0]) for member in _members(part, wrapper)]
    if not all(isinstance(member, type) for member in members):
        raise TypeError(f"{source_of(annotation)} is not a type of a field: use {_POSSIBLE}")
    classes = frozenset(members)
    for whole, (kind, source) in _KINDS.items():
        if classes and classes <= whole:
            return ValueType(kind, is_list, f"list[{source}]" if is_list else source, classes)
    hint = next((hint for kind, hint in _HINTS.items() if kind in classes), "")
    if wrapper in classes:
        hint = f" (name the type of the value, such as {wrapper.__name__}[str])"
    raise TypeError(f"{source_of(annotation)} is not a type of a field{hint}: use {_POSSIBLE}")


def _is_wrapped(annotation: Any, wrapper: Any) -> bool:
    """Returns whether the wrapper is around the annotation, or around a member of the union that it is."""
    parts = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    return wrapper is not None and wrapper in map(get_origin, parts)


def _members(annotation: Any, wrapper: Any) -> list[Any]:
    """Returns the members of a union, without wrappers around them."""
    if annotation is None:
        return [types.NoneType]
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0], wrapper)
    if get_origin(annotation) in (Union, types.UnionType) or (wrapper and get_origin(annotation) is wrapper):
        return [member for part in get_args(annotation) for member in _members(part, wrapper)]
    return [annotation]
