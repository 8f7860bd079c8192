"""Reports the extension module that switched the GIL of a free-threaded Python on."""

from __future__ import annotations

import contextlib
import re
import sys
import warnings
from collections.abc import Callable, Generator
from typing import Any, TextIO

from falco_plugin._runtime import failures

_SWITCHED_ON = re.compile(r"The global interpreter lock \(GIL\) has been enabled to load module '([^']*)'")
"""The beginning of Python's warning. It comes once, because nothing switches the GIL off again."""
CONSEQUENCE = (
    "does not declare that it runs without the GIL, so Python has switched the GIL on and runs one thread at a time: "
    "use a version that supports free-threaded Python"
)
"""The end of a message that begins with the module."""
_is_due = False
"""Whether the interpreter ran without the GIL when it was last checked."""


def is_enabled() -> bool:
    """Returns whether this Python has a GIL at the moment."""
    enabled: Callable[[], bool] = getattr(sys, "_is_gil_enabled", lambda: True)
    return enabled()


def report_switch() -> None:
    """Logs the module that switches the GIL on, instead of Python's warning. Called once in an interpreter."""
    global _is_due  # noqa: PLW0603 - there is one GIL for each interpreter
    if not is_enabled():
        _is_due = True
        warnings.showwarning = _catching(warnings.showwarning, _log)


def report_silent_switch() -> None:
    """Logs that the GIL was switched on, if that was not logged because the plugin's code ignores warnings."""
    if _is_due and is_enabled():
        _log("")


def _log(module: str) -> None:
    global _is_due  # noqa: PLW0603
    _is_due = False
    failures.warn(f"the extension module {module} {CONSEQUENCE}" if module else f"an extension module {CONSEQUENCE}")


@contextlib.contextmanager
def watched() -> Generator[list[str]]:
    """Yields a list that gets the name of the module that switches the GIL on, instead of Python's warning."""
    found: list[str] = []
    show = warnings.showwarning
    warnings.showwarning = _catching(show, found.append)
    try:
        yield found
    finally:
        warnings.showwarning = show


def _catching(show: Callable[..., None], found: Callable[[str], None]) -> Callable[..., None]:
    """Returns a function for ``warnings.showwarning`` that calls `found` for the warning about the GIL."""

    def show_warning(
        message: Any, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None, line: Any = None
    ) -> None:
        if match := _SWITCHED_ON.match(str(message)):
            found(match[1])
        else:
            show(message, category, filename, lineno, file, line)

    return show_warning
