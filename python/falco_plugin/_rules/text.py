"""A text that is put together from parts of rules files, and the line of each of its characters."""

from __future__ import annotations

from dataclasses import dataclass

from falco_plugin._rules.yaml_nodes import Scalar


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a text: a scalar of a file, or a text that Falco adds at a line."""

    text: str
    path: str
    line: int
    scalar: Scalar | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """A condition or an output, with everything that was appended to it."""

    parts: tuple[Part, ...]

    @classmethod
    def of(cls, path: str, scalar: Scalar) -> Text:
        """Returns the text of one scalar."""
        return cls((Part(scalar.text, path, scalar.line, scalar),))

    def __str__(self) -> str:
        return "".join(part.text for part in self.parts)

    def __add__(self, other: Text) -> Text:
        return Text(self.parts + other.parts)

    def appended(self, other: Text) -> Text:
        """Returns this text, a blank, and another."""
        first = other.parts[0]
        return self + Text((Part(" ", first.path, first.line),)) + other

    def where(self, offset: int) -> tuple[str, int]:
        """Returns the path and the line of a character."""
        part = self.parts[-1]
        for part in self.parts:
            if offset < len(part.text):
                break
            offset -= len(part.text)
        line = part.line if part.scalar is None else part.scalar.line_at(min(offset, len(part.text)))
        return part.path, line
