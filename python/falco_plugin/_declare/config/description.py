"""Checks the class of a configuration, as msgspec describes it."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec
from msgspec import inspect as mi

from falco_plugin._declare.config.kinds import KINDS
from falco_plugin._declare.config_class import annotation_of, is_config_class
from falco_plugin.errors import PluginError
from falco_plugin.secret import Secret

WithFields: TypeAlias = mi.StructType | mi.DataclassType | mi.TypedDictType | mi.NamedTupleType


def describe(config: type) -> mi.Type:
    """Returns msgspec's description of a configuration class.

    Raises:
        PluginError: a field cannot be read from JSON. The message names the field.
    """
    try:
        described = mi.type_info(config)
    except Exception as error:
        where = ".".join([config.__qualname__, *_path_to_fault(config, {config})])
        raise PluginError(f"{where}: {error}") from None
    for problem in _problems(described, config.__qualname__, set()):
        raise PluginError(problem)
    return described


def data_classes(described: mi.Type) -> list[mi.DataclassType]:
    """Returns the dataclasses that a configuration class refers to, itself included."""
    return [part for part in _parts(described, set()) if isinstance(part, mi.DataclassType)]


def _parts(described: mi.Type, seen: set[object]) -> Iterator[mi.Type]:
    """Yields a type and all types within it. `seen` has the classes whose fields were yielded already."""
    yield described
    if isinstance(described, WithFields):
        if described.cls in seen:
            return
        seen.add(described.cls)
    for value in (getattr(described, name) for name in described.__struct_fields__):
        for part in value if isinstance(value, tuple) else (value,):
            inner = part.type if isinstance(part, mi.Field) else part
            if isinstance(inner, mi.Type):
                yield from _parts(inner, seen)


def _path_to_fault(cls: type, seen: set[type]) -> tuple[str, ...]:
    """Returns the path to the field that msgspec cannot describe, which msgspec's message does not name."""
    names = cls.__struct_fields__ if issubclass(cls, msgspec.Struct) else [f.name for f in _dataclass_fields(cls)]
    for name in names:
        nested: set[type] = set()
        try:
            annotation = annotation_of(cls, name)
            nested.update(_config_classes(annotation))
            mi.type_info(annotation)
        except Exception:
            for part in nested - seen:
                if inner := _path_to_fault(part, seen | nested):
                    return (name, *inner)
            # If a field refers to a class that is being searched, the cause is another field of that class.
            if not nested & seen:
                return (name,)
    return ()


def _config_classes(annotation: object) -> Iterator[type]:
    """Yields the dataclasses and structs in an annotation, such as ``Inner`` in ``list[Inner]``."""
    if is_config_class(annotation):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _config_classes(part)


def _problems(described: mi.Type, path: str, seen: set[object]) -> Iterator[str]:
    """Yields why a class that msgspec can describe cannot be that of a configuration."""
    if isinstance(described, WithFields):
        if described.cls in seen:
            return
        seen.add(described.cls)
        yield from _problems_of_class(described, typing.get_origin(described.cls) or described.cls, path)
    elif not _can_be_read(described):
        cls = getattr(described, "cls", type(described))
        name = getattr(cls, "__name__", cls)
        yield f"{path}: {name} cannot be read from JSON: annotate it with str, and convert the value in your code"
    for value in (getattr(described, name) for name in described.__struct_fields__):
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, mi.Type):
                yield from _problems(part, path, seen)
            elif isinstance(part, mi.Field):
                yield from _problems(part.type, f"{path}.{part.name}", seen)


def _can_be_read(described: mi.Type) -> bool:
    if isinstance(described, mi.CustomType):
        return described.cls is Secret
    return isinstance(described, (*KINDS, mi.Metadata, mi.UnionType, mi.LiteralType, mi.EnumType))


def _problems_of_class(described: WithFields, cls: Any, path: str) -> Iterator[str]:
    """Yields why a class cannot be instantiated as its definition suggests."""
    if inspect.isabstract(cls):
        yield f"{path}: {cls.__qualname__} is abstract and cannot be instantiated: use a concrete class"
    if getattr(described, "array_like", False):
        yield f"{path}: {cls.__qualname__} is array_like, so its fields have no names in init_config: remove array_like"
    for field in _dataclass_fields(cls):
        if not field.init:
            yield f"{path}.{field.name}: init_config would set it despite init=False: make it a property"
    for described_field in described.fields:
        if isinstance(described_field.default, Secret):
            yield f"{path}.{described_field.name}: a secret must not have a default, which all could read: remove it"
            continue
        try:
            msgspec.json.encode(None if described_field.default is msgspec.NODEFAULT else described_field.default)
        except Exception as error:
            yield f"{path}.{described_field.name}: the default cannot be written as JSON: {error}"


def _dataclass_fields(cls: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ()
