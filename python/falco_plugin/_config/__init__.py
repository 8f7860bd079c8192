"""A plugin's configuration as an object: the class that it declares, its JSON schema, and ``init_config`` read into it.

Schema and :func:`parse` both go by msgspec's rules, and are stricter in one: a key that the class does not have is an
error, since most often it is a misspelt one.
"""

from falco_plugin._config.declaration import declared
from falco_plugin._config.schema import schema
from falco_plugin._config.text import parse

__all__ = ["declared", "parse", "schema"]
