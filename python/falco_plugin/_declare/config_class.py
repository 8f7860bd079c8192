"""Finds the class of a plugin's configuration by the annotation ``config: T``.

Every plugin needs this module, so it does not import msgspec, whose import takes half as long as the rest of a start.
"""

from __future__ import annotations

import sys
from typing import Any, TypeGuard

from falco_plugin._declare.annotations import evaluate, own_annotations, source_of
from falco_plugin.errors import PluginError


def config_class(cls: type) -> type | None:
    """Returns the class of a plugin's configuration; ``None`` if the configuration is a ``str``.

    The first annotation ``config: T`` in the method resolution order counts, and is evaluated alone. The configuration
    is a ``str`` if there is no annotation, or if T is ``str`` or ``Any``, as in :class:`falco_plugin.Plugin`.

    Raises:
        PluginError: T is not ``str``, a dataclass or a ``msgspec.Struct``, or cannot be evaluated.
    """
    where = f"{cls.__qualname__}.config"
    for base in cls.__mro__:
        value = vars(base).get("config")
        if "config" not in own_annotations(base) and (is_config_class(value) or is_config_class(type(value))):
            name = (value if isinstance(value, type) else type(value)).__name__
            raise PluginError(f"{where} is set, but not annotated: write config: {name}")
    try:
        annotation = annotation_of(cls, "config")
    except Exception as error:
        raise PluginError(
            f"{where}: the annotation cannot be evaluated ({error}): use a class that its module has at run time"
        ) from None
    if annotation is str or annotation is Any:
        return None
    if is_config_class(annotation):
        return annotation
    found = source_of(annotation)
    hint = " (put @dataclass on it)" if isinstance(annotation, type) and annotation.__module__ != "builtins" else ""
    raise PluginError(f"{where} must be annotated with str, a dataclass or a msgspec.Struct, not {found}{hint}")


def is_config_class(annotation: object) -> TypeGuard[type]:
    """Returns whether a configuration can have this class: a dataclass or a ``msgspec.Struct``."""
    return isinstance(annotation, type) and (
        hasattr(annotation, "__dataclass_fields__") or hasattr(annotation, "__struct_fields__")
    )


def annotation_of(cls: type, name: str) -> object:
    """Returns the annotation of one attribute; ``str`` if there is none."""
    for base in cls.__mro__:
        if name not in (annotations := own_annotations(base)):
            continue
        return evaluate(annotations[name], vars(sys.modules[base.__module__]), vars(base))
    return str
