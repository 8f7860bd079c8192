"""Reads single annotations of a class or function.

Each is evaluated alone, because the others may use names that only type checkers know.
"""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Mapping
from typing import Any, Union, get_args, get_origin

if sys.version_info >= (3, 14):
    from annotationlib import Format, get_annotations

    def own_annotations(cls: type) -> Mapping[str, Any]:
        """Returns the annotations of a class without those of its bases.

        An annotation that cannot be evaluated is a ``ForwardRef``.
        """
        return get_annotations(cls, format=Format.FORWARDREF)
else:

    def own_annotations(cls: type) -> Mapping[str, Any]:
        """Returns the annotations of a class without those of its bases. An annotation may be a string."""
        found: Mapping[str, Any] = vars(cls).get("__annotations__", {})
        return found


def evaluate(annotation: Any, names: Mapping[str, Any], class_names: Mapping[str, Any]) -> Any:
    """Returns what an annotation means. If it is a string, it is evaluated with the names of its module and class.

    Raises:
        Exception: any exception of the evaluation.
    """
    while isinstance(annotation, str | typing.ForwardRef):
        text = annotation if isinstance(annotation, str) else annotation.__forward_arg__
        annotation = eval(text, dict(names), dict(class_names))  # noqa: S307 - the text is code of the plugin
    return annotation


def source_of(annotation: Any) -> str:
    """Returns an annotation as Python source."""
    if annotation is types.NoneType:
        return "None"
    if annotation is Ellipsis:
        return "..."
    if isinstance(annotation, str):
        return repr(annotation)
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    if get_origin(annotation) in (Union, types.UnionType):
        return " | ".join(source_of(part) for part in get_args(annotation))
    if isinstance(origin := get_origin(annotation), type):
        return f"{origin.__name__}[{', '.join(source_of(part) for part in get_args(annotation))}]"
    return str(annotation)
