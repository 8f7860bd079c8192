"""Reads what Falco reads from YAML: the plugins of its configuration, and the configuration of a plugin.

Values have the types that Falco gives them, which differ from those of YAML: quotes make no difference, ``yes`` is
true, and a number that is not a 32-bit integer is a floating-point number.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from falco_plugin._falco.errors import FalcoError

PLUGINS_FOLDER = PurePosixPath("/usr/share/falco/plugins")
"""The folder that relative paths of libraries begin in."""

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_INTEGER = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|(0[0-7]*)|([1-9][0-9]*))\s*\Z")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?\s*\Z")
_NOT_FINITE = frozenset(
    sign + word for word in (".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN") for sign in ("", "+", "-")
)
_BOOLS = {
    form: value
    for words, value in ((("y", "yes", "true", "on"), True), (("n", "no", "false", "off"), False))
    for word in words
    for form in (word, word.upper(), word.capitalize())
}
_VARIABLE = re.compile(r"(\$?)\$\{([^}]*)\}")


@dataclass(frozen=True)
class ConfiguredPlugin:
    """A plugin that a configuration of Falco loads."""

    name: str
    library: str
    """The path of the library, as Falco resolves it."""
    config: str
    """The ``init_config``, as the plugin gets it."""
    params: str
    """The ``open_params``."""


def config_of_file(path: Path) -> str:
    """Returns the ``init_config`` that a file has: YAML as Falco passes it, and any other file as it is.

    Raises:
        FalcoError: the file cannot be read, or is not a configuration.
    """
    if path.suffix not in (".yaml", ".yml"):
        return _read(path)
    node = _compose(path)
    return "" if node is None else _config_text(node, str(path))


def plugins_of(path: Path) -> list[ConfiguredPlugin]:
    """Returns the plugins that a configuration of Falco loads, in Falco's order.

    Raises:
        FalcoError: the file cannot be read, is not a configuration, or loads no plugin.
    """
    root = _compose(path)
    if not isinstance(root, yaml.MappingNode):
        raise FalcoError(f"{path}: expected a mapping with the key plugins, as in falco.yaml")
    members = _members(root)
    listed = members.get("plugins")
    plugins = {plugin.name: plugin for plugin in _plugins(path, listed)}
    chosen = members.get("load_plugins")
    names = list(plugins)
    if chosen is not None:
        if not isinstance(chosen, yaml.SequenceNode):
            raise _error(path, chosen, "load_plugins must be a list of names")
        names = [_text(path, node, "a name of load_plugins") for node in chosen.value]
        for name in names:
            if name not in plugins:
                known = ", ".join(plugins) or "none"
                raise _error(path, chosen, f"load_plugins names {name}, which plugins does not have (plugins: {known})")
    if not names:
        hint = "load_plugins is empty" if plugins else "the key plugins is missing or empty"
        raise FalcoError(f"{path} loads no plugin: {hint}")
    return [plugins[name] for name in names]


def _plugins(path: Path, listed: Any) -> Iterator[ConfiguredPlugin]:
    if listed is None or _is_null(listed):
        return
    if not isinstance(listed, yaml.SequenceNode):
        raise _error(path, listed, "plugins must be a list")
    for node in listed.value:
        if not isinstance(node, yaml.MappingNode):
            raise _error(path, node, "a plugin must be a mapping with name and library_path")
        members = _members(node)
        for key in ("name", "library_path"):
            if key not in members:
                raise _error(path, node, f"a plugin has no {key}")
        library = PurePosixPath(_text(path, members["library_path"], "library_path"))
        config, params = members.get("init_config"), members.get("open_params")
        yield ConfiguredPlugin(
            name=_text(path, members["name"], "name"),
            library=str(PLUGINS_FOLDER / library),
            config="" if config is None else _config_text(config, f"{path}:{config.start_mark.line + 1}"),
            params="" if params is None or _is_null(params) else _text(path, params, "open_params").strip(),
        )


def _config_text(node: Any, where: str) -> str:
    """Returns an ``init_config`` as Falco passes it: a mapping as JSON, and a scalar as its text."""
    if isinstance(node, yaml.MappingNode):
        value = _value(node)
        return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    if isinstance(node, yaml.ScalarNode):
        return "" if _is_null(node) else _expanded(node.value)
    raise FalcoError(f"{where}: a configuration must be a mapping or a string, not a list")


def _value(node: Any) -> Any:
    if isinstance(node, yaml.MappingNode):
        # Falco makes null of an empty mapping or list.
        return {key: _value(member) for key, member in _members(node).items()} or None
    if isinstance(node, yaml.SequenceNode):
        return [_value(element) for element in node.value] or None
    return None if _is_null(node) else _scalar(_expanded(node.value))


def _scalar(text: str) -> Any:
    if found := _INTEGER.match(text):
        sign, hexadecimal, octal, decimal = found.groups()
        digits, base = next((part, base) for part, base in ((hexadecimal, 16), (octal, 8), (decimal, 10)) if part)
        number = int(digits, base) * (-1 if sign == "-" else 1)
        if -(2**31) <= number < 2**31:
            return number
    if _FLOAT.match(text):
        floating = float(text)
        return floating if math.isfinite(floating) else None
    if text in _NOT_FINITE:
        return None
    return _BOOLS.get(text, text)


def _members(node: Any) -> dict[str, Any]:
    return {str(key.value): value for key, value in node.value}


def _is_null(node: Any) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.style is None and node.value in _NULLS


def _text(path: Path, node: Any, what: str) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise _error(path, node, f"{what} must be a string")
    return _expanded(node.value)


def _expanded(text: str) -> str:
    """Replaces ``${NAME}`` by the value of the environment variable, and ``$${`` by ``${``, as Falco does."""
    return _VARIABLE.sub(lambda found: found[0][1:] if found[1] else os.environ.get(found[2], ""), text)


def _error(path: Path, node: Any, message: str) -> FalcoError:
    return FalcoError(f"{path}:{node.start_mark.line + 1}: {message}")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise FalcoError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise FalcoError(f"{path} is not UTF-8: save it as UTF-8") from None


def _compose(path: Path) -> Any:
    """Returns the root node of a YAML file; ``None`` if it is empty."""
    text = _read(path)
    try:
        return yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise FalcoError(f"{path}{line}: not YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise FalcoError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
