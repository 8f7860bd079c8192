"""Words of messages: lists of names, and the name that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence


def did_you_mean(name: str, names: Collection[str], cutoff: float = 0.7) -> str:
    """Returns the remedy for a misspelt name; empty if no name is similar."""
    found = difflib.get_close_matches(name, names, n=1, cutoff=cutoff)
    return f"did you mean {found[0]}?" if found else ""


def listed(names: Sequence[str], most: int = 20) -> str:
    """Returns names as messages list them."""
    more = f", and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
