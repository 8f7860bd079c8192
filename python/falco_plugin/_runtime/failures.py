"""How a failure of user code is reported: a short message for the host, and the traceback for the log."""

from __future__ import annotations

import contextlib
import logging
import os
import traceback
from collections.abc import Callable, Iterator
from types import FrameType, FunctionType, MethodType, TracebackType
from typing import Any

from falco_plugin._runtime import loader as _loader
from falco_plugin._runtime import remedies as _remedies
from falco_plugin.errors import EOF, ChannelClosedError, PluginError, Timeout

_LONGEST = 3000
"""Characters of an exception's text, or of a line of a traceback, that are shown."""
_MOST_LINES = 200
"""Lines of a traceback that are shown."""
_MOST_LINKS = 20
"""Exceptions of one chain, or of one group, that are shown."""
_SHORT = 249
"""Bytes of a message of ``open`` and ``next_batch`` that Falco shows, without the prefix ``open: `` that some have."""
_SHORTENED = ("open", "next_batch")
_LONG = 1023
"""Bytes of any other message that Falco shows."""
_OWN_FOLDER = os.path.dirname(os.path.dirname(__file__))
_STANDARD_FOLDER = os.path.dirname(traceback.__file__)
_PLACE = "_falco_plugin_place"
"""Attribute of an exception that names the line to look at, if its traceback has no line of user code."""
_TRACED = "_falco_plugin_traced"
"""Attribute of an exception whose traceback is in the log."""
_log = logging.getLogger("falco_plugin")


def report(doing: str, error: BaseException, *, traced: bool = True) -> str:
    """Logs an exception with its traceback, unless ``traced`` is false or the traceback was logged before.

    Returns the message for the host: the cause with its line in user code.
    """
    message, place = _message(error, doing), place_of(error)
    if not place and doing in _SHORTENED and isinstance(error, TypeError | ValueError):
        # For example, an item of an iterable that is not a generator has no line of user code.
        place = _place_of_open()
    bare = not traced or (type(error) is PluginError and not place)
    _log.error("%s failed: %s%s", doing, _with_place(message, place), "" if bare else trace(error))
    return _shortened(message, place, _SHORT if doing in _SHORTENED else _LONG)


def describe(error: BaseException, doing: str = "") -> str:
    """Returns the cause with its line in user code."""
    return _with_place(_message(error, doing), place_of(error))


def _message(error: BaseException, doing: str = "") -> str:
    """The cause and what to do about it."""
    kind = type(error).__name__
    if isinstance(error, EOF | Timeout) and doing:
        return f"{kind} cannot be raised from {doing}, only from next_batch"
    if isinstance(error, SyntaxError):
        return _shown(f"{kind}: {error.msg}")
    text = _text(error)
    # The messages of the SDK's own errors need no remedy.
    message = text if text and type(error) is PluginError else f"{kind}: {text}" if text else kind
    try:
        remedy = _remedies.for_error(error)
    except Exception:
        # A remedy looks into objects of user code, which may raise anything.
        remedy = ""
    return f"{message}: {remedy}" if remedy else message


def is_end_of_source(error: BaseException | None) -> bool:
    """Returns whether the error only reports that the source has ended, which is not a failure of the producer."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_end_of_source(each) for each in error.exceptions)
    return isinstance(error, ChannelClosedError) and error.source_ended


def _text(error: BaseException) -> str:
    try:
        return _shown(" ".join(str(error).split()))
    except BaseException as second:
        return f"no text, its __str__ raises {type(second).__name__}"


def _with_place(message: str, place: str) -> str:
    return f"{message} ({place})" if place else message


def _shortened(message: str, place: str, limit: int) -> str:
    """Shortens a message so that the host shows its beginning and its place."""
    whole = _with_place(message, place)
    if len(whole.encode("utf-8", "replace")) <= limit:
        return whole
    end = f"… ({place})" if place else "…"
    left = max(0, limit - len(end.encode("utf-8", "replace")))
    return message.encode("utf-8", "replace")[:left].decode("utf-8", "ignore") + end


def _shown(text: str) -> str:
    """Returns one line of text with bounded length, without characters that would control a terminal."""
    shown = "".join(char if char.isprintable() else "\ufffd" for char in text[:_LONGEST])
    return shown if len(text) <= _LONGEST else f"{shown}…"


def trace(error: BaseException) -> str:
    """Returns the traceback as lines to put behind the cause, with the exceptions that led to this one.

    Lines of the SDK are left out, unless ``FALCO_PLUGIN_DEBUG=1``. All lines are indented, because their text may come
    from an event. Returns no traceback if it was returned before for the same exception: user code may log an exception
    and raise it again, and the exception of a thread may also end a source.
    """
    if getattr(error, _TRACED, None) is True:
        return ""
    with contextlib.suppress(Exception):
        setattr(error, _TRACED, True)
    lines = [_shown(line) for line in _lines(error)]
    if len(lines) > _MOST_LINES:
        lines[_MOST_LINES // 2 : -_MOST_LINES // 2] = ["  …"]
    return "".join(f"\n{line}" for line in lines)


def _lines(error: BaseException) -> Iterator[str]:
    seen: list[BaseException] = []
    link: BaseException | None = error
    while link is not None:
        seen.append(link)
        yield from _frames(link.__traceback__)
        yield from _details(link)
        following, how = _following(link)
        # The SDK may have put another exception around one of user code, with the same traceback.
        while following is not None and following.__traceback__ is link.__traceback__ is not None:
            seen.append(following)
            following, how = _following(following)
        if following is None or any(following is one for one in seen) or len(seen) >= _MOST_LINKS:
            return
        yield f"  {how} {describe(following)}"
        link = following


def _following(error: BaseException) -> tuple[BaseException | None, str]:
    """Returns the exception that led to this one, and how it did."""
    if error.__cause__ is not None:
        return error.__cause__, "caused by"
    return None if error.__suppress_context__ else error.__context__, "raised while handling"


def _frames(found: TracebackType | None) -> Iterator[str]:
    for names in {id(frame.f_globals): frame.f_globals for frame, _ in traceback.walk_tb(found)}.values():
        _loader.remember_lines(names)
    entries = list(traceback.extract_tb(found))
    own = [_loader.is_own(frame.f_globals) for frame, _ in traceback.walk_tb(found)]
    if not _is_debug() and True in own:
        # The frames that call a thread's function are the same for all threads.
        entries = entries[own.index(True) :]
    shown = [entry for entry in entries if _is_shown(entry.filename)]
    if shown:
        yield "  Traceback (most recent call last):"
    for entry in traceback.StackSummary.from_list(shown).format():
        for line in entry.splitlines():
            yield f"  {line}"


def _is_debug() -> bool:
    return os.environ.get("FALCO_PLUGIN_DEBUG") == "1"


def _is_shown(file: str) -> bool:
    return _is_debug() or not file.startswith((f"{_OWN_FOLDER}/", "<frozen "))


def _details(error: BaseException) -> Iterator[str]:
    """Yields the details of an exception besides its message."""
    if isinstance(error, SyntaxError):
        for line in "".join(traceback.format_exception_only(error)).splitlines()[:-1]:
            yield f"  {line}"
    notes = getattr(error, "__notes__", None)
    for note in notes if isinstance(notes, list) else ():
        for line in str(note).splitlines():
            yield f"    {line}"
    if isinstance(error, BaseExceptionGroup):
        for number, inner in enumerate(error.exceptions[:_MOST_LINKS], 1):
            yield f"  exception {number} of {len(error.exceptions)}: {describe(inner)}"
            for line in _frames(inner.__traceback__):
                yield f"  {line}"


def note(text: str) -> None:
    """Logs a message of the SDK that is not a warning."""
    _log.info("%s", text)


def warn(text: str) -> None:
    """Logs a warning of the SDK."""
    _log.warning("%s", text)


def warn_of_wait(doing: str, seconds: float, frame: FrameType | None) -> None:
    """Logs that a call of user code has not returned, with the line at which it waits."""
    own = outside = ""
    while frame is not None and not own:
        code = frame.f_code
        place = f"{os.path.basename(code.co_filename)}:{frame.f_lineno} in {code.co_name}"
        if _loader.is_own(frame.f_globals):
            own = place
        elif not outside and not code.co_filename.startswith((_OWN_FOLDER, _STANDARD_FOLDER, "<frozen")):
            outside = place
        frame = frame.f_back
    place = own or outside
    at_place = f", at {place}" if place else ""
    remedy = "connect in open" if doing == "init" else "wait for events in a generator or on a thread"
    warn(f"still in {doing} after {seconds:g} s{at_place}: Falco waits until {doing} returns, so {remedy} instead")


def place_of(error: BaseException) -> str:
    """The innermost line of the plugin's own modules, else the innermost outside of this package."""
    if isinstance(error, SyntaxError) and error.lineno is not None and error.filename:
        line = f": {' '.join(error.text.split())}" if error.text and error.text.strip() else ""
        return _shown(f"{os.path.basename(error.filename)}:{error.lineno}{line}")
    own = outside = ""
    for frame, number in traceback.walk_tb(error.__traceback__):
        code = frame.f_code
        place = f"{os.path.basename(code.co_filename)}:{number} in {code.co_name}"
        if _loader.is_own(frame.f_globals):
            own = place
        elif not code.co_filename.startswith((_OWN_FOLDER, _STANDARD_FOLDER, "<frozen")):
            outside = place
    if own:
        return own
    named = getattr(error, _PLACE, "")
    return named if isinstance(named, str) and named else outside


def _place_of_open() -> str:
    # It needs this module for what it logs.
    from falco_plugin._runtime import log

    return log.place_of_open()


def at(error: Exception, function: object) -> Exception:
    """Names a function of user code as the place of an error that has no line of user code in its traceback."""
    if place := definition_of(function):
        setattr(error, _PLACE, place)
    return error


def definition_of(function: object) -> str:
    """Returns where a function is defined; empty if the function is not written in Python."""
    while isinstance(function, MethodType):
        function = function.__func__
    if not isinstance(function, FunctionType):
        return ""
    code = function.__code__
    return f"{os.path.basename(code.co_filename)}:{code.co_firstlineno} in {code.co_name}"


def with_parameters(function: Callable[..., Any], error: TypeError, parameters: str) -> Exception:
    """Returns an error for a function that does not take the parameters that it is called with."""
    name = getattr(function, "__name__", type(function).__name__)
    own = "self" if isinstance(function, MethodType) else ""
    listed = ", ".join(filter(None, (own, parameters)))
    explained = TypeError(f"{error}: define it as {name}({listed})")
    return at(explained, function)
