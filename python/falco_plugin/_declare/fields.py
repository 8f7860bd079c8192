"""The fields that a plugin declares, checked, and what the library says of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cached_property
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

from falco_plugin.errors import PluginError
from falco_plugin.fields import DECLARATION, Declaration, JsonField

if TYPE_CHECKING:
    from falco_plugin import _core
    from falco_plugin._declare.types import ValueType

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+")
ATTRIBUTE = "_falco_plugin_attribute"
"""Attribute of an error that names the class's attribute that is wrong."""
_PROPERTIES = ("hidden", "info", "conversation")


class Field(NamedTuple):
    """One field of a plugin."""

    declaration: Declaration
    type: ValueType
    takes_index: str
    """``no``, ``optional`` or ``required``."""
    takes_key: str
    """The same."""
    reader: _core.JsonReader | Callable[..., Any]
    """What reads it: of a method, ``(event[, index][, key])``."""
    where: str = ""
    """Where its method stands in the author's code."""

    @property
    def name(self) -> str:
        """As rules write it."""
        return self.declaration.name

    def described(self) -> dict[str, Any]:
        """As ``plugin_get_fields`` says it."""
        declaration = self.declaration
        told: dict[str, Any] = {
            "name": self.name,
            "type": self.type.kind,
            "isList": self.type.is_list,
            "desc": declaration.desc,
        }
        if declaration.display is not None:
            told["display"] = declaration.display
        if declaration.add_output:
            told["addOutput"] = True
        if properties := [name for name in _PROPERTIES if getattr(declaration, name)]:
            told["properties"] = properties
        takes = {"isIndex": self.takes_index != "no", "isKey": self.takes_key != "no"}
        if any(takes.values()):
            told["arg"] = {"isRequired": "required" in (self.takes_index, self.takes_key), **takes}
        return told


def of(plugin: object) -> list[Field]:
    """The fields of a plugin, base classes first, in the order in which they are declared.

    Raises:
        PluginError: a field cannot be, which is named.
    """
    fields: dict[str, Field] = {}
    for attribute, value, declaration in _declared(type(plugin)):
        try:
            _check_declaration(declaration)
            if declaration.name in fields:
                raise PluginError("it is declared twice: give one of them another name")
            if isinstance(value, JsonField):
                reader = value.reader
                field = Field(declaration, value.type, reader.index, reader.key, reader)
            else:
                # With inspect, which a plugin that has no such fields does not need.
                from falco_plugin._declare.field_methods import signature

                field = Field(declaration, *signature(plugin, attribute, value))
            fields[declaration.name] = field
        except (PluginError, TypeError) as problem:
            refused = PluginError(f"field {declaration.name}: {problem}")
            setattr(refused, ATTRIBUTE, attribute)
            raise refused from None
    return list(fields.values())


def _declared(cls: type) -> Iterator[tuple[str, object, Declaration]]:
    """Attributes that are fields. What overrides a field's method stays this field; None in its place takes it away."""
    attributes: dict[str, object] = {}
    declarations: dict[str, Declaration] = {}
    for base in reversed(cls.__mro__):
        attributes.update(vars(base))
        for attribute, value in vars(base).items():
            if (declaration := declaration_of(value)) is not None:
                declarations[attribute] = declaration
    for attribute, declaration in declarations.items():
        if (value := attributes[attribute]) is not None:
            yield attribute, value, declaration


def declaration_of(value: object) -> Declaration | None:
    """That of a field; also where something was put around its method, or under it, so that this can be refused."""
    match value:
        case JsonField():
            return value.declaration
        case FunctionType():
            functions: tuple[object, ...] = (value,)
        case staticmethod() | classmethod():
            functions = (value, value.__func__)
        case property():
            functions = (value, value.fget)
        case cached_property():
            functions = (value, value.func)
        case _:
            return None
    declared = (getattr(function, DECLARATION, None) for function in functions)
    return next((declaration for declaration in declared if isinstance(declaration, Declaration)), None)


def _check_declaration(declaration: Declaration) -> None:
    if not isinstance(declaration.name, str) or not _NAME.fullmatch(declaration.name):
        raise PluginError(
            "Falco does not accept this name: use parts of letters, digits and '_' that begin with a "
            "letter, joined by dots, such as shop.order.id"
        )
    first, _, others = declaration.name.partition(".")
    if first != first.lower():
        raise PluginError(
            f"its first part has capital letters, as no field of Falco has, and rules are case-sensitive: name it "
            f"{first.lower()}.{others}"
        )
    if not isinstance(declaration.desc, str) or not declaration.desc.strip():
        raise PluginError("desc is empty: say what the field means")
    if not isinstance(declaration.display, str | None):
        raise PluginError(f"display must be str, not {type(declaration.display).__name__}")
    for flag in ("add_output", *_PROPERTIES):
        if not isinstance(getattr(declaration, flag), bool):
            raise PluginError(f"{flag} must be bool, not {type(getattr(declaration, flag)).__name__}")
    for text in (declaration.desc, declaration.display or ""):
        if "\0" in text:
            raise PluginError("desc and display must not contain NUL")
        if any("\ud800" <= char <= "\udfff" for char in text):
            raise PluginError("desc and display must be valid Unicode, without halves of surrogate pairs")
