"""Finds the packages whose code opens files beside it, which therefore must be in the file system at run time."""

from __future__ import annotations

from falco_plugin._build.bundle.files import is_licence
from falco_plugin._build.bundle.reachable import Compiled


def prefixes(part: Compiled) -> list[str]:
    """Returns the beginnings of the paths of a part's data files that are needed in the file system, sorted.

    These are the packages at the top level that have data files, and a module that uses ``__file__`` or ``__path__``.
    """
    with_data = {
        path.partition("/")[0]
        for path in part.part.files
        if not is_licence(path) and not path.partition("/")[0].endswith(".dist-info")
    }
    users = {name.partition(".")[0] for name, module in part.modules.items() if module.uses_path}
    return sorted(f"{name}/" for name in with_data & users)
