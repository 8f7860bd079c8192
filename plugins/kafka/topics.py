"""What ``open_params`` says."""

from __future__ import annotations

import re

SEPARATOR = ","

_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")


def topics(params: str) -> list[str]:
    """Names of topics, and regular expressions, which begin with ``^``. Raises ``ValueError``."""
    names = [name.strip() for name in params.split(SEPARATOR)]
    if not all(names):
        raise ValueError(f"open_params: {params!r} must be a topic, or several with commas between them")
    for name in names:
        if name.startswith("^"):
            try:
                re.compile(name)
            except re.error as error:
                raise ValueError(f"open_params: {name!r} is no regular expression: {error}") from None
        elif not _NAME.fullmatch(name):
            raise ValueError(
                f"open_params: {name!r} is no name of a topic: letters, digits, dots, '_' and '-', at most 249"
            )
    return names
