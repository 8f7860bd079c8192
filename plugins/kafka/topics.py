"""The topics in ``open_params``."""

from __future__ import annotations

import re

SEPARATOR = ","

_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")


def parse_topics(params: str) -> list[str]:
    """Returns the names of topics, and regular expressions, which begin with ``^``.

    Raises:
        ValueError: a name or a regular expression is invalid.
    """
    names = [name.strip() for name in params.split(SEPARATOR)]
    if not all(names):
        raise ValueError(f"open_params must be a topic, or several separated by commas, got {params!r}")
    for name in names:
        if name.startswith("^"):
            try:
                re.compile(name)
            except re.error as error:
                raise ValueError(f"open_params: {name!r} is not a valid regular expression: {error}") from None
        elif not _NAME.fullmatch(name):
            raise ValueError(
                f"open_params: {name!r} is not a valid topic: use at most 249 letters, digits, '.', '_' and '-'"
            )
    return names
