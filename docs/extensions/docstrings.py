"""Adapts the package for mkdocstrings: roles become links, and private type names become public types."""

from __future__ import annotations

import copy
import dataclasses
import functools
import re
from collections.abc import Iterator
from typing import Any

from griffe import (
    Attribute,
    Class,
    Docstring,
    Expr,
    ExprBinOp,
    ExprName,
    Extension,
    Function,
    Module,
    Object,
    Parameter,
    ParameterKind,
    Parameters,
)

_ROLE = re.compile(r":(?:attr|class|exc|func|meth|mod):`([\w.]+)`")


class Docstrings(Extension):
    """Replaces roles by links, ``__new__`` by constructors, and names that are not exported by their types."""

    def on_package(self, *, pkg: Module, **_: Any) -> None:
        for module in [obj for obj in _objects(pkg) if isinstance(obj, Module)]:
            # Overloads in a stub have no member.
            for name, overloads in module.overloads.items():
                if overloads:
                    module.set_member(name, _joined(overloads))
        objects = list(_objects(pkg))
        exported = {str(name) for obj in objects if isinstance(obj, Module) for name in obj.exports or ()}
        aliases = {
            obj.name: obj.value
            for obj in objects
            if isinstance(obj, Attribute) and obj.name not in exported and str(obj.annotation) == "TypeAlias"
        }
        # A type variable of a stub is private, but shown under a name like any other.
        aliases |= {
            obj.name: ExprName(obj.name.lstrip("_"))
            for obj in objects
            if isinstance(obj, Attribute) and obj.name.startswith("_") and str(obj.value).startswith("TypeVar(")
        }
        for obj in objects:
            if obj.docstring is not None:
                _link(obj.docstring)
            if isinstance(obj, Function):
                # The members of a function include its imports.
                inner = (member for member in obj.members.values() if isinstance(member, Function))
                for function in (obj, *(obj.overloads or ()), *inner):
                    _expand(function, aliases)
            elif isinstance(obj, Class):
                for function in (overload for overloads in obj.overloads.values() for overload in overloads):
                    _expand(function, aliases)
            elif isinstance(obj, Attribute):
                obj.annotation = _expanded(obj.annotation, aliases)
        for obj in objects:
            if isinstance(obj, Class):
                _construct(obj)


def _objects(obj: Object) -> Iterator[Object]:
    yield obj
    for member in obj.members.values():
        if not member.is_alias:
            yield from _objects(member)


def _link(docstring: Docstring) -> None:
    """Replaces roles by references, resolved in the scope of the docstring."""

    def reference(role: re.Match[str]) -> str:
        name = role[1]
        if name.startswith("falco_plugin."):
            return f"[`{name.rpartition('.')[2]}`][{name}]"
        first, dot, rest = name.partition(".")
        return f"[`{name}`][{docstring.parent.resolve(first)}{dot}{rest}]"

    docstring.value = _ROLE.sub(reference, docstring.value)


def _expand(function: Function, aliases: dict[str, Any]) -> None:
    function.returns = _expanded(function.returns, aliases)
    for parameter in function.parameters:
        parameter.annotation = _expanded(parameter.annotation, aliases)


def _expanded(value: Any, aliases: dict[str, Any]) -> Any:
    """Returns the type, with its names that are not exported replaced by their values."""
    if isinstance(value, ExprName) and value.name in aliases:
        return _expanded(aliases[value.name], aliases)
    if isinstance(value, Expr):
        changes = {field.name: _expanded(getattr(value, field.name), aliases) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **changes)
    if isinstance(value, list):
        return [_expanded(element, aliases) for element in value]
    return value


def _construct(cls: Class) -> None:
    """Gives a named tuple a constructor with its fields, and a compiled class one from ``__new__``.

    A class whose ``__new__`` takes ``Never`` gets no constructor, because users do not create it.
    """
    if any(str(base) == "NamedTuple" for base in cls.bases):
        fields = [
            Parameter(name, annotation=field.annotation, default=field.value, kind=ParameterKind.positional_or_keyword)
            for name, field in cls.attributes.items()
        ]
        cls.set_member("__init__", Function("__init__", parameters=Parameters(Parameter("self"), *fields)))
        return
    overloads = cls.overloads.pop("__new__", [])
    new = cls.members.pop("__new__", None)
    if overloads:
        new = _joined(overloads)
    if not isinstance(new, Function) or any(str(each.annotation) == "Never" for each in new.parameters):
        return
    for function in (new, *overloads):
        function.name = "__init__"
        function.returns = None
    cls.set_member("__init__", new)


def _joined(overloads: list[Function]) -> Function:
    """Returns a function whose parameters have the types of all overloads."""
    joined = copy.copy(overloads[0])
    joined.overloads = overloads
    joined.parameters = Parameters(*map(copy.copy, joined.parameters))
    for parameter in joined.parameters:
        parameter.annotation = _union([overload.parameters[parameter.name] for overload in overloads])
    if joined.docstring is not None:
        # The page shows the types of the docstring's function.
        joined.docstring = copy.copy(joined.docstring)
        joined.docstring.parent = joined
    return joined


def _union(parameters: list[Parameter]) -> Any:
    types = {str(each): each for parameter in parameters for each in _alternatives(parameter.annotation)}
    return functools.reduce(lambda left, right: ExprBinOp(left, "|", right), types.values())


def _alternatives(annotation: Any) -> Iterator[Any]:
    if isinstance(annotation, ExprBinOp):
        yield from _alternatives(annotation.left)
        yield from _alternatives(annotation.right)
    else:
        yield annotation
