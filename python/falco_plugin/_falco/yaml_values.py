"""Reads YAML files that users write for tests: expected alerts, and tests of rules.

They contain values of events and alerts, so numbers, booleans and nothing must keep their types.
``_rules/yaml_nodes.py`` reads rule files as Falco does, which has strings only, so it cannot read these files.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from falco_plugin._falco.errors import FalcoError

_Loader: Any = type("_Loader", (yaml.SafeLoader,), {"yaml_implicit_resolvers": {}})
"""Reads plain words as JSON does: times, ``no`` and ``12:30`` are strings, as they are in events."""
for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", ["n", "~", ""]),
    ("int", r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?", "-+0123456789"),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), list(_first))


def read(path: Path) -> Any:
    """Returns the content of a YAML or JSON file.

    Raises:
        FalcoError: the file cannot be read, or is not YAML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise FalcoError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise FalcoError(f"{path} is not UTF-8: save it as UTF-8") from None
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - the check does not see that this is a subclass of SafeLoader
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise FalcoError(f"{path}{line}: not YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise FalcoError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
