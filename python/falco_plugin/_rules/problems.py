"""A problem of a plugin or of a rules file, and the error of a file that cannot be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, order=True)
class Problem:
    """A problem, with the line at which it is found."""

    path: str
    line: int
    """The line, counted from 1; 0 if the problem has no line."""
    severity: Severity
    """An ``error`` is refused by Falco. A ``warning`` is accepted, but is probably a mistake."""
    message: str

    def __str__(self) -> str:
        # An error needs no word before it.
        severity = "" if self.severity == "error" else f"{self.severity}: "
        return f"{self.where}: {severity}{' '.join(self.message.split())}"

    @property
    def where(self) -> str:
        """``path:line``, or the path alone."""
        return f"{self.path}:{self.line}" if self.line else self.path


class RulesError(Exception):
    """A rules file cannot be read. The message is one line that begins with the path."""

    def __init__(self, path: str, line: int, message: str) -> None:
        self.problem = Problem(path, line, "error", message)
        super().__init__(str(self.problem))


class Report:
    """Collects problems, each once, in the order in which they are found."""

    def __init__(self) -> None:
        self._found: dict[Problem, None] = {}

    def add(self, path: str, line: int, message: str, severity: Severity = "error") -> None:
        """Adds a problem."""
        self._found.setdefault(Problem(path, line, severity, message))

    @property
    def problems(self) -> list[Problem]:
        """The problems so far."""
        return list(self._found)
