"""State tables: data that the host, this plugin and other plugins share, and fields that are read from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, dataclass_transform

from falco_plugin._core import Attribute, BaseEntry, Table
from falco_plugin._declare.annotations import own_annotations
from falco_plugin.fields import Declaration, TableField

if TYPE_CHECKING:
    from collections.abc import Callable

    from falco_plugin.fields import JsonField

__all__ = ["Entry", "Table", "TableField", "added", "table_field"]


class _Added:
    """The mark of an attribute whose field the plugin adds to the table."""

    def __repr__(self) -> str:
        return "added()"


_ADDED = _Added()


def added() -> Any:
    """Declares that the plugin adds the attribute's field to the table of the host or of another plugin.

    If the table has a field of this name and type already, for example because another plugin has added it, both use
    the same field. An ``int`` is added as ``int64``.

    Example:
        ```python
        class Thread(Entry):
            comm: str
            owner: str = added()
        ```
    """
    return _ADDED


class _EntryMeta(type):
    """Makes an attribute that reads and writes a table's field out of each annotation of a class of entries."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> type:
        if len(bases) > 1:
            raise TypeError(f"{name}: a class of entries has one base class, and that is Entry or a subclass of it")
        for method in ("__init__", "__new__"):
            if bases != (BaseEntry,) and method in namespace:
                raise TypeError(
                    f"{name}.{method} would also be called for entries in tables: use a class method instead"
                )
        namespace.setdefault("__slots__", ())
        cls = super().__new__(mcs, name, bases, namespace, **options)
        inherited: tuple[Attribute, ...] = getattr(cls, "__falco_attributes__", ())
        known = {attribute.name for attribute in inherited}
        attributes = list(inherited)
        marked: dict[str, bool] = dict(getattr(cls, "__falco_added__", {}))
        for attribute in own_annotations(cls):
            if attribute.startswith("_"):
                raise TypeError(f"{name}.{attribute}: the name of a field must not begin with '_'")
            if attribute in known:
                raise TypeError(f"{name}.{attribute} is declared in a base class already")
            default = namespace.get(attribute)
            marked[attribute] = default is _ADDED
            value = None if default is _ADDED else default
            attributes.append(Attribute(len(attributes), attribute, value, attribute not in namespace))
            setattr(cls, attribute, attributes[-1])
        setattr(cls, "__falco_attributes__", tuple(attributes))  # noqa: B010 - type checkers do not know it
        setattr(cls, "__falco_added__", marked)  # noqa: B010
        return cls


@dataclass_transform(kw_only_default=True, field_specifiers=(added,))
class Entry(BaseEntry, metaclass=_EntryMeta):
    """Base class of the entries of a table. The annotations of a subclass are the fields of the table.

    A field is ``str``, ``int`` or ``bool``. ``int`` is any integer type of a table of the host or of another plugin; in
    a table of the plugin itself, it is ``int64``. A ``Table[K, E]`` is a sub-table of the host. With ``| None``, the
    plugin works without the field: the attribute is ``None`` if the table does not have it.

    An entry that a table returns reads and writes the table. An entry that you make holds values, which an assignment
    to the table copies; attributes with a default may be left out. It cannot have sub-tables and fields that the table
    lets plugins only read: declare those with ``| None = None`` in a class of which you make entries.

    The entry of a table of the host or of another plugin works only during the call of the host in which you got it.
    After that, each use raises ``PluginError``. So keep values, or keys, but not entries.

    Example:
        ```python
        class Session(Entry):
            user: str
            requests: int = 0
        ```
    """


class DeclaredTable:
    """A table that a plugin class declares, until it is opened. Not public: see :class:`Table`."""

    def __init__(self, name: str, is_own: bool, is_optional: bool, records_changes: bool) -> None:
        if not isinstance(name, str) or not name or "\0" in name:
            raise TypeError(f"the name of a table must be a string that is not empty, not {name!r:.100}")
        self.name = name
        self.is_own = is_own
        self.is_optional = is_optional
        self.records_changes = records_changes
        self.attribute: str = ""

    def __set_name__(self, owner: type, attribute: str) -> None:
        self.attribute = attribute

    def __get__(self, plugin: object, owner: type | None = None) -> Any:
        """Returns the declaration itself for a class. For an object, no host has opened the table yet."""
        if plugin is None:
            return self
        from falco_plugin._declare import tables

        return tables.open_without_host(plugin, self)


def table_field(
    name: str,
    table: Table[Any, Any] | None,
    attribute: str,
    *,
    desc: str,
    key: JsonField[Any] | TableField | Callable[..., Any] | None = None,
    display: str | None = None,
    add_output: bool = False,
    hidden: bool = False,
    info: bool = False,
    conversation: bool = False,
) -> TableField:
    """Declares a field whose value is read from a table, without a call of Python.

    The entry is that of the event's thread, or with ``key`` the one whose key is the value of another field. The field
    is absent if there is no such entry. The type of the attribute is the type of the field: ``str``, ``int`` (absent if
    it is negative, because rules have no negative numbers) or ``bool``.

    Args:
        name: the name in rules, such as ``"proc.owner"``.
        table: a table that the same class declares.
        attribute: the name of the attribute of its entries.
        desc: the meaning of the field.
        key: a field of the same class without an argument, whose value is the key of the entry. The default is the id
            of the event's thread (``thread.tid`` in rules), which only system calls have: the plugin's
            ``extract_event_sources`` must have ``"syscall"``.
        display: a name for user interfaces.
        add_output: add the field to the output of all rules.
        hidden: leave the field out of lists of fields.
        info: the field is a short description of the whole event.
        conversation: the field is one of the two ends of a conversation.

    Raises:
        TypeError: ``table`` is not a declared table, or ``key`` is not a field.

    Example:
        ```python
        class Owners(Plugin):
            name = "owners"
            extract_event_sources = ("syscall",)
            threads: Table[int, Thread] = Table.of("threads")
            owner = table_field("proc.owner", threads, "owner", desc="Who owns the process")
        ```
    """
    if not isinstance(table, DeclaredTable):
        raise TypeError(
            f"field {name}: table must be a table that the class declares with Table.of or Table.new, not "
            f"{type(table).__name__}"
        )
    if not isinstance(attribute, str):
        raise TypeError(f"field {name}: attribute must be the name of an attribute, not {type(attribute).__name__}")
    return TableField(Declaration(name, desc, display, add_output, hidden, info, conversation), table, attribute, key)
