"""The JSON schema of a plugin's configuration, in the words of draft 7."""

from __future__ import annotations

import inspect
import re
from typing import Any

import msgspec
from msgspec import inspect as mi

from falco_plugin._declare.config.description import data_classes, describe


def schema(config: type) -> str:
    """The JSON schema of a configuration class, draft 7, as text (``sdk.InitSchema`` of the Go SDK).

    It has the descriptions (docstrings of classes, ``msgspec.Meta(description=…)``), defaults, required keys, ranges
    and patterns, and accepts whatever ``parse`` accepts. What draft 7 cannot say is left to ``parse``: that a
    text is a date, that a key is a number, what a ``__post_init__`` refuses.

    Raises:
        PluginError: a field, which is named, cannot be described, or a class cannot be instantiated.
    """
    inner_classes = data_classes(describe(config))
    (reference, *references), written = msgspec.json.schema_components(
        (config, *(inner.cls for inner in inner_classes)), ref_template="{name}"
    )
    root = reference["$ref"]
    for inner_class, inner_reference in zip(inner_classes, references, strict=True):
        _add_empty_defaults(written[inner_reference["$ref"]], inner_class)
    definitions = {name: _draft_7(inner, root) for name, inner in written.items()}
    out = {"$schema": "http://json-schema.org/draft-07/schema#", **definitions.pop(root)}
    if definitions:
        out["definitions"] = definitions
    return msgspec.json.encode(out).decode()


# msgspec 0.23 writes these defaults itself; 0.22 only does so for a Struct.
def _add_empty_defaults(node: dict[str, Any], described: mi.DataclassType) -> None:
    """Adds the defaults that ``default_factory`` makes, if it is a collection's own type."""
    for field in described.fields:
        if field.default_factory in (list, dict, set):
            default = msgspec.to_builtins(field.default_factory())
            node["properties"][field.encode_name].setdefault("default", default)


# Falco compiles a pattern as ECMAScript does, and refuses the plugin where it cannot.
_PYTHON_ONLY = re.compile(r"\(\?(?![:=!])|\\[AZ]|[*+?}]\+|\{,")


def _draft_7(node: dict[str, Any], root: str) -> dict[str, Any]:
    """One node that msgspec wrote for draft 2020-12, in the words of draft 7. The definition ``root`` is inlined."""
    out: dict[str, Any] = {}
    for word, value in node.items():
        match word:
            case "properties":
                out[word] = {name: _draft_7(inner, root) for name, inner in value.items()}
            case "anyOf":
                out[word] = [_draft_7(inner, root) for inner in value]
            case "prefixItems":
                out["items"] = [_draft_7(inner, root) for inner in value]
                out["additionalItems"] = False
            case "items" | "additionalProperties" | "propertyNames":
                if isinstance(value, dict):
                    out[word] = _draft_7(value, root)
            case "description":
                out[word] = inspect.cleandoc(value)
            case "format":
                # Left out: Falco's validator takes fewer dates than msgspec. A decimal number may be a number as well.
                if value == "decimal":
                    out["type"] = ["string", "number"]
            case "pattern" if _PYTHON_ONLY.search(value):
                pass
            case "discriminator" | "uniqueItems":
                pass  # The one is OpenAPI's; and a list that names something twice is a set all the same.
            case "$ref":
                reference = {"$ref": "#" if value == root else f"#/definitions/{value}"}
                if len(node) == 1:
                    return reference
                # Draft 7 ignores what stands beside a reference.
                out["allOf"] = [reference]
            case _:
                out[word] = value
    if "properties" in out:
        out["additionalProperties"] = False
    return out
