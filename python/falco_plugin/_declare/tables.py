"""The tables that a plugin declares, checked, and their description for the native side."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from typing import Any, NamedTuple, Union, get_args, get_origin

from falco_plugin import _core
from falco_plugin._declare.annotations import evaluate, own_annotations, source_of
from falco_plugin.errors import PluginError
from falco_plugin.tables import DeclaredTable

_KINDS: dict[Any, str] = {int: "int", str: "str", bool: "bool"}


class AttributeSpec(NamedTuple):
    """An attribute of the entries of a table, in the form that the native side reads."""

    name: str
    kind: str
    """``int``, ``str``, ``bool`` or ``table``."""
    is_added: bool
    """Whether the plugin adds the field to the table."""
    is_optional: bool
    """Whether the plugin works without the field."""
    subtable: TableSpec | None


class TableSpec(NamedTuple):
    """A table or a sub-table, in the form that the native side reads."""

    name: str
    key: str
    """``int``, ``str`` or ``bool``."""
    entry_class: type
    attributes: tuple[AttributeSpec, ...]
    is_optional: bool
    """Whether the plugin works without the table."""
    records_changes: bool
    """Whether a table of the plugin itself records the changes of others."""


class PluginTable(NamedTuple):
    """A table that a plugin declares."""

    attribute: str
    """The name of the attribute of the plugin."""
    declaration: Any
    """The ``DeclaredTable``."""
    spec: TableSpec

    @property
    def is_own(self) -> bool:
        """Whether the plugin itself has the table."""
        return bool(self.declaration.is_own)

    def index_of(self, attribute: str) -> int:
        """Returns the position of an attribute of the entries; -1 if they have no such attribute."""
        names = [spec.name for spec in self.spec.attributes]
        return names.index(attribute) if attribute in names else -1


def declared_by(cls: type) -> list[PluginTable]:
    """Returns the tables of a plugin class in the order of their declaration, those of base classes first.

    Raises:
        PluginError: the declaration of a table is wrong. The message names the attribute.
    """
    found: dict[str, PluginTable] = {}
    names: dict[str, str] = {}
    attributes: dict[str, tuple[type, object]] = {}
    for base in reversed(cls.__mro__):
        attributes.update({name: (base, value) for name, value in vars(base).items()})
    for attribute, (base, value) in attributes.items():
        if not isinstance(value, DeclaredTable):
            continue
        where = f"{cls.__qualname__}.{attribute}"
        found[attribute] = PluginTable(attribute, value, _spec_of(base, attribute, value, where))
        if value.name in names:
            raise PluginError(f"{where}: the table {value.name} is declared twice, also as {names[value.name]}")
        names[value.name] = attribute
    return list(found.values())


def open_without_host(plugin: object, declaration: Any) -> Any:
    """Returns the table of a plugin object that no host has initialised: an own one, empty.

    Raises:
        PluginError: the table is one of the host or of another plugin.
    """
    cls, attribute = type(plugin), declaration.attribute
    if not declaration.is_own:
        raise PluginError(
            f"{cls.__qualname__}.{attribute}: the table {declaration.name} is open only in a plugin that a host has "
            f"initialised; in a unit test, set the attribute to falco_plugin.testing.make_table({cls.__qualname__}, "
            f"{attribute!r})"
        )
    table = _core.make_table(spec_named(cls, attribute))
    # From now on, the object has its own attribute, which hides the declaration.
    setattr(plugin, attribute, table)
    return table


def spec_named(cls: type, attribute: str) -> TableSpec:
    """Returns the description of the table that an attribute of a class declares.

    Raises:
        PluginError: the class has no such table, or its declaration is wrong.
    """
    for table in declared_by(cls):
        if table.attribute == attribute:
            return table.spec
    raise PluginError(f"{cls.__qualname__} declares no table with the name {attribute!r}")


def missing_attributes(entry_class: Any, names: list[str]) -> str:
    """Returns why an entry cannot be made without these attributes, and what to do."""
    class_name = entry_class.__qualname__
    for name in names:
        base = _base_of(entry_class, name)
        path = f"{class_name}.{name}"
        annotation = _evaluated(own_annotations(base)[name], base, path)
        if get_origin(annotation) is _core.Table:
            return (
                f"{path} is a sub-table, which only the owner of a table makes: to make entries without it, declare it "
                f"as {name}: {source_of(annotation)} | None = None"
            )
    return f"{class_name}() lacks {', '.join(names)}: pass each attribute that has no default by its name"


def _spec_of(base: type, attribute: str, declaration: Any, where: str) -> TableSpec:
    annotations = own_annotations(base)
    if attribute not in annotations:
        raise PluginError(
            f"{where} has no annotation: write {attribute}: Table[int, Thread] = …, with the type of the keys and the "
            "class of the entries"
        )
    annotation, is_optional = _without_none(_evaluated(annotations[attribute], base, where))
    if is_optional and not declaration.is_optional:
        raise PluginError(f"{where} may be None by its annotation: declare it with optional=True, or remove | None")
    spec = _table_spec(
        annotation, declaration.name, where, is_own=declaration.is_own, is_optional=declaration.is_optional
    )
    return spec._replace(records_changes=declaration.records_changes)


def _table_spec(annotation: Any, name: str, where: str, *, is_own: bool, is_optional: bool) -> TableSpec:
    parts = get_args(annotation)
    if get_origin(annotation) is not _core.Table or len(parts) != 2:
        raise PluginError(
            f"{where} must be annotated with Table[K, E], the type of the keys and the class of the entries, not "
            f"{source_of(annotation)}"
        )
    key, entry_class = parts
    if key not in _KINDS:
        raise PluginError(f"{where}: the keys of a table are int, str or bool, not {source_of(key)}")
    if not (isinstance(entry_class, type) and issubclass(entry_class, _core.BaseEntry)):
        raise PluginError(f"{where}: the entries of a table are a subclass of Entry, not {source_of(entry_class)}")
    attributes = tuple(_attributes_of(entry_class, name, where, is_own=is_own))
    return TableSpec(name, _KINDS[key], entry_class, attributes, is_optional, records_changes=False)


def _attributes_of(entry_class: Any, table: str, where: str, *, is_own: bool) -> Iterator[AttributeSpec]:
    for declared in entry_class.__falco_attributes__:
        name = declared.name
        base = _base_of(entry_class, name)
        path = f"{entry_class.__qualname__}.{name}"
        annotation, is_optional = _without_none(_evaluated(own_annotations(base)[name], base, path))
        is_added = entry_class.__falco_added__.get(name, False)
        if is_own and (is_added or is_optional):
            raise PluginError(
                f"{path}: {where} is a table of the plugin itself, which has all declared fields: remove "
                + ("added()" if is_added else "| None")
            )
        if (kind := _KINDS.get(annotation)) is not None:
            yield AttributeSpec(name, kind, is_added, is_optional, None)
            continue
        if get_origin(annotation) is not _core.Table:
            raise PluginError(f"{path}: a field is str, int, bool or Table[K, E], not {source_of(annotation)}")
        if is_own:
            raise PluginError(f"{path}: a table of the plugin itself cannot have sub-tables: use a second table")
        if is_added:
            raise PluginError(f"{path}: hosts do not allow plugins to add sub-tables: remove added()")
        subtable = _table_spec(annotation, f"{table}.{name}", path, is_own=False, is_optional=False)
        yield AttributeSpec(name, "table", False, is_optional, subtable)


def _base_of(entry_class: type, attribute: str) -> type:
    """Returns the class that declares an attribute: the class of the entries, or a base class."""
    return next(cls for cls in entry_class.__mro__ if attribute in own_annotations(cls))


def _evaluated(annotation: Any, base: type, where: str) -> Any:
    """Returns what an annotation means, which may be a string."""
    try:
        return evaluate(annotation, vars(sys.modules[base.__module__]), vars(base))
    except Exception as error:
        raise PluginError(
            f"{where}: the annotation {source_of(annotation)} cannot be evaluated ({type(error).__name__}: {error}): "
            "import the names in it at run time, not only for type checkers"
        ) from None


def _without_none(annotation: Any) -> tuple[Any, bool]:
    """Returns an annotation without ``| None``, and whether it had it."""
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation, False
    members = [member for member in get_args(annotation) if member is not types.NoneType]
    return (members[0] if len(members) == 1 else annotation), len(members) < len(get_args(annotation))
