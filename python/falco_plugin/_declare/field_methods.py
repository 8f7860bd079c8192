"""What the signature of a field's method says of the field."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterator
from types import FunctionType, NoneType
from typing import Any, get_args

from falco_plugin import _core
from falco_plugin._declare import annotations as _annotations
from falco_plugin._declare import types as _types
from falco_plugin.errors import PluginError
from falco_plugin.fields import Located

_ARGUMENTS: dict[str, type] = {"index": int, "key": str}
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)

if sys.version_info >= (3, 14):
    from annotationlib import Format

    def _signature_of(function: Callable[..., Any]) -> inspect.Signature:
        """What cannot be evaluated in it is a ``ForwardRef``."""
        return inspect.signature(function, annotation_format=Format.FORWARDREF)
else:

    def _signature_of(function: Callable[..., Any]) -> inspect.Signature:
        """Its annotations may be strings."""
        return inspect.signature(function)


def signature(
    plugin: object, attribute: str, function: object
) -> tuple[_types.ValueType, str, str, Callable[..., Any], str]:
    """The type of a field, how it takes index and key, what reads it, and where that stands, as ``Field`` has them.

    Raises:
        PluginError, TypeError: the method cannot be a field's.
    """
    if not isinstance(function, FunctionType):
        raise PluginError(f"@field is for methods, not for {type(function).__name__}")
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise PluginError(f"{attribute} must be a plain method that returns the value, not async and no generator")
    found = _signature_of(function)
    parameters = list(found.parameters.values())[1:]
    if not parameters or parameters[0].kind not in _BY_POSITION:
        raise PluginError(f"{attribute} must take the event: def {attribute}(self, event) -> …")
    owner = next(cls for cls in type(plugin).__mro__ if vars(cls).get(attribute) is function)
    arguments = dict(_arguments(function, owner, parameters[1:]))
    if found.return_annotation is inspect.Signature.empty:
        raise PluginError(f"{attribute} must say what it returns, such as def {attribute}(self, event) -> str")
    code = function.__code__
    returned = _types.of_value(_resolved(function, owner, found.return_annotation), Located)
    return (
        returned,
        arguments.get("index", "no"),
        arguments.get("key", "no"),
        _called(getattr(plugin, attribute), parameters[1:]),
        f"{os.path.basename(code.co_filename)}:{code.co_firstlineno} in {code.co_name}",
    )


def _arguments(function: FunctionType, owner: type, parameters: list[inspect.Parameter]) -> Iterator[tuple[str, str]]:
    for parameter in parameters:
        kind = _ARGUMENTS.get(parameter.name)
        if kind is None or parameter.kind not in _BY_NAME:
            raise PluginError(
                f"its parameter {parameter.name!r} is neither index nor key: the argument in brackets comes as "
                "index: int, or as key: str"
            )
        if parameter.default not in (parameter.empty, None):
            raise PluginError(f"the default of {parameter.name} must be None, for an argument that may be left out")
        if parameter.annotation is not parameter.empty:
            annotation = _resolved(function, owner, parameter.annotation)
            parts = get_args(annotation) or (annotation,)
            if kind not in parts:
                found = _annotations.name(annotation)
                raise PluginError(f"{parameter.name} must be {kind.__name__} or {kind.__name__} | None, not {found}")
            if len(parameters) > 1 and NoneType not in parts:
                raise PluginError(
                    f"{parameter.name} must be {kind.__name__} | None: beside the other one it may be missing"
                )
        yield parameter.name, "required" if parameter.default is parameter.empty else "optional"


def _resolved(function: FunctionType, owner: type, annotation: Any) -> Any:
    """One annotation, which may be a string."""
    # A decorator's function has the annotations of what it wraps, and names of its own.
    names = inspect.unwrap(function).__globals__
    try:
        return _annotations.evaluate(annotation, names, vars(owner))
    except Exception as problem:
        raise PluginError(
            f"the annotation {_annotations.name(annotation)} cannot be read ({type(problem).__name__}: {problem}): "
            "import what it names at run time, not only for type checkers"
        ) from None


def _called(method: Callable[..., Any], parameters: list[inspect.Parameter]) -> Callable[..., Any]:
    """The method as the core calls it: all by position, index before key."""
    names = [parameter.name for parameter in parameters]
    if names == sorted(names) and not any(parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters):
        return method

    def by_name(event: _core.Event, *arguments: Any) -> Any:
        return method(event, **dict(zip(sorted(names), arguments, strict=True)))

    return by_name
