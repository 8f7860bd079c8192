"""Reads single annotations of a class or function.

Each is evaluated alone, because the others may use names that only type checkers know.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping
from typing import Any, ForwardRef, Union, get_args, get_origin

if sys.version_info >= (3, 14):
    from annotationlib import Format, get_annotations

    def own_annotations(cls: type) -> Mapping[str, Any]:
        """Returns the annotations of a class without those of its bases.

        An annotation that cannot be evaluated is a ``ForwardRef``.
        """
        return get_annotations(cls, format=Format.FORWARDREF)

    def _evaluate_reference(reference: ForwardRef, names: dict[str, Any], class_names: dict[str, Any]) -> Any:
        # The reference also knows the local names of the function that contains the class.
        return reference.evaluate(globals=names, locals=class_names)

    def _source_of_reference(reference: ForwardRef) -> str:
        source: str = reference.evaluate(format=Format.STRING)
        return source
else:

    def own_annotations(cls: type) -> Mapping[str, Any]:
        """Returns the annotations of a class without those of its bases. An annotation may be a string."""
        found: Mapping[str, Any] = vars(cls).get("__annotations__", {})
        return found

    def _evaluate_reference(reference: ForwardRef, names: dict[str, Any], class_names: dict[str, Any]) -> Any:
        return eval(reference.__forward_arg__, names, class_names)  # noqa: S307 - the text is code of the plugin

    def _source_of_reference(reference: ForwardRef) -> str:
        return reference.__forward_arg__


def evaluate(annotation: Any, names: Mapping[str, Any], class_names: Mapping[str, Any]) -> Any:
    """Returns what an annotation means. If it is a string, it is evaluated with the names of its module and class.

    Raises:
        Exception: any exception of the evaluation, also that of a reference within the annotation.
    """
    while isinstance(annotation, str | ForwardRef):
        if isinstance(annotation, str):
            annotation = eval(annotation, dict(names), dict(class_names))  # noqa: S307 - the text is code of the plugin
        else:
            annotation = _evaluate_reference(annotation, dict(names), dict(class_names))
    for part in get_args(annotation):
        if isinstance(part, ForwardRef) or get_args(part):
            evaluate(part, names, class_names)
    return annotation


def source_of(annotation: Any) -> str:
    """Returns an annotation as Python source."""
    if annotation is types.NoneType:
        return "None"
    if annotation is Ellipsis:
        return "..."
    if isinstance(annotation, str):
        return repr(annotation)
    if isinstance(annotation, ForwardRef):
        return repr(_source_of_reference(annotation))
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    if get_origin(annotation) in (Union, types.UnionType):
        return " | ".join(source_of(part) for part in get_args(annotation))
    if isinstance(origin := get_origin(annotation), type):
        return f"{origin.__name__}[{', '.join(source_of(part) for part in get_args(annotation))}]"
    return str(annotation)
