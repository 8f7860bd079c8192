"""How the reference reads the package: what a stub and its docstrings say, in the words of mkdocstrings."""

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
    """Links for roles, constructors for ``__new__``, and types for names that are not exported."""

    def on_package(self, *, pkg: Module, **_: Any) -> None:
        objects = list(_objects(pkg))
        exported = {str(name) for obj in objects if isinstance(obj, Module) for name in obj.exports or ()}
        aliases = {
            obj.name: obj.value
            for obj in objects
            if isinstance(obj, Attribute) and obj.name not in exported and str(obj.annotation) == "TypeAlias"
        }
        for obj in objects:
            if obj.docstring is not None:
                _link(obj.docstring)
            if isinstance(obj, Function):
                # Members of a function are also what it imports.
                inner = (member for member in obj.members.values() if isinstance(member, Function))
                for function in (obj, *(obj.overloads or ()), *inner):
                    _expand(function, aliases)
            elif isinstance(obj, Class):
                # Of what a stub overloads there is no member.
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
    """Roles become references, resolved where the docstring stands."""

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
    """A type with the names in it that are not exported replaced by what they stand for."""
    if isinstance(value, ExprName) and value.name in aliases:
        return _expanded(aliases[value.name], aliases)
    if isinstance(value, Expr):
        changes = {field.name: _expanded(getattr(value, field.name), aliases) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **changes)
    if isinstance(value, list):
        return [_expanded(element, aliases) for element in value]
    return value


def _construct(cls: Class) -> None:
    """A named tuple is made of its fields, a compiled class by ``__new__``; where that takes ``Never``, its user makes
    none.
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
    """A function whose parameters have the types of all overloads."""
    joined = copy.copy(overloads[0])
    joined.overloads = overloads
    joined.parameters = Parameters(*map(copy.copy, joined.parameters))
    for parameter in joined.parameters:
        parameter.annotation = _union([overload.parameters[parameter.name] for overload in overloads])
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
