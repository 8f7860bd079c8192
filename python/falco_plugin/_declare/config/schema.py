"""The JSON schema of a plugin's configuration, as draft 7, because Falco's validator reads that draft."""

from __future__ import annotations

import inspect
import re
from typing import Any

import msgspec
from msgspec import inspect as mi

from falco_plugin._declare.config.description import data_classes, describe


def schema(config: type) -> str:
    """Returns the JSON schema of a configuration class (``sdk.InitSchema`` of the Go SDK).

    It has the descriptions (docstrings of classes, ``msgspec.Meta(description=…)``), defaults, required keys, ranges
    and patterns. It accepts all that ``parse`` accepts. It also accepts what draft 7 cannot express and only ``parse``
    checks: that a string is a date, that a key is a number or has a length, and the conditions of a
    ``__post_init__``. Both are stricter than msgspec in one point: an unknown key is an error, because most often it
    is misspelt.

    Raises:
        PluginError: a field cannot be described, or a class cannot be instantiated. The message names it.
    """
    inner_classes = data_classes(describe(config))
    (reference, *references), written = msgspec.json.schema_components(
        (config, *(inner.cls for inner in inner_classes)), ref_template="{name}", schema_hook=_schema_of_secret
    )
    root = reference["$ref"]
    for inner_class, inner_reference in zip(inner_classes, references, strict=True):
        _add_empty_defaults(written[inner_reference["$ref"]], inner_class)
    definitions = {name: _draft_7(inner, root) for name, inner in written.items()}
    out = {"$schema": "http://json-schema.org/draft-07/schema#", **definitions.pop(root)}
    if definitions:
        out["definitions"] = definitions
    return msgspec.json.encode(out).decode()


def _schema_of_secret(_: type) -> dict[str, Any]:
    """Returns the schema of the only custom type, :class:`falco_plugin.Secret`."""
    return {"type": "string", "minLength": 1, "writeOnly": True}


def _add_empty_defaults(node: dict[str, Any], described: mi.DataclassType) -> None:
    """Adds the defaults of fields whose ``default_factory`` is ``list``, ``dict`` or ``set``.

    msgspec 0.23 writes these defaults itself, msgspec 0.22 only for a Struct.
    """
    for field in described.fields:
        if field.default_factory in (list, dict, set):
            default = msgspec.to_builtins(field.default_factory())
            node["properties"][field.encode_name].setdefault("default", default)


_PYTHON_ONLY = re.compile(r"\(\?(?![:=!])|\\[AZ]|[*+?}]\+|\{,")
"""Syntax of regular expressions that ECMAScript lacks. Falco compiles patterns as ECMAScript does, and does not load a
plugin whose patterns it cannot compile."""


def _draft_7(node: dict[str, Any], root: str) -> dict[str, Any]:
    """Converts a node of msgspec's schema, which is of draft 2020-12, to draft 7. Inlines the definition ``root``."""
    out: dict[str, Any] = {}
    names: dict[str, Any] = {}
    for word, value in node.items():
        match word:
            case "properties":
                out[word] = {name: _draft_7(inner, root) for name, inner in value.items()}
            case "anyOf":
                out[word] = [_draft_7(inner, root) for inner in value]
            case "prefixItems":
                out["items"] = [_draft_7(inner, root) for inner in value]
                out["additionalItems"] = False
            case "propertyNames":
                names = _draft_7(value, root)
            case "items" | "additionalProperties":
                if isinstance(value, dict):
                    out[word] = _draft_7(value, root)
            case "description":
                out[word] = inspect.cleandoc(value)
            case "format":
                # Drop all formats, because Falco's validator accepts fewer dates than msgspec. A decimal number may
                # also be a JSON number.
                if value == "decimal":
                    out["type"] = ["string", "number"]
            case "pattern" if _PYTHON_ONLY.search(value):
                pass
            case "discriminator" | "uniqueItems":
                pass  # A discriminator belongs to OpenAPI, and a list with duplicates can be read into a set.
            case "$ref":
                reference = {"$ref": "#" if value == root else f"#/definitions/{value}"}
                if len(node) == 1:
                    return reference
                # Draft 7 ignores keywords beside a reference.
                out["allOf"] = [reference]
            case _:
                out[word] = value
    if "pattern" in names:
        # Not propertyNames: newer versions of Falco's validator, valijson, refuse every value below it.
        out["patternProperties"] = {names["pattern"]: out.get("additionalProperties", {})}
    if "properties" in out or "patternProperties" in out:
        out["additionalProperties"] = False
    return out
