"""Reads a field's type and arguments from the signature of its method."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterator
from types import FunctionType, NoneType
from typing import Any, NamedTuple, get_args

from falco_plugin import _core
from falco_plugin._declare.annotations import evaluate, source_of
from falco_plugin._declare.types import ValueType, value_type
from falco_plugin.errors import PluginError
from falco_plugin.fields import Located

_ARGUMENTS: dict[str, type] = {"index": int, "key": str}
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)

if sys.version_info >= (3, 14):
    from annotationlib import Format

    def _signature_of(function: Callable[..., Any]) -> inspect.Signature:
        """Returns a signature in which an annotation that cannot be evaluated is a ``ForwardRef``."""
        return inspect.signature(function, annotation_format=Format.FORWARDREF)
else:

    def _signature_of(function: Callable[..., Any]) -> inspect.Signature:
        """Returns a signature whose annotations may be strings."""
        return inspect.signature(function)


class FieldSignature(NamedTuple):
    """The type and arguments of a field, read from the signature of its method. The members are those of `Field`."""

    type: ValueType
    takes_index: str
    takes_key: str
    call: Callable[..., Any]
    """Calls the method as ``call(event[, index][, key])``."""
    location: str


def read_signature(plugin: object, attribute: str, function: object) -> FieldSignature:
    """Reads the signature of a field's method.

    Raises:
        PluginError, TypeError: the method cannot be that of a field.
    """
    if not isinstance(function, FunctionType):
        raise PluginError(f"@field is for methods, not for {type(function).__name__}")
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise PluginError(f"{attribute} must return the value: define it without async and without yield")
    signature = _signature_of(function)
    parameters = list(signature.parameters.values())[1:]
    if not parameters or parameters[0].kind not in _BY_POSITION:
        raise PluginError(f"{attribute} must take the event: def {attribute}(self, event) -> …")
    owner = next(cls for cls in type(plugin).__mro__ if vars(cls).get(attribute) is function)
    arguments = dict(_arguments(function, owner, parameters[1:]))
    if signature.return_annotation is inspect.Signature.empty:
        raise PluginError(f"{attribute} has no return annotation: add one, as in def {attribute}(self, event) -> str")
    code = function.__code__
    return FieldSignature(
        value_type(_evaluated(function, owner, signature.return_annotation), Located),
        arguments.get("index", "no"),
        arguments.get("key", "no"),
        _by_position(getattr(plugin, attribute), parameters[1:]),
        f"{os.path.basename(code.co_filename)}:{code.co_firstlineno} in {code.co_name}",
    )


def _arguments(function: FunctionType, owner: type, parameters: list[inspect.Parameter]) -> Iterator[tuple[str, str]]:
    """Yields ``index`` and ``key`` if the method has them, and whether each is required."""
    for parameter in parameters:
        kind = _ARGUMENTS.get(parameter.name)
        if kind is None or parameter.kind not in _BY_NAME:
            raise PluginError(
                f"the parameter {parameter.name!r} is neither index nor key: the argument in brackets is passed as "
                "index: int, or as key: str"
            )
        if parameter.default not in (parameter.empty, None):
            raise PluginError(f"the default of {parameter.name} must be None, which means that rules have no argument")
        if parameter.annotation is not parameter.empty:
            annotation = _evaluated(function, owner, parameter.annotation)
            parts = get_args(annotation) or (annotation,)
            if kind not in parts:
                found = source_of(annotation)
                raise PluginError(f"{parameter.name} must be {kind.__name__} or {kind.__name__} | None, not {found}")
            if len(parameters) > 1 and NoneType not in parts:
                raise PluginError(
                    f"{parameter.name} must be {kind.__name__} | None: it is None if only the other one is passed"
                )
        yield parameter.name, "required" if parameter.default is parameter.empty else "optional"


def _evaluated(function: FunctionType, owner: type, annotation: Any) -> Any:
    """Returns what an annotation means, which may be a string."""
    # A decorator's function has the annotations of the function that it wraps, but other global names.
    names = inspect.unwrap(function).__globals__
    try:
        return evaluate(annotation, names, vars(owner))
    except Exception as error:
        raise PluginError(
            f"the annotation {source_of(annotation)} cannot be evaluated ({type(error).__name__}: {error}): "
            "import the names in it at run time, not only for type checkers"
        ) from None


def _by_position(method: Callable[..., Any], parameters: list[inspect.Parameter]) -> Callable[..., Any]:
    """Returns a function that takes all arguments by position, index before key, because the core calls it so."""
    names = [parameter.name for parameter in parameters]
    if names == sorted(names) and not any(parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters):
        return method

    def by_name(event: _core.Event, *arguments: Any) -> Any:
        return method(event, **dict(zip(sorted(names), arguments, strict=True)))

    return by_name
