"""Finds remedies for exceptions of Python that common mistakes in plugins cause."""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Sequence

from falco_plugin._runtime.bundle import finder
from falco_plugin._runtime.loader import PACKAGE

_NOT_IMPORTED = re.compile(r"cannot import name '(\w+)' from 'falco_plugin'")


def for_error(error: BaseException) -> str:
    """Returns what to do about an exception; empty if its own message suffices."""
    if isinstance(error, ModuleNotFoundError):
        return _for_missing_module(error.name) if error.name else ""
    if isinstance(error, ImportError):
        return _for_import(error)
    if isinstance(error, AttributeError):
        return _for_attribute(error)
    if isinstance(error, NotADirectoryError):
        return _for_file(error.filename)
    if isinstance(error, FileNotFoundError) and error.filename in {"", b""}:
        return "the path is empty: set open_params in falco.yaml, or give --params to falco-plugin run"
    if type(error).__name__ == "ZoneInfoNotFoundError":
        return _for_time_zone()
    return ""


def _for_missing_module(name: str) -> str:
    if not finder.installed:
        return f"install it into {sys.prefix}, or pack it by building the folder that it is in"
    if name.startswith(PACKAGE):
        return "add it to the plugin's folder, and build that folder"
    return f"it is not packed into this library: build it with --include {name}"


def _for_file(path: object) -> str:
    """Returns the remedy for a path below the library file, such as one made from ``__file__``."""
    if not isinstance(path, str) or ".so/" not in path:
        return ""
    return "it is in the library, not in the file system: read it with pkgutil.get_data or importlib.resources"


def _for_time_zone() -> str:
    import importlib.util
    import zoneinfo

    if any(map(os.path.isdir, zoneinfo.TZPATH)) or importlib.util.find_spec("tzdata"):
        return ""
    return "this machine has no time zone database: add tzdata to the plugin's dependencies"


def _for_import(error: ImportError) -> str:
    found = _NOT_IMPORTED.match(error.msg or "")
    if found is None:
        return ""
    import falco_plugin
    from falco_plugin import source

    name = found[1]
    if name in source.__all__:
        return f"write from falco_plugin.source import {name}"
    return _similar(name, falco_plugin.__all__)


def _for_attribute(error: AttributeError) -> str:
    """Returns the remedy for a missing attribute of ``self.config``."""
    from falco_plugin.plugin import Plugin

    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    plugin = frames[-1].f_locals.get("self") if frames else None
    if not isinstance(plugin, Plugin) or getattr(plugin, "config", None) is not error.obj:
        return ""
    if isinstance(error.obj, str):
        line = traceback.extract_tb(error.__traceback__)[-1].line or ""
        if f"config.{error.name}" not in line:
            return ""
        return "self.config is the init_config as str: annotate it with a dataclass, as in config: Config"
    fields = getattr(error.obj, "__dataclass_fields__", None) or getattr(error.obj, "__struct_fields__", None) or ()
    return _similar(error.name or "", list(fields))


def _similar(name: str, names: Sequence[str]) -> str:
    import difflib

    matches = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {matches[0]}?" if matches else f"choose one of {', '.join(names)}" if names else ""
