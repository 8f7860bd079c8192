"""The ids of plugins that make events: Falco loads one plugin of an id."""

from __future__ import annotations

import zlib

DEVELOPMENT = 999
"""For development: every plugin may have it, so two of them cannot be loaded into one Falco."""
PRIVATE = range(2**30, 2**31)
"""For private use. Smaller ids are registered with Falco."""


def private(name: str) -> int:
    """Returns an id for private use that depends on the plugin's name alone."""
    return PRIVATE[zlib.crc32(name.encode()) % len(PRIVATE)]
