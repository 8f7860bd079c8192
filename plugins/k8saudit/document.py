"""Finds values in a decoded event, for fields that a JSON pointer cannot describe."""

from __future__ import annotations

import json
from typing import Any


def find(value: Any, *path: str) -> Any:
    """Returns the value at a path of members, or ``None`` if it does not exist."""
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def elements(value: Any, index: int | None = None) -> list[Any]:
    """Returns the elements of an array, or a list with only the element at ``index``. Other values have no elements."""
    if not isinstance(value, list):
        return []
    return value if index is None else value[index : index + 1]


def text(value: Any) -> str:
    """Returns a value as rules see it: a string unchanged, any other value as compact JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def repository(image: str) -> str:
    """Returns the name of an image without its tag and digest. Its registry may have a port."""
    folder, slash, name = image.partition("@")[0].rpartition("/")
    return folder + slash + name.partition(":")[0]
