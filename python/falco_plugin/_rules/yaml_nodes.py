"""Reads YAML as Falco does: each scalar is a string, and each value knows its line.

Falco's reader does not convert values by their form. ``items: [yes, 0x10]`` has the strings ``yes`` and ``0x10``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

MAX_DEPTH = 50
"""The deepest nesting of sequences and mappings. Rules need 6 levels."""
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_NOT_ALLOWED = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_HINTS = (
    ("tab character", "", "indent with spaces"),
    ("character that cannot start any token", "%", "quote the text: it begins with '%'"),
    ("character that cannot start any token", "\t", "indent with spaces: YAML does not allow tabs"),
    ("character that cannot start any token", "@`", "quote the text: YAML reserves this character"),
    ("mapping values are not allowed", "", "quote the text, or check the indentation: it contains ': '"),
    ("end of stream while scanning a quoted", "", "add the closing quote"),
    ("undefined alias", "", "define the anchor before the alias, or quote the text: it begins with '*'"),
)


class YamlError(Exception):
    """A text is not YAML."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Scalar:
    """A string, or nothing."""

    text: str
    line: int
    is_plain: bool
    """Whether it is written without quotes, so that it may mean nothing."""
    source: str = field(repr=False)
    """The text of the file from the first character of the scalar to its last."""

    @property
    def is_null(self) -> bool:
        """Whether the file has no value here."""
        return self.is_plain and self.text in _NULLS

    def line_at(self, offset: int) -> int:
        """Returns the line of the file of a character of the text."""
        if "\n" not in self.source:
            return self.line
        # Folding only changes blanks. So the n-th character that is not blank is also the n-th in the file. Only
        # escapes in quotes differ.
        start = self.source.index("\n") if self.source[:1] in "|>" else 0 if self.is_plain else 1
        wanted = sum(not character.isspace() for character in self.text[:offset])
        line = self.line + self.source.count("\n", 0, start)
        seen = 0
        for character in self.source[start:]:
            if character == "\n":
                line += 1
            elif not character.isspace():
                if seen == wanted:
                    break
                seen += 1
        return min(line, self.line + self.source.rstrip().count("\n"))


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    items: list[Node]
    line: int


@dataclass(frozen=True, slots=True)
class Mapping:
    """A mapping. A key can be there twice: Falco uses the first."""

    pairs: list[tuple[Node, Node]]
    line: int

    def get(self, key: str) -> Node | None:
        """Returns the value of a key."""
        return next((value for name, value in self.pairs if isinstance(name, Scalar) and name.text == key), None)

    def names(self) -> Iterator[Scalar]:
        """Yields the keys that are strings."""
        return (name for name, _ in self.pairs if isinstance(name, Scalar))


Node = Scalar | Sequence | Mapping


def documents(text: str) -> Iterator[Node]:
    """Yields the documents of a YAML text.

    Raises:
        YamlError: the text is not YAML, or is nested too deeply.
    """
    if found := _NOT_ALLOWED.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise YamlError(line, f"the character U+{ord(found.group()):04X} is not allowed in YAML: remove it")
    try:
        yield from _compose(text)
    except yaml.MarkedYAMLError as error:
        raise _marked(text, error) from None


def _marked(text: str, error: yaml.MarkedYAMLError) -> YamlError:
    mark = error.problem_mark or error.context_mark
    index = mark.index if mark else 0
    line = min(mark.line, text.rstrip().count("\n")) + 1 if mark else 1
    problem = " ".join(str(error.problem or error.context).split())
    found = text[index : index + 1]
    hint = next(
        (hint for part, characters, hint in _HINTS if part in problem and (not characters or found in characters)), ""
    )
    if "quoted scalar" in (error.context or "") and error.context_mark:
        line = error.context_mark.line + 1
        hint = "add the closing quote"
    return YamlError(line, f"{problem}: {hint}" if hint else f"{problem}: check the indentation and the quotes")


def _compose(text: str) -> Iterator[Node]:
    """Builds nodes from the parser's events. Without recursion, because the nesting is not known."""
    anchors: dict[str, Node] = {}
    root: Node | None = None
    stack: list[Sequence | list[Node]] = []
    open_mappings: list[Mapping] = []
    for event in yaml.parse(text, Loader=_LOADER):
        line = event.start_mark.line + 1
        node: Node
        match event:
            case yaml.DocumentStartEvent():
                anchors.clear()
                continue
            case yaml.DocumentEndEvent() if root is not None:
                yield root
                continue
            case yaml.AliasEvent():
                if event.anchor not in anchors:
                    raise YamlError(line, f"undefined alias {event.anchor!r}: {_HINTS[-1][2]}")
                node = anchors[event.anchor]
            case yaml.ScalarEvent():
                # An empty plain scalar, such as the value in 'a:', has no characters in the file.
                source = text[event.start_mark.index : event.end_mark.index]
                node = Scalar(event.value, line, event.style in {None, ""}, _without_properties(source))
            case yaml.SequenceStartEvent():
                node = Sequence([], line)
            case yaml.MappingStartEvent():
                node = Mapping([], line)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                finished = stack.pop()
                if isinstance(finished, list):
                    open_mappings.pop().pairs.extend(zip(finished[::2], finished[1::2], strict=True))
                continue
            case _:
                continue
        if stack:
            parent = stack[-1]
            (parent if isinstance(parent, list) else parent.items).append(node)
        else:
            root = node
        if isinstance(event, yaml.AliasEvent):
            continue
        if event.anchor is not None:
            anchors[event.anchor] = node
        if isinstance(node, Sequence):
            stack.append(node)
        elif isinstance(node, Mapping):
            stack.append([])
            open_mappings.append(node)
        if len(stack) > MAX_DEPTH:
            raise YamlError(line, f"nested deeper than {MAX_DEPTH} levels: rules need no more than 6")


def _without_properties(source: str) -> str:
    """Returns the source of a scalar without the anchor and the tag before it."""
    while source[:1] in {"&", "!"}:
        parts = source.split(maxsplit=1)
        source = parts[1] if len(parts) > 1 else ""
    return source
