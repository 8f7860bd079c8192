"""The fields that a plugin declares, checked, and their description for the library."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cached_property
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

from falco_plugin.errors import PluginError
from falco_plugin.fields import DECLARATION, Declaration, JsonField, TableField

if TYPE_CHECKING:
    from falco_plugin._declare.types import ValueType

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+")
ATTRIBUTE = "_falco_plugin_attribute"
"""Attribute of an error: the name of the class attribute that is wrong."""
_PROPERTIES = ("hidden", "info", "conversation")


class TableSource(NamedTuple):
    """The attribute of a table's entry that a field is read from."""

    table: str
    """The name of the plugin's attribute that has the table."""
    attribute: int
    """The position of the attribute in the class of the entries."""
    key: str | None
    """The name of the field whose value is the key; ``None`` for the id of the event's thread."""


class Field(NamedTuple):
    """One field of a plugin."""

    declaration: Declaration
    type: ValueType
    takes_index: str
    """Whether ``name[argument]`` can have a number as its argument: ``no``, ``optional`` or ``required``."""
    takes_key: str
    """Whether it can have a string as its argument: ``no``, ``optional`` or ``required``."""
    reader: JsonField[Any] | Callable[..., Any] | None
    """Makes the value. A method is called as ``reader(event[, index][, key])``. ``None`` for the field of a table: its
    reader is made when the table is open."""
    location: str = ""
    """Where the method is defined in user code, such as ``plugin.py:12 in verb``; empty without a method."""
    table: TableSource | None = None
    """Where the value is, if it is in a table."""

    @property
    def name(self) -> str:
        """The name of the field in rules."""
        return self.declaration.name

    def describe(self) -> dict[str, Any]:
        """Returns the entry of the field in the JSON array of ``plugin_get_fields``."""
        declaration = self.declaration
        entry: dict[str, Any] = {
            "name": self.name,
            "type": self.type.kind,
            "isList": self.type.is_list,
            "desc": declaration.desc,
        }
        if declaration.display is not None:
            entry["display"] = declaration.display
        if declaration.add_output:
            entry["addOutput"] = True
        if properties := [name for name in _PROPERTIES if getattr(declaration, name)]:
            entry["properties"] = properties
        takes = {"isIndex": self.takes_index != "no", "isKey": self.takes_key != "no"}
        if any(takes.values()):
            entry["arg"] = {"isRequired": "required" in (self.takes_index, self.takes_key), **takes}
        return entry


def declared_by(plugin: object) -> list[Field]:
    """Returns the fields of a plugin in the order of their declaration, those of base classes first.

    Raises:
        PluginError: the declaration of a field is wrong. The message names the field.
    """
    fields: dict[str, Field] = {}
    for attribute, value, declaration in declarations(type(plugin)):
        try:
            _check_declaration(declaration)
            if declaration.name in fields:
                raise PluginError("the field is declared twice: give one of the two another name")
            if isinstance(value, JsonField):
                field = Field(declaration, value.type, value.index, value.key, value)
            elif isinstance(value, TableField):
                field = _field_of_table(type(plugin), value, fields)
            else:
                # This imports inspect, which a plugin without methods for fields does not need.
                from falco_plugin._declare.field_methods import read_signature

                signature = read_signature(plugin, attribute, value)
                field = Field(
                    declaration,
                    signature.type,
                    signature.takes_index,
                    signature.takes_key,
                    signature.call,
                    signature.location,
                )
            fields[declaration.name] = field
        except (PluginError, TypeError) as error:
            refused = PluginError(f"field {declaration.name}: {error}")
            setattr(refused, ATTRIBUTE, attribute)
            raise refused from None
    return list(fields.values())


def _field_of_table(cls: type, value: TableField, fields: dict[str, Field]) -> Field:
    """Returns the field that `value` declares. `fields` has the fields that were declared before it."""
    from falco_plugin._declare import tables
    from falco_plugin._declare.types import value_type

    table = next((table for table in tables.declared_by(cls) if table.declaration is value.table), None)
    if table is None:
        raise PluginError(f"{cls.__qualname__} does not declare its table {value.table.name}")
    entries = table.spec.entry_class.__qualname__
    index = table.index_of(value.attribute)
    if index < 0:
        names = ", ".join(spec.name for spec in table.spec.attributes)
        raise PluginError(f"{entries} has no attribute {value.attribute!r} (attributes: {names})")
    kind = table.spec.attributes[index].kind
    if kind == "table":
        raise PluginError(f"{entries}.{value.attribute} is a sub-table: choose an attribute that is str, int or bool")
    key = None if value.key is None else _key_field(value.key, table.spec.key, fields)
    if key is None and table.spec.key != "int":
        raise PluginError(
            f"the keys of the table {value.table.name} are {table.spec.key}: set key to the field that has the key"
        )
    source = TableSource(table.attribute, index, key)
    return Field(
        value.declaration, value_type({"str": str, "int": int, "bool": bool}[kind]), "no", "no", None, "", source
    )


def _key_field(key: object, kind: str, fields: dict[str, Field]) -> str:
    """Returns the name of the field that is the key of a table with this kind of keys."""
    declaration = declaration_of(key)
    field = None if declaration is None else fields.get(declaration.name)
    if field is None:
        raise PluginError("key must be a field that the class declares before this one")
    if field.type.is_list or "required" in (field.takes_index, field.takes_key):
        raise PluginError(f"key is the field {field.name}, which must have one value, without an argument")
    if {"string": "str", "uint64": "int", "bool": "bool"}.get(field.type.kind) != kind:
        raise PluginError(
            f"key is the field {field.name} of the type {field.type.name}, but the keys of the table are {kind}"
        )
    return field.name


def declarations(cls: type) -> Iterator[tuple[str, object, Declaration]]:
    """Yields the attributes that are fields.

    A subclass that overrides the method of a field keeps the field; with ``None`` in its place it removes the field.
    """
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
    """Returns the declaration of a field; ``None`` for another attribute.

    Finds the declaration also below or above other decorators, so that these can be refused with a message.
    """
    match value:
        case JsonField() | TableField():
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
            "the first part of the name has capital letters, which no field of Falco has, and rules are "
            f"case-sensitive: name it {first.lower()}.{others}"
        )
    if not isinstance(declaration.desc, str) or not declaration.desc.strip():
        raise PluginError("desc is empty: describe what the field means")
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
