"""The ids of plugins that make events. Falco does not load two plugins with the same id."""

from __future__ import annotations

DEVELOPMENT = 999
"""The id for development. Falco cannot load two plugins that both keep it."""
PRIVATE = range(2**30, 2**31)
"""The range of ids for private use. Smaller ids are registered with Falco."""


def private_id(name: str) -> int:
    """Returns an id for private use that depends on the plugin's name alone."""
    import zlib

    return PRIVATE[zlib.crc32(name.encode()) % len(PRIVATE)]
