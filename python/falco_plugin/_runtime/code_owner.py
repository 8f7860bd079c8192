"""Finds the plugin that running code belongs to, by the frames of its stack or traceback."""

from __future__ import annotations

import sys
import traceback
from types import FrameType

from falco_plugin._runtime.loader import ArchiveLoader, Modules


def of_stack() -> Modules | None:
    """Returns the modules of the plugin whose code is the innermost on this thread's stack."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if (modules := _of_globals(frame.f_globals)) is not None:
            return modules
        frame = frame.f_back
    return None


def innermost_line() -> str:
    """Returns the innermost line of user code on this thread's stack, such as "plugin.py:12 in read"."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if _of_globals(frame.f_globals) is not None:
            code = frame.f_code
            return f"{code.co_filename.rpartition('/')[2]}:{frame.f_lineno} in {code.co_name}"
        frame = frame.f_back
    return ""


def of_error(error: BaseException) -> Modules | None:
    """Returns the modules of the plugin whose code raised an exception, or passed it on last."""
    found = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        found = _of_globals(frame.f_globals) or found
    return found


def of_class(cls: type) -> Modules | None:
    """Returns the modules of the plugin that defines a class."""
    module = sys.modules.get(cls.__module__)
    return None if module is None else _of_globals(vars(module))


def _of_globals(names: dict[str, object]) -> Modules | None:
    loader = names.get("__loader__")
    return loader.modules if isinstance(loader, ArchiveLoader) else None
