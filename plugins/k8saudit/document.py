"""Finding values in a decoded event, where a pointer alone cannot say which."""

from __future__ import annotations

import json
from typing import Any


def find(value: Any, *path: str) -> Any:
    """The value that these members lead to; ``None`` where there is none."""
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def elements(value: Any, index: int | None = None) -> list[Any]:
    """The elements of an array, or the one at an index."""
    if not isinstance(value, list):
        return []
    return value if index is None else value[index : index + 1]


def text(value: Any) -> str:
    """A value as rules see it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def repository(image: str) -> str:
    """An image's name without tag and digest. A registry may have a port."""
    folder, slash, name = image.partition("@")[0].rpartition("/")
    return folder + slash + name.partition(":")[0]
