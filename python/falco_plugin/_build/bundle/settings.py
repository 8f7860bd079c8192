"""Reads which parts a plugin packs or leaves out: ``include`` and ``exclude`` of its ``[tool.falco-plugin]`` table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from falco_plugin._build.bundle import requirements
from falco_plugin._build.errors import TargetError

TABLE = "tool.falco-plugin"
_KEYS = ("include", "exclude")


class Setting(NamedTuple):
    """A name or a pattern to include or to exclude."""

    name: str
    origin: str
    """The option or the file that has it, for errors."""

    @property
    def is_pattern(self) -> bool:
        """Whether it selects data files by their paths. Names of modules and distributions have no ``/``."""
        return "/" in self.name

    def __str__(self) -> str:
        return f"{self.origin} {self.name}"


class Settings(NamedTuple):
    """Everything to include and to exclude."""

    include: list[Setting]
    exclude: list[Setting]


def join(path: Path, include: Sequence[str], exclude: Sequence[str]) -> Settings:
    """Returns the settings of the command line and of the plugin.

    Args:
        path: the file or folder of the plugin.
        include: the values of ``--include``.
        exclude: the values of ``--exclude``.

    Raises:
        TargetError: the table of the plugin is not valid.
    """
    origin, metadata = requirements.metadata_of(path)
    tool = metadata.get("tool")
    table = tool.get("falco-plugin", {}) if isinstance(tool, dict) else {}
    of_plugin = {key: list(_of_table(origin, table, key)) for key in _KEYS}
    return Settings(
        [*(Setting(name, "--include") for name in include), *of_plugin["include"]],
        [*(Setting(name, "--exclude") for name in exclude), *of_plugin["exclude"]],
    )


def _of_table(origin: str, table: Any, key: str) -> Iterator[Setting]:
    if not isinstance(table, dict):
        raise TargetError(f"{origin}: {TABLE} must be a table, got {type(table).__name__}")
    for name in table:
        if name not in _KEYS:
            raise TargetError(f"{origin}: {TABLE} has no key {name!r}: use {' or '.join(_KEYS)}")
    names = table.get(key, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TargetError(f"{origin}: {key} in {TABLE} must be a list of strings, got {names!r}")
    for name in names:
        yield Setting(name, f"{origin}: {key}")
