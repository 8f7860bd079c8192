"""Opens the tables of a plugin while a host initialises it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from falco_plugin import _core

if TYPE_CHECKING:
    from falco_plugin._declare.fields import Field
    from falco_plugin._declare.tables import PluginTable


def open_all(plugin: Any, tables: Sequence[PluginTable], host: _core.HostTables) -> None:
    """Opens the tables of the host and of other plugins, adds those of the plugin, and sets them as its attributes.

    Raises:
        PluginError: a table or a field does not exist, or the host passes no tables.
    """
    for table in tables:
        if table.is_own:
            # The object may have filled the table before, in its constructor.
            own = getattr(plugin, table.attribute)
            host.add(own)
    for table in tables:
        if not table.is_own:
            setattr(plugin, table.attribute, host.open(table.spec))


def reader_of(plugin: Any, field: Field, fields: Sequence[Field]) -> _core.TableReader:
    """Returns the reader of a ``table_field``, whose table is open."""
    source = field.table
    assert source is not None
    names = [other.name for other in fields]
    key = None if source.key is None else names.index(source.key)
    return _core.TableReader(getattr(plugin, source.table), source.attribute, field.type.kind, key)
