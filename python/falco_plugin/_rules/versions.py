"""Compares versions of plugins, as Falco does."""

from __future__ import annotations

import re

_NUMBERS = re.compile(r"([0-9]+)\.([0-9]+)\.([0-9]+)")


def is_accepted(version: str, required: str) -> bool:
    """Returns whether Falco accepts a version of a plugin: the same major version, and not an older one."""
    found, wanted = numbers(version), numbers(required)
    return found[0] == wanted[0] and found >= wanted


def numbers(version: str) -> tuple[int, int, int]:
    """Returns the three numbers at the beginning of a version."""
    found = _NUMBERS.match(version)
    return (int(found[1]), int(found[2]), int(found[3])) if found else (0, 0, 0)
