"""How an exception of the author's code is told: a short text for the host, the traceback for the log."""

from __future__ import annotations

import logging
import os
import sys
import traceback

from falco_plugin import _loader
from falco_plugin.errors import EOF, ChannelClosedError, PluginError, Timeout

_LONGEST = 3000
"""Characters of an exception's text, or of a line of a traceback, that are shown."""
_MOST_LINES = 200
"""Lines of a traceback that are shown."""
_OWN_FOLDER = os.path.dirname(__file__)
_STANDARD_FOLDER = os.path.dirname(traceback.__file__)
_log = logging.getLogger("falco_plugin")


def report(doing: str, error: BaseException) -> str:
    """Logs the traceback, and returns the cause with its place in the author's code."""
    text = describe(error, doing)
    _log.error(
        "%s failed: %s%s", doing, text, "" if type(error) is PluginError and not place_of(error) else trace(error)
    )
    return text


def trace(error: BaseException) -> str:
    """The lines of a traceback that there is, indented: what stands in them may come from an event."""
    if error.__traceback__ is None:
        return ""
    lines = "".join(traceback.format_exception(error)).splitlines()
    if len(lines) > _MOST_LINES:
        lines[_MOST_LINES // 2 : -_MOST_LINES // 2] = ["…"]
    return "".join(f"\n  {_shown(line)}" for line in lines)


def _shown(text: str) -> str:
    """A line of text without characters that would steer a terminal, and of bounded length."""
    shown = "".join(char if char.isprintable() else "\ufffd" for char in text[:_LONGEST])
    return shown if len(text) <= _LONGEST else f"{shown}…"


def describe(error: BaseException, doing: str = "") -> str:
    """Cause first: the host cuts long texts at their end."""
    kind = type(error).__name__
    if isinstance(error, EOF | Timeout) and doing:
        text = f"{kind} cannot be raised from {doing}, only from next_batch"
    else:
        message = _message(error)
        # One of the SDK's own says all in its text.
        text = message if message and type(error) is PluginError else f"{kind}: {message}" if message else kind
    if isinstance(error, SyntaxError):
        return text
    if isinstance(error, ModuleNotFoundError) and error.name:
        text += f": install it into {sys.prefix}, or pack it by building the folder that it is in"
    place = place_of(error)
    return f"{text} ({place})" if place else text


def is_end_of_source(error: BaseException | None) -> bool:
    """Whether a producer has only heard that its source has ended, which is not a failure."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_end_of_source(each) for each in error.exceptions)
    return isinstance(error, ChannelClosedError) and error.source_ended


def _message(error: BaseException) -> str:
    try:
        return _shown(" ".join(str(error).split()))
    except BaseException as second:
        return f"no text, its __str__ raises {type(second).__name__}"


def warn(text: str) -> None:
    """A warning of the SDK itself."""
    _log.warning("%s", text)


def place_of(error: BaseException) -> str:
    """The innermost line of the plugin's own modules, else the innermost outside of this package."""
    own = outside = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        code = frame.f_code
        place = f"{os.path.basename(code.co_filename)}:{line} in {code.co_name}"
        if isinstance(frame.f_globals.get("__loader__"), _loader.ArchiveLoader):
            own = place
        elif not code.co_filename.startswith((_OWN_FOLDER, _STANDARD_FOLDER, "<frozen")):
            outside = place
    return own or outside
