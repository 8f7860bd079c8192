"""Reads the licence of a distribution from its metadata."""

from __future__ import annotations

from typing import Any

_CLASSIFIER = "License :: "
_LONGEST = 100
"""Characters of a licence in words. Some distributions have its full text there."""


def licence_of(metadata: Any) -> tuple[str, bool]:
    """Returns the licence, and whether it is an SPDX expression; empty if the metadata has none.

    Args:
        metadata: the metadata of a distribution, as ``importlib.metadata`` reads it.
    """
    expression = metadata.get("License-Expression")
    if expression:
        return str(expression), True
    words = str(metadata.get("License") or "").strip()
    if words and words != "UNKNOWN" and "\n" not in words and len(words) <= _LONGEST:
        return words, False
    classifiers = [str(text) for text in metadata.get_all("Classifier") or () if str(text).startswith(_CLASSIFIER)]
    names = [text.rpartition(" :: ")[2] for text in classifiers]
    return ", ".join(name for name in names if name != "OSI Approved"), False
