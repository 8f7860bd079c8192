"""The class of a plugin's configuration: found at the annotation ``config: T``, and checked."""

from __future__ import annotations

import dataclasses
import inspect
import sys
import typing
from collections.abc import Iterator
from typing import Any, TypeAlias, TypeGuard

import msgspec
from msgspec import inspect as mi

from falco_plugin import _annotations, _types
from falco_plugin._config.kinds import KINDS
from falco_plugin.errors import PluginError

WithFields: TypeAlias = mi.StructType | mi.DataclassType | mi.TypedDictType | mi.NamedTupleType


def declared(cls: type) -> type | None:
    """The class that a plugin's configuration is read into, from its annotation ``config: T``; None where it is text.

    The annotation nearest in the method resolution order counts, and is evaluated alone. No annotation, ``str`` and
    ``Any``, which is that of :class:`falco_plugin.Plugin`, mean text.

    Raises:
        PluginError: T is neither ``str`` nor a dataclass nor a ``msgspec.Struct``, or cannot be evaluated.
    """
    where = f"{cls.__qualname__}.config"
    for base in cls.__mro__:
        value = vars(base).get("config")
        if "config" not in _annotations.own(base) and (_is_config_class(value) or _is_config_class(type(value))):
            name = (value if isinstance(value, type) else type(value)).__name__
            raise PluginError(f"{where} is set, but not annotated: write config: {name}")
    try:
        annotation = _annotation(cls, "config")
    except Exception as error:
        raise PluginError(
            f"{where}: its annotation cannot be evaluated ({error}): name a class that its module has at run time"
        ) from None
    if annotation is str or annotation is Any:
        return None
    if _is_config_class(annotation):
        return annotation
    hint = " (put @dataclass on it)" if isinstance(annotation, type) and annotation.__module__ != "builtins" else ""
    raise PluginError(
        f"{where} must be annotated with str, a dataclass or a msgspec.Struct, not {_types.name(annotation)}{hint}"
    )


def _is_config_class(annotation: object) -> TypeGuard[type]:
    return isinstance(annotation, type) and (
        dataclasses.is_dataclass(annotation) or issubclass(annotation, msgspec.Struct)
    )


def _annotation(cls: type, name: str) -> object:
    """The annotation of one attribute; ``str`` where it has none."""
    for base in cls.__mro__:
        if name not in (annotations := _annotations.own(base)):
            continue
        return _annotations.evaluate(annotations[name], vars(sys.modules[base.__module__]), vars(base))
    return str


def describe(config: type) -> mi.Type:
    """What msgspec knows of a class, all of which must be readable from JSON."""
    try:
        described = mi.type_info(config)
    except Exception as error:
        where = ".".join([config.__qualname__, *_culprit(config, {config})])
        raise PluginError(f"{where}: {error}") from None
    for problem in _unfit(described, config.__qualname__, set()):
        raise PluginError(problem)
    return described


def _culprit(cls: type, seen: set[type]) -> tuple[str, ...]:
    """The path to the field that msgspec cannot describe; its own text names none."""
    names = cls.__struct_fields__ if issubclass(cls, msgspec.Struct) else [f.name for f in _dataclass_fields(cls)]
    for name in names:
        nested: set[type] = set()
        try:
            annotation = _annotation(cls, name)
            nested.update(_config_classes(annotation))
            mi.type_info(annotation)
        except Exception:
            for part in nested - seen:
                if inner := _culprit(part, seen | nested):
                    return (name, *inner)
            # A field that leads back to a class being searched fails for the sake of another one.
            if not nested & seen:
                return (name,)
    return ()


def _config_classes(annotation: object) -> Iterator[type]:
    if _is_config_class(annotation):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _config_classes(part)


def _unfit(described: mi.Type, path: str, seen: set[object]) -> Iterator[str]:
    """What msgspec describes, and a configuration still cannot be."""
    if isinstance(described, WithFields):
        if described.cls in seen:
            return
        seen.add(described.cls)
        yield from _not_made(described, typing.get_origin(described.cls) or described.cls, path)
    elif not isinstance(described, (*KINDS, mi.Metadata, mi.UnionType, mi.LiteralType, mi.EnumType)):
        cls = getattr(described, "cls", type(described))
        name = getattr(cls, "__name__", cls)
        yield f"{path}: {name} cannot be read from JSON: annotate it with str, and convert it where it is used"
    for value in (getattr(described, name) for name in described.__struct_fields__):
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, mi.Type):
                yield from _unfit(part, path, seen)
            elif isinstance(part, mi.Field):
                yield from _unfit(part.type, f"{path}.{part.name}", seen)


def _not_made(described: WithFields, cls: Any, path: str) -> Iterator[str]:
    """Why a class would not be instantiated as its author means."""
    if inspect.isabstract(cls):
        yield f"{path}: {cls.__qualname__} cannot be instantiated, it is abstract: name a class that is not"
    if getattr(described, "array_like", False):
        yield f"{path}: {cls.__qualname__} is array_like, which leaves no names to configure it by: leave that out"
    for field in _dataclass_fields(cls):
        if not field.init:
            yield f"{path}.{field.name}: with init=False it would still be read from the text: make it a property"
    for described_field in described.fields:
        try:
            msgspec.json.encode(None if described_field.default is msgspec.NODEFAULT else described_field.default)
        except Exception as error:
            yield f"{path}.{described_field.name}: its default cannot be written as JSON: {error}"


def _dataclass_fields(cls: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ()
