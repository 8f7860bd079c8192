"""The class of a plugin's configuration, found at the annotation ``config: T``."""

from __future__ import annotations

import sys
from typing import Any, TypeGuard

from falco_plugin._declare import annotations as _annotations
from falco_plugin.errors import PluginError


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
        if "config" not in _annotations.own(base) and (is_config_class(value) or is_config_class(type(value))):
            name = (value if isinstance(value, type) else type(value)).__name__
            raise PluginError(f"{where} is set, but not annotated: write config: {name}")
    try:
        annotation = annotation_of(cls, "config")
    except Exception as error:
        raise PluginError(
            f"{where}: its annotation cannot be evaluated ({error}): name a class that its module has at run time"
        ) from None
    if annotation is str or annotation is Any:
        return None
    if is_config_class(annotation):
        return annotation
    found = _annotations.name(annotation)
    hint = " (put @dataclass on it)" if isinstance(annotation, type) and annotation.__module__ != "builtins" else ""
    raise PluginError(f"{where} must be annotated with str, a dataclass or a msgspec.Struct, not {found}{hint}")


def is_config_class(annotation: object) -> TypeGuard[type]:
    """Whether it is a dataclass or a ``msgspec.Struct``, by what each has: not every plugin has to import msgspec."""
    return isinstance(annotation, type) and (
        hasattr(annotation, "__dataclass_fields__") or hasattr(annotation, "__struct_fields__")
    )


def annotation_of(cls: type, name: str) -> object:
    """The annotation of one attribute; ``str`` where it has none."""
    for base in cls.__mro__:
        if name not in (annotations := _annotations.own(base)):
            continue
        return _annotations.evaluate(annotations[name], vars(sys.modules[base.__module__]), vars(base))
    return str
