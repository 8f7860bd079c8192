"""Checks whether the SDK can call the methods of a plugin."""

from __future__ import annotations

from collections.abc import Iterator
from types import FunctionType, MethodType

_PARAMETERS: dict[str, tuple[str, ...]] = {
    "open": ("params",),
    "init": (),
    "destroy": (),
    "list_open_params": (),
    "event_to_string": ("event",),
    "set_config": ("config",),
}
"""The arguments that each method is called with. ``open`` may take the context, too."""
_CONTEXT = ("context", "ctx")
# The flags of code objects, copied from inspect, because inspect takes long to import.
_CO_VARARGS = 0x04
_CO_GENERATOR = 0x20
_CO_COROUTINE = 0x80
_CO_ASYNC_GENERATOR = 0x200


def problems(plugin: object) -> Iterator[tuple[str, str]]:
    """Yields the name of each method that the SDK cannot call, and what is wrong with it."""
    for name, parameters in _PARAMETERS.items():
        method = getattr(plugin, name, None)
        # The signatures of decorators and descriptors of user code are not known.
        if not isinstance(method, MethodType) or not isinstance(method.__func__, FunctionType):
            continue
        function = method.__func__
        problem = _problem_of_kind(name, function)
        if not problem and not hasattr(function, "__wrapped__"):
            problem = _problem_of_signature(name, parameters, function)
        if problem:
            yield name, problem


def _problem_of_kind(name: str, function: FunctionType) -> str:
    flags = function.__code__.co_flags
    if flags & _CO_COROUTINE:
        if name == "open":
            return " is async without a yield, so it makes no events: yield them in it, or define it without async"
        return " is async, but nothing awaits it: define it without async"
    if flags & (_CO_GENERATOR | _CO_ASYNC_GENERATOR) and name not in ("open", "list_open_params"):
        return " has a yield, so calling it does not run its code: remove the yield"
    return ""


def _problem_of_signature(name: str, parameters: tuple[str, ...], function: FunctionType) -> str:
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]
    signature = f"({', '.join(names)})"
    expected = f"def {name}({', '.join(('self', *parameters))})"
    if name == "open":
        expected += f" or def {name}({', '.join(('self', *parameters, _CONTEXT[0]))})"
    most = 1 + len(parameters) + (name == "open")
    required = code.co_argcount - len(function.__defaults__ or ())
    keywords = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    for keyword in keywords:
        if keyword not in (function.__kwdefaults__ or {}):
            return f" requires the keyword argument {keyword!r}, which Falco does not pass: define it as {expected}"
    takes_any_number = bool(code.co_flags & _CO_VARARGS)
    if required > most:
        return f"{signature} has too many parameters: define it as {expected}"
    if not (names or takes_any_number) or (names and names[0] in (*parameters, *_CONTEXT)):
        return f"{signature} lacks self: define it as {expected}"
    if name == "open" and names[1:2] and names[1] in _CONTEXT:
        return f"{signature} takes the context before the open params: define it as {expected}"
    if len(names) <= len(parameters) and not takes_any_number:
        missing = "self" if names[0] != "self" else parameters[-1]
        return f"{signature} lacks {missing}: define it as {expected}"
    return ""
