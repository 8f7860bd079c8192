"""The fields that a plugin declares, checked, and what the library says of them."""

from __future__ import annotations

import inspect
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from types import FunctionType, NoneType
from typing import Any, get_args

from falco_plugin import _annotations, _core, _types
from falco_plugin.errors import PluginError
from falco_plugin.fields import DECLARATION, Declaration, JsonField, Located

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+")
_ARGUMENTS: dict[str, type] = {"index": int, "key": str}
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_PROPERTIES = ("hidden", "info", "conversation")


@dataclass(frozen=True)
class Field:
    """One field of a plugin."""

    declaration: Declaration
    type: _types.ValueType
    index: str
    """``no``, ``optional`` or ``required``."""
    key: str
    """The same."""
    reader: _core.JsonReader | Callable[..., Any]
    """What reads it: of a method, ``(event[, index][, key])``."""
    where: str = ""
    """Where its method stands in the author's code."""

    @property
    def name(self) -> str:
        """As rules write it."""
        return self.declaration.name

    def described(self) -> dict[str, Any]:
        """As ``plugin_get_fields`` says it."""
        declaration = self.declaration
        told: dict[str, Any] = {
            "name": self.name,
            "type": self.type.kind,
            "isList": self.type.is_list,
            "desc": declaration.desc,
        }
        if declaration.display is not None:
            told["display"] = declaration.display
        if declaration.add_output:
            told["addOutput"] = True
        if properties := [name for name in _PROPERTIES if getattr(declaration, name)]:
            told["properties"] = properties
        takes = {"isIndex": self.index != "no", "isKey": self.key != "no"}
        if any(takes.values()):
            told["arg"] = {"isRequired": "required" in (self.index, self.key), **takes}
        return told


def of(plugin: object) -> list[Field]:
    """The fields of a plugin, base classes first, in the order in which they are declared.

    Raises:
        PluginError: a field cannot be, which is named.
    """
    fields: dict[str, Field] = {}
    for attribute, value, declaration in _declared(type(plugin)):
        try:
            _check_declaration(declaration)
            if declaration.name in fields:
                raise PluginError("it is declared twice")
            fields[declaration.name] = (
                _json_field(value) if isinstance(value, JsonField) else _method(plugin, attribute, value, declaration)
            )
        except (PluginError, TypeError) as problem:
            raise PluginError(f"field {declaration.name}: {problem}") from None
    return list(fields.values())


def _declared(cls: type) -> Iterator[tuple[str, object, Declaration]]:
    """Attributes that are fields. What overrides a field's method stays this field; None in its place takes it away."""
    attributes: dict[str, object] = {}
    declarations: dict[str, Declaration] = {}
    for base in reversed(cls.__mro__):
        attributes.update(vars(base))
        for attribute, value in vars(base).items():
            if (declaration := declaration_of(value)) is not None:
                declarations[attribute] = declaration
    for attribute, declaration in declarations.items():
        if (value := attributes[attribute]) is not None:
            yield attribute, value, declaration


def as_json(fields: list[Field]) -> str:
    """What ``plugin_get_fields`` returns."""
    return json.dumps([field.described() for field in fields], ensure_ascii=False, separators=(",", ":"))


def declaration_of(value: object) -> Declaration | None:
    """That of a field; also where something was put around its method, or under it, so that this can be refused."""
    match value:
        case JsonField():
            return value.declaration
        case FunctionType():
            functions: tuple[object, ...] = (value,)
        case staticmethod() | classmethod():
            functions = (value, value.__func__)
        case property():
            functions = (value, value.fget)
        case cached_property():
            functions = (value, value.func)
        case _:
            return None
    declared = (getattr(function, DECLARATION, None) for function in functions)
    return next((declaration for declaration in declared if isinstance(declaration, Declaration)), None)


def _check_declaration(declaration: Declaration) -> None:
    if not isinstance(declaration.name, str) or not _NAME.fullmatch(declaration.name):
        raise PluginError(
            "Falco does not accept this name: it is parts of letters, digits and '_' that begin with a letter, joined "
            "by dots, such as shop.order.id"
        )
    if not isinstance(declaration.desc, str) or not declaration.desc.strip():
        raise PluginError("desc must say what it means")
    if not isinstance(declaration.display, str | None):
        raise PluginError(f"display must be str, not {type(declaration.display).__name__}")
    for flag in ("add_output", *_PROPERTIES):
        if not isinstance(getattr(declaration, flag), bool):
            raise PluginError(f"{flag} must be bool, not {type(getattr(declaration, flag)).__name__}")
    for text in (declaration.desc, declaration.display or ""):
        if "\0" in text:
            raise PluginError("desc and display must not contain NUL")
        if any("\ud800" <= char <= "\udfff" for char in text):
            raise PluginError("desc and display must be valid Unicode, without halves of surrogate pairs")


def _json_field(value: JsonField[Any]) -> Field:
    return Field(value.declaration, value.type, value.reader.index, value.reader.key, value.reader)


def _method(plugin: object, attribute: str, function: object, declaration: Declaration) -> Field:
    if not isinstance(function, FunctionType):
        raise PluginError(f"@field is for methods, not for {type(function).__name__}")
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise PluginError(f"{attribute} must be a plain method that returns the value, not async and no generator")
    signature = _annotations.signature(function)
    parameters = list(signature.parameters.values())[1:]
    if not parameters or parameters[0].kind not in _BY_POSITION:
        raise PluginError(f"{attribute} must take the event: def {attribute}(self, event) -> …")
    owner = next(cls for cls in type(plugin).__mro__ if vars(cls).get(attribute) is function)
    arguments = dict(_arguments(function, owner, parameters[1:]))
    if signature.return_annotation is inspect.Signature.empty:
        raise PluginError(f"{attribute} must say what it returns, such as def {attribute}(self, event) -> str")
    code = function.__code__
    returned = _types.of_value(_resolved(function, owner, signature.return_annotation), Located)
    return Field(
        declaration,
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
                raise PluginError(
                    f"{parameter.name} must be {kind.__name__} or {kind.__name__} | None, not {_types.name(annotation)}"
                )
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
            f"the annotation {_types.name(annotation)} cannot be read ({type(problem).__name__}: {problem}): import "
            "what it names at run time, not only for type checkers"
        ) from None


def _called(method: Callable[..., Any], parameters: list[inspect.Parameter]) -> Callable[..., Any]:
    """The method as the core calls it: all by position, index before key."""
    names = [parameter.name for parameter in parameters]
    if names == sorted(names) and not any(parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters):
        return method

    def by_name(event: _core.Event, *arguments: Any) -> Any:
        return method(event, **dict(zip(sorted(names), arguments, strict=True)))

    return by_name
