"""Tables for unit tests of a plugin class, without a host."""

from __future__ import annotations

from typing import Any

from falco_plugin._core import Table
from falco_plugin._core import make_table as _make_table


def make_table(plugin: type, attribute: str) -> Table[Any, Any]:
    """Returns an empty table that replaces one of the host or of another plugin.

    It has the keys and entries that a plugin class declares for the table, but no sub-tables. Set it as the attribute
    of a plugin object that no host has initialised.

    Args:
        plugin: the plugin class.
        attribute: the name of the attribute that declares the table.

    Raises:
        PluginError: the class declares no such table, or its declaration is wrong.

    Example:
        ```python
        def test_owner_is_found():
            plugin = Owners()
            plugin.threads = make_table(Owners, "threads")
            plugin.threads[1] = Thread(comm="bash")
        ```
    """
    # Only here, because most tests need no tables.
    from falco_plugin._declare.tables import spec_named

    return _make_table(spec_named(plugin, attribute))
