"""Reports failures of user code: a short message for the host, and the traceback for the log."""

from __future__ import annotations

import contextlib
import logging
import os
import traceback
from collections.abc import Callable, Iterable, Iterator
from types import FrameType, FunctionType, MethodType, TracebackType
from typing import Any

from falco_plugin._runtime import attached, code_files, loader
from falco_plugin.errors import EOF, ChannelClosedError, PluginError, RetryLater, Timeout

_MAX_LENGTH = 3000
"""Longest message of an exception, or line of a traceback, in characters. Longer ones are cut."""
_MAX_LINES = 200
"""Most lines of a traceback. Lines in the middle of a longer one are left out."""
_MAX_CHAIN = 20
"""Most exceptions of one chain, or of one group. Further ones are left out."""
_SHORTENED = ("open", "next_batch")
_MAX_SHORTENED = 249
"""Bytes that Falco shows of a message of ``open`` and ``next_batch``, without the prefix ``open: `` that some have."""
_MAX_MESSAGE = 1023
"""Bytes that Falco shows of any other message."""
_LOCATION = "_falco_plugin_location"
"""Attribute of an exception whose traceback has no line of user code: the location to report instead."""
_TRACED = "_falco_plugin_traced"
"""Attribute of an exception: whether its traceback was logged."""
_log = logging.getLogger("falco_plugin")


def report(doing: str, error: BaseException, *, traced: bool = True) -> str:
    """Logs an exception with its traceback, unless ``traced`` is false or the traceback was logged before.

    Args:
        doing: the call that failed, such as ``open``.
        error: the exception.
        traced: whether to log the traceback.

    Returns:
        The message for the host: the cause with its line in user code.
    """
    message, location = _explain(error, doing), location_of(error)
    if not location and doing in _SHORTENED and isinstance(error, TypeError | ValueError):
        # An error of an item has no line of user code if the iterable is not a generator. Name `open` instead.
        plugin = attached.current()
        location = plugin.open_location if plugin else ""
    has_trace = traced and (type(error) is not PluginError or bool(location))
    _log.error("%s failed: %s%s", doing, _with_location(message, location), format_trace(error) if has_trace else "")
    return _shorten(message, location, _MAX_SHORTENED if doing in _SHORTENED else _MAX_MESSAGE)


def report_retry_later(subject: str, error: BaseException, seconds: float) -> None:
    """Logs that a function is called again when the time of a ``RetryLater`` has passed."""
    _log.warning("%s is called again in %g s: %s", subject, seconds, describe(error))


def describe(error: BaseException, doing: str = "") -> str:
    """Returns the cause with its line in user code."""
    return _with_location(_explain(error, doing), location_of(error))


def _explain(error: BaseException, doing: str = "") -> str:
    """Returns the cause and its remedy."""
    kind = type(error).__name__
    if isinstance(error, EOF | Timeout) and doing:
        return f"{kind} cannot be raised from {doing}, only from next_batch"
    if isinstance(error, RetryLater) and doing:
        reason = f" ({text})" if (text := _message_of(error)) else ""
        return (
            f"RetryLater{reason} cannot be raised here, because nothing is called again: raise it in a generator with "
            "retry, in a pull function, or in next_batch"
        )
    if isinstance(error, SyntaxError):
        return _sanitize(f"{kind}: {error.msg}")
    text = _message_of(error)
    # The messages of the SDK's own errors contain the remedy.
    message = text if text and type(error) is PluginError else f"{kind}: {text}" if text else kind
    try:
        # Only failures need this module, so a start does not import it.
        from falco_plugin._runtime import remedies

        remedy = remedies.for_error(error)
    except Exception:
        # Finding a remedy accesses objects of user code, which may raise any exception.
        remedy = ""
    return f"{message}: {remedy}" if remedy else message


def is_end_of_source(error: BaseException | None) -> bool:
    """Returns whether the exception only reports to a producer that the source has ended. This is not a failure."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_end_of_source(each) for each in error.exceptions)
    return isinstance(error, ChannelClosedError) and error.source_ended


def _message_of(error: BaseException) -> str:
    try:
        return _sanitize(" ".join(str(error).split()))
    except BaseException as second:
        return f"no message, because its __str__ raised {type(second).__name__}"


def _with_location(message: str, location: str) -> str:
    return f"{message} ({location})" if location else message


def _shorten(message: str, location: str, limit: int) -> str:
    """Shortens a message so that the host shows its beginning and the location."""
    whole = _with_location(message, location)
    if len(whole.encode("utf-8", "replace")) <= limit:
        return whole
    end = f"… ({location})" if location else "…"
    space = max(0, limit - len(end.encode("utf-8", "replace")))
    return message.encode("utf-8", "replace")[:space].decode("utf-8", "ignore") + end


def _sanitize(text: str) -> str:
    """Returns a line with bounded length and without characters that control a terminal."""
    line = "".join(char if char.isprintable() else "\ufffd" for char in text[:_MAX_LENGTH])
    return line if len(text) <= _MAX_LENGTH else f"{line}…"


def format_trace(error: BaseException) -> str:
    """Returns the traceback of an exception and of those that led to it, as lines that follow the cause.

    Lines of the SDK are left out, unless ``FALCO_PLUGIN_DEBUG=1``. All lines are indented, because they may contain
    data of an event, which must not look like another record.

    Returns an empty string if the traceback of this exception was returned before. User code may log an exception and
    raise it again, and the exception of a thread may also end a source.
    """
    if getattr(error, _TRACED, None) is True:
        return ""
    with contextlib.suppress(Exception):
        setattr(error, _TRACED, True)
    lines = [_sanitize(line) for line in _trace_lines(error)]
    if len(lines) > _MAX_LINES:
        lines[_MAX_LINES // 2 : -_MAX_LINES // 2] = ["  …"]
    return "".join(f"\n{line}" for line in lines)


def _trace_lines(error: BaseException) -> Iterator[str]:
    seen: list[BaseException] = []
    link: BaseException | None = error
    while link is not None:
        seen.append(link)
        yield from _frame_lines(link.__traceback__)
        yield from _detail_lines(link)
        preceding, relation = _preceding(link)
        # Skip exceptions that the SDK has wrapped in another one with the same traceback.
        while preceding is not None and preceding.__traceback__ is link.__traceback__ is not None:
            seen.append(preceding)
            preceding, relation = _preceding(preceding)
        if preceding is None or any(preceding is one for one in seen) or len(seen) >= _MAX_CHAIN:
            return
        yield f"  {relation} {describe(preceding)}"
        link = preceding


def _preceding(error: BaseException) -> tuple[BaseException | None, str]:
    """Returns the exception that led to this one, and words for the relation of the two."""
    if error.__cause__ is not None:
        return error.__cause__, "caused by"
    return None if error.__suppress_context__ else error.__context__, "raised while handling"


def _frame_lines(trace: TracebackType | None) -> Iterator[str]:
    for names in {id(frame.f_globals): frame.f_globals for frame, _ in traceback.walk_tb(trace)}.values():
        loader.remember_lines(names)
    entries = list(traceback.extract_tb(trace))
    is_user_code = [loader.is_user_code(frame.f_globals) for frame, _ in traceback.walk_tb(trace)]
    if not _is_debug() and True in is_user_code:
        # Leave out the frames that call a thread's function, which are the same for all threads.
        entries = entries[is_user_code.index(True) :]
    shown = [entry for entry in entries if _is_shown(entry.filename)]
    if shown:
        yield "  Traceback (most recent call last):"
    for entry in traceback.StackSummary.from_list(shown).format():
        for line in entry.splitlines():
            yield f"  {line}"


def _is_debug() -> bool:
    return os.environ.get("FALCO_PLUGIN_DEBUG") == "1"


def _is_shown(file: str) -> bool:
    return _is_debug() or not (code_files.is_of_sdk(file) or code_files.is_frozen(file))


def _detail_lines(error: BaseException) -> Iterator[str]:
    """Yields lines with the details of an exception besides its message: code, notes, and exceptions of a group."""
    if isinstance(error, SyntaxError):
        for line in "".join(traceback.format_exception_only(error)).splitlines()[:-1]:
            yield f"  {line}"
    notes = getattr(error, "__notes__", None)
    for note in notes if isinstance(notes, list) else ():
        for line in str(note).splitlines():
            yield f"    {line}"
    if isinstance(error, BaseExceptionGroup):
        for number, inner in enumerate(error.exceptions[:_MAX_CHAIN], 1):
            yield f"  exception {number} of {len(error.exceptions)}: {describe(inner)}"
            for line in _frame_lines(inner.__traceback__):
                yield f"  {line}"


def note(text: str) -> None:
    """Logs a message of the SDK that is not a warning."""
    _log.info("%s", text)


def warn(text: str) -> None:
    """Logs a warning of the SDK."""
    _log.warning("%s", text)


def warn_of_wait(doing: str, seconds: float, frame: FrameType | None) -> None:
    """Logs that a call of user code has not returned, with the line that it is executing.

    Args:
        doing: the call, ``init`` or ``open``.
        seconds: the time since the beginning of the call.
        frame: the innermost frame of the thread that makes the call.
    """
    frames: list[tuple[FrameType, int]] = []
    while frame is not None:
        frames.append((frame, frame.f_lineno))
        frame = frame.f_back
    location = _innermost_location(reversed(frames))
    at_location = f", at {location}" if location else ""
    remedy = "connect in open" if doing == "init" else "wait for events in a generator or on a thread"
    warn(f"{doing} has not returned after {seconds:g} s{at_location}: Falco waits for its return, so {remedy} instead")


def location_of(error: BaseException) -> str:
    """Returns the innermost line of the plugin's modules, or else the innermost line outside of this package.

    Lines of the standard library do not count.
    """
    if isinstance(error, SyntaxError) and error.lineno is not None and error.filename:
        line = f": {' '.join(error.text.split())}" if error.text and error.text.strip() else ""
        return _sanitize(f"{os.path.basename(error.filename)}:{error.lineno}{line}")
    marked = getattr(error, _LOCATION, "")
    return _innermost_location(traceback.walk_tb(error.__traceback__), marked if isinstance(marked, str) else "")


def _innermost_location(frames: Iterable[tuple[FrameType, int]], marked: str = "") -> str:
    """Returns the innermost location in user code of frames, which are ordered from the outermost to the innermost.

    Without a frame of a plugin's module this is the `marked` location, or else the innermost frame that belongs neither
    to this package nor to the standard library.
    """
    own = outside = ""
    for frame, line in frames:
        code = frame.f_code
        location = f"{os.path.basename(code.co_filename)}:{line} in {code.co_name}"
        if loader.is_user_code(frame.f_globals):
            own = location
        elif not (code_files.is_of_sdk(code.co_filename) or code_files.is_standard(code.co_filename)):
            outside = location
    return own or marked or outside


def add_location(error: Exception, function: object) -> Exception:
    """Makes a function of user code the location of an error whose traceback has no line of user code."""
    if location := definition_of(function):
        setattr(error, _LOCATION, location)
    return error


def definition_of(function: object) -> str:
    """Returns the location at which a function is defined; empty if the function is not written in Python."""
    while isinstance(function, MethodType):
        function = function.__func__
    if not isinstance(function, FunctionType):
        return ""
    code = function.__code__
    return f"{os.path.basename(code.co_filename)}:{code.co_firstlineno} in {code.co_name}"


def add_parameters(function: Callable[..., Any], error: TypeError, parameters: str) -> Exception:
    """Returns an error that adds to `error` how to define a function that has other parameters."""
    name = getattr(function, "__name__", type(function).__name__)
    own = "self" if isinstance(function, MethodType) else ""
    listed = ", ".join(filter(None, (own, parameters)))
    explained = TypeError(f"{error}: define it as {name}({listed})")
    return add_location(explained, function)
