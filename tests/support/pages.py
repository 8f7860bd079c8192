"""The code blocks of the documentation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.paths import REPOSITORY

_BLOCK = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)(?P<options>.*)\n(?P<text>(?:.*\n)*?)(?P=indent)```$", re.MULTILINE
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    title: str | None
    text: str
    origin: str


def blocks_of(page: Path) -> Iterator[Block]:
    content = page.read_text()
    for match in _BLOCK.finditer(content):
        title = re.search(r'title="([^"]+)"', match["options"])
        text = re.sub(f"^{match['indent']}", "", match["text"], flags=re.MULTILINE)
        line = content.count("\n", 0, match.start()) + 1
        yield Block(match["language"], title and title[1], text, f"{page.relative_to(REPOSITORY)}:{line}")
