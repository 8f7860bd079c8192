"""Single annotations, of which others in the same place may name what only type checkers know."""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Callable, Mapping
from typing import Any

if sys.version_info >= (3, 14):
    from annotationlib import Format, get_annotations

    def own(cls: type) -> dict[str, Any]:
        """The annotations of a class itself; what cannot be evaluated is a ``ForwardRef``."""
        return get_annotations(cls, format=Format.FORWARDREF)

    def signature(function: Callable[..., Any]) -> inspect.Signature:
        """The signature of a function; what cannot be evaluated in it is a ``ForwardRef``."""
        return inspect.signature(function, annotation_format=Format.FORWARDREF)
else:

    def own(cls: type) -> dict[str, Any]:
        """The annotations of a class itself; they may be strings."""
        return inspect.get_annotations(cls)

    def signature(function: Callable[..., Any]) -> inspect.Signature:
        """The signature of a function; its annotations may be strings."""
        return inspect.signature(function)


def evaluate(annotation: Any, names: Mapping[str, Any], own_names: Mapping[str, Any]) -> Any:
    """What an annotation stands for, which may be a string, in the names of its module and of its class.

    Raises:
        Exception: whatever its evaluation raises.
    """
    while isinstance(annotation, str | typing.ForwardRef):
        text = annotation if isinstance(annotation, str) else annotation.__forward_arg__
        annotation = eval(text, dict(names), dict(own_names))  # noqa: S307 - the author's own
    return annotation
