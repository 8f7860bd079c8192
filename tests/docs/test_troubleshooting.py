"""Checks that the code contains each message on the page Troubleshooting."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest
from support.paths import REPOSITORY

PAGE = REPOSITORY / "docs" / "how-to" / "troubleshoot.md"
MESSAGES = re.findall(r"^### `(.+)`$", PAGE.read_text(), re.MULTILINE)
MESSAGE_OF_FALCO = "found another plugin with ID …"
RUST_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)


def strings_of_python(source: str) -> Iterator[str]:
    """Yields the string constants of a module, and the constant parts of its f-strings."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def strings_of_rust(source: str) -> Iterator[str]:
    """Yields the string literals of a file, without the line breaks that ``\\`` joins."""
    for literal in RUST_STRING.findall(source):
        yield re.sub(r"\\\n\s*", "", literal)


@pytest.fixture(scope="module")
def strings() -> str:
    python = (path.read_text() for path in (REPOSITORY / "python/falco_plugin").rglob("*.py"))
    rust = (path.read_text() for path in (REPOSITORY / "rust").glob("*/**/*.rs"))
    return "\n".join(
        [*(text for source in python for text in strings_of_python(source))]
        + [*(text for source in rust for text in strings_of_rust(source))]
    )


@pytest.mark.parametrize("message", MESSAGES)
def test_message_is_in_the_code(message: str, strings: str) -> None:
    if message == MESSAGE_OF_FALCO:
        return
    for part in filter(None, (part.strip() for part in message.split("…"))):
        assert part in strings


def test_page_has_each_message_once() -> None:
    assert len(MESSAGES) == len(set(MESSAGES)) >= 20
