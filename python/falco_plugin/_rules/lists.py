"""Replaces the names of lists in conditions by their items, in the text, as Falco does."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_BLANKS = " \t\n\r"
_DELIMITERS = f"{_BLANKS}(),="
_WORDS = re.compile(r"[^ \t\n\r(),=]+")


@dataclass(frozen=True)
class Resolved:
    """A text without names of lists."""

    text: str
    offsets: array[int]
    """The offset in the original of each character, and one more at the end."""
    used: frozenset[str]
    """The lists that were used."""


def joined(items: Iterable[str]) -> str:
    """Returns the items of a list as they replace its name. Those with blanks are quoted."""
    return ", ".join(f'"{item}"' if " " in item and item[0] not in {'"', "'"} else item for item in items)


def resolve(text: str, lists: Mapping[str, str]) -> Resolved:
    """Replaces each name of a list between delimiters.

    Args:
        text: the condition.
        lists: the items of each list, joined, in the order of definition.
    """
    offsets = array("l", range(len(text) + 1))
    words = set(_WORDS.findall(text))
    used: set[str] = set()
    for name, items in lists.items():
        if name not in words:
            continue
        start = text.find(name)
        while start >= 0:
            end = start + len(name)
            if (start == 0 or text[start - 1] in _DELIMITERS) and (end >= len(text) or text[end] in _DELIMITERS):
                position = offsets[start]
                while start > 0 and text[start - 1] in _BLANKS:
                    start -= 1
                while end < len(text) and text[end] in _BLANKS:
                    end += 1
                if not items and start > 0 and text[start - 1] == ",":
                    start -= 1
                elif not items and text[end : end + 1] == ",":
                    end += 1
                new = f"{' ' if start else ''}{items} "
                text = text[:start] + new + text[end:]
                offsets = offsets[:start] + array("l", [position]) * len(new) + offsets[end:]
                start += len(items) + 1
                words.update(_WORDS.findall(items))
                used.add(name)
            start = text.find(name, start + 1)
    return Resolved(text, offsets, frozenset(used))
