"""Single annotations, of which others in the same place may name what only type checkers know."""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Mapping
from typing import Any, Union, get_args, get_origin

if sys.version_info >= (3, 14):
    from annotationlib import Format, get_annotations

    def own(cls: type) -> Mapping[str, Any]:
        """The annotations of a class itself; what cannot be evaluated is a ``ForwardRef``."""
        return get_annotations(cls, format=Format.FORWARDREF)
else:

    def own(cls: type) -> Mapping[str, Any]:
        """The annotations of a class itself; they may be strings."""
        found: Mapping[str, Any] = vars(cls).get("__annotations__", {})
        return found


def evaluate(annotation: Any, names: Mapping[str, Any], own_names: Mapping[str, Any]) -> Any:
    """What an annotation stands for, which may be a string, in the names of its module and of its class.

    Raises:
        Exception: whatever its evaluation raises.
    """
    while isinstance(annotation, str | typing.ForwardRef):
        text = annotation if isinstance(annotation, str) else annotation.__forward_arg__
        annotation = eval(text, dict(names), dict(own_names))  # noqa: S307 - the author's own
    return annotation


def name(annotation: Any) -> str:
    """An annotation as somebody would write it."""
    if annotation is types.NoneType:
        return "None"
    if annotation is Ellipsis:
        return "..."
    if isinstance(annotation, str):
        return repr(annotation)
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    if get_origin(annotation) in (Union, types.UnionType):
        return " | ".join(name(part) for part in get_args(annotation))
    if isinstance(origin := get_origin(annotation), type):
        return f"{origin.__name__}[{', '.join(name(part) for part in get_args(annotation))}]"
    return str(annotation)
