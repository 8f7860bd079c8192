"""The code blocks of the documentation."""

from __future__ import annotations

import re
import shlex
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


def dockerfile_script(dockerfile: str) -> str:
    """Returns the steps of the first stage of a Dockerfile, as a script of the shell for the folder of its context."""
    first, *steps = dockerfile.partition("\n\n")[0].splitlines()
    assert first.startswith("FROM ")
    return "".join(f"{_step_script(step)}\n" for step in steps)


def _step_script(step: str) -> str:
    instruction, _, rest = step.partition(" ")
    if instruction == "RUN":
        return f"(cd / && {rest})"
    assert instruction == "COPY", step
    *options, source, target = shlex.split(rest)
    copy = f"if [ -d {source} ]; then mkdir -p {target} && cp -R {source}/. {target}"
    copy += f"; else mkdir -p {Path(target).parent} && cp {source} {target}; fi"
    for option in options:
        assert option.startswith("--chmod="), step
        copy += f" && chmod {option.removeprefix('--chmod=')} {target}"
    return copy
