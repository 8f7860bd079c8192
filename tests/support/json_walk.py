"""A reference implementation of `json_field` in plain Python: slow, and independent of the code under test.

A payload need not be valid JSON. One pass finds the end of each string and container. The members and elements are then
read by the grammar in the docstring of `Document`. `json_values` converts the values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from support.json_values import bare_object, convert, decode_string

MAX_DEPTH_OF_OBJECTS = 128
"""`Event.json` returns None for deeper containers. Fields have no such limit."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SPACE = re.compile(rb"[\x00-\x20]*")
_SPACE_OR_COMMA = re.compile(rb"[\x00-\x20,]*")
_MARK = re.compile(rb'["{}\[\]]')
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_BARE = re.compile(rb'[^,{}\[\]"]*')
_BARE_ROOT = re.compile(rb"true|false|null|[+-]?(?:(?i:nan|inf|infinity)|[0-9.][0-9.eE+-]*)")


@dataclass(frozen=True)
class Node:
    """A value in a payload: a range of bytes, including quotes or brackets."""

    kind: Literal["string", "bare", "object", "array"]
    start: int
    end: int
    is_finished: bool = True
    """Whether the value has its closing quote or bracket, or, for a bare value, whether a byte follows it."""
    stop: int = 0
    """For a bare value: the position of the first byte after it that is not white space."""

    @property
    def is_container(self) -> bool:
        return self.kind in ("object", "array")


Entry = tuple[str | None, Node]
"""A member with its key, or an element."""


@dataclass(frozen=True)
class Found:
    """A value, and its position in the payload."""

    value: Any
    start: int
    length: int


class Document:
    """A payload.

    White space is every byte up to 0x20. A byte order mark may come first.

    - A string ends at the next quote that is not escaped.
    - A container ends at the bracket that closes it. Brackets of both kinds are counted alike.
    - A bare value is everything else, up to a comma, a bracket or a quote.

    Attributes:
        root: the outermost value, or None if the payload is not JSON.
    """

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        start = self._skip_prefix()
        self._ends = dict(self._find_ends(start))
        self._entries: dict[int, list[Entry]] = {}
        self.root: Node | None
        if payload[start : start + 1] in (b'"', b"{", b"["):
            self.root = self._node(start)
        else:
            bare = payload[start:].rstrip(bytes(range(0x21)))
            self.root = Node("bare", start, start + len(bare)) if _BARE_ROOT.fullmatch(bare) else None

    def values(self, pattern: str, kind: str, index: int | None = None, key: str | None = None) -> list[Found]:
        """The values of a field; empty if it is absent."""
        if self.root is None:
            return []
        if pattern == "{pointer}":
            # The first "/" of an argument may be missing.
            steps = [("token", token) for token in tokens(key if key[:1] in ("", "/") else f"/{key}")]
        else:
            steps = [_step(token, index, key) for token in tokens(pattern)]
        nodes = [self.root]
        for step in steps:
            nodes = [below for node in nodes for below in self._below(node, step)]
        return [found for node in nodes if (found := self._convert(node, kind)) is not None]

    def pointers(self) -> Iterator[tuple[str, Node]]:
        """All values with their pointers, starting with the root."""
        waiting = [("", self.root)] if self.root else []
        while waiting:
            pointer, node = waiting.pop(0)
            yield pointer, node
            names = set()
            for place, (key, below) in enumerate(self.entries(node)):
                name = str(place) if key is None else key
                if name not in names:
                    names.add(name)
                    waiting.append((f"{pointer}/{as_token(name)}", below))

    def objects(self) -> Any:
        """`Event.json`.

        Raises:
            ValueError: nothing of the payload can be read.
        """
        if self.root is None or (self.root.kind == "string" and not self.root.is_finished):
            raise ValueError("the payload is not JSON")
        return self._object(self.root, depth=1)

    def entries(self, node: Node) -> list[Entry]:
        """The members or elements of a container, up to its first structural fault; empty for other values."""
        if not node.is_container:
            return []
        if node.start not in self._entries:
            self._entries[node.start] = list(self._read_entries(node))
        return self._entries[node.start]

    # Structure

    def _skip_prefix(self) -> int:
        pos = self._skip(_SPACE, 0)
        while self.payload.startswith(BYTE_ORDER_MARK, pos):
            pos = self._skip(_SPACE, pos + len(BYTE_ORDER_MARK))
        return pos

    def _skip(self, what: re.Pattern[bytes], pos: int) -> int:
        return what.match(self.payload, pos).end()

    def _byte(self, pos: int) -> bytes:
        return self.payload[pos : pos + 1]

    def _find_ends(self, pos: int) -> Iterator[tuple[int, int]]:
        """The start and the end of each finished string and container of the value at a position."""
        opened: list[int] = []
        while mark := _MARK.search(self.payload, pos):
            pos = mark.end()
            if mark[0] == b'"':
                string = _STRING.match(self.payload, mark.start())
                if string is None:
                    return
                pos = string.end()
                yield string.span()
            elif mark[0] in b"{[":
                opened.append(mark.start())
            elif opened:
                yield opened.pop(), pos
            if not opened:
                return

    def _node(self, pos: int) -> Node:
        first = self._byte(pos)
        kinds: dict[bytes, Any] = {b'"': "string", b"{": "object", b"[": "array"}
        if first in kinds:
            end = self._ends.get(pos)
            return Node(kinds[first], pos, len(self.payload) if end is None else end, end is not None)
        bare = _BARE.match(self.payload, pos)
        end = pos + len(bare[0].rstrip(bytes(range(0x21))))
        return Node("bare", pos, end, bare.end() < len(self.payload), bare.end())

    def _read_entries(self, node: Node) -> Iterator[Entry]:
        closing = (b"]", b"}")
        pos = self._skip(_SPACE, node.start + 1)
        if node.kind == "array" and self._byte(pos) in closing:
            return
        while True:
            key = None
            if node.kind == "object":
                pos = self._skip(_SPACE_OR_COMMA, pos)
                if self._byte(pos) != b'"' or pos not in self._ends:
                    return
                key = decode_string(self.payload[pos + 1 : self._ends[pos] - 1])
                pos = self._skip(_SPACE, self._ends[pos])
                if self._byte(pos) != b":":
                    return
                pos = self._skip(_SPACE, pos + 1)
            value = self._node(pos)
            if value.is_finished or value.is_container:
                yield key, value
            if not value.is_finished:
                return
            pos = self._skip(_SPACE, value.stop or value.end)
            if self._byte(pos) != b",":
                return
            pos = self._skip(_SPACE, pos + 1)
            if node.kind == "array" and self._byte(pos) in closing:
                return

    # Values

    def _below(self, node: Node, step: tuple[str, Any]) -> list[Node]:
        """The values that a step of a pointer selects."""
        kind, token = step
        entries = self.entries(node)
        if node.kind == "object":
            return [value for key, value in entries if kind == "token" and key == token][:1]
        elements = [value for _, value in entries]
        if kind == "each":
            return elements
        if kind == "element":
            return elements[token : token + 1]
        return [element for place, element in enumerate(elements) if str(place) == token]

    def _convert(self, node: Node, kind: str) -> Found | None:
        if not node.is_finished:
            return None
        quotes = node.kind == "string"
        start, end = node.start + quotes, node.end - quotes
        value = convert(node.kind, self.payload[start:end], kind)
        return None if value is None else Found(value, start, end - start)

    def _object(self, node: Node, depth: int) -> Any:
        raw = self.payload[node.start : node.end]
        if node.kind == "string":
            return decode_string(raw[1:-1])
        if node.kind == "bare":
            return bare_object(raw)
        if depth > MAX_DEPTH_OF_OBJECTS:
            return None
        entries = [(key, self._object(value, depth + 1)) for key, value in self.entries(node)]
        if node.kind == "array":
            return [value for _, value in entries]
        # If keys are equal, the first one counts.
        return dict(reversed(entries))


# Pointers


def tokens(pointer: str) -> list[str]:
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]


def as_token(name: str) -> str:
    """A name as a token of a pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def _step(token: str, index: int | None, key: str | None) -> tuple[str, Any]:
    match token:
        case "*":
            return ("each", None)
        case "{index|*}" if index is None:
            return ("each", None)
        case "{index}" | "{index|*}":
            return ("element", index)
        case "{key}":
            return ("token", key)
        case _:
            return ("token", token)
