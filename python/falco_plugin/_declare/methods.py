"""Checks whether the SDK can call the methods of a plugin."""

from __future__ import annotations

from collections.abc import Iterator
from types import FunctionType, MethodType
from typing import Any

_PARAMETERS: dict[str, tuple[str, ...]] = {
    "open": ("params",),
    "init": (),
    "destroy": (),
    "list_open_params": (),
    "event_to_string": ("event",),
    "set_config": ("config",),
    "dump_state": (),
    "capture_open": ("capture",),
    "capture_close": ("capture",),
}
"""The arguments that each method is called with. ``open`` may take the context, too."""
OF_PLUGINS = frozenset(_PARAMETERS)
"""The methods that the SDK calls by name."""
_CONTEXT = ("context", "ctx")
_PRODUCER_ARGUMENTS = 2
"""The most arguments of a method that makes events on its own thread: the context and the sender."""
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
    if flags & _CO_ASYNC_GENERATOR and name == "dump_state":
        return " is an async generator, but Falco waits for its events: define it without async"
    if flags & (_CO_GENERATOR | _CO_ASYNC_GENERATOR) and name not in ("open", "list_open_params", "dump_state"):
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


def problem_of_producer(method: object) -> str:
    """Returns what is wrong with a method that makes events on its own thread; empty if it can be called.

    It is called without arguments, with a context, or with a context and a sender.
    """
    if not isinstance(method, MethodType) or not isinstance(method.__func__, FunctionType):
        return ""
    function = method.__func__
    code = function.__code__
    if code.co_flags & _CO_COROUTINE:
        return " is async without a yield, so it makes no events: yield them in it, or define it without async"
    if hasattr(function, "__wrapped__"):
        return ""
    names = code.co_varnames[: code.co_argcount]
    required = code.co_argcount - len(function.__defaults__ or ())
    keywords = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    has_keywords = any(keyword not in (function.__kwdefaults__ or {}) for keyword in keywords)
    if required > 3 or has_keywords or not (names or code.co_flags & _CO_VARARGS):
        name = function.__name__
        return (
            f"({', '.join(names)}) cannot be called: define it as def {name}(self), def {name}(self, context) or "
            f"def {name}(self, context, sender)"
        )
    return ""


def takes_context(function: Any, *, parameters: int) -> bool:
    """Returns whether a method has another parameter after the given number of them, besides ``self``."""
    if isinstance(function, MethodType) and isinstance(function.__func__, FunctionType) and not vars(function.__func__):
        # Most plugins have such a plain method, for which the import of inspect is not needed. The count includes self.
        code = function.__func__.__code__
        return code.co_argcount > 1 + parameters or bool(code.co_flags & _CO_VARARGS)
    import inspect

    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return False
    kinds = [parameter.kind for parameter in signature.parameters.values()]
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(kind in positional for kind in kinds) > parameters or inspect.Parameter.VAR_POSITIONAL in kinds


def takes_sender(function: Any) -> bool:
    """Returns whether a method that makes events requires a sender after the context."""
    if isinstance(function, MethodType) and isinstance(function.__func__, FunctionType) and not vars(function.__func__):
        return function.__func__.__code__.co_argcount - len(function.__func__.__defaults__ or ()) > _PRODUCER_ARGUMENTS
    import inspect

    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    required = [each for each in signature.parameters.values() if each.default is inspect.Parameter.empty]
    return sum(each.kind in positional for each in required) == _PRODUCER_ARGUMENTS
