"""Tests the JSON schema of configuration classes."""

from __future__ import annotations

import abc
import dataclasses
import json
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import pytest
from msgspec import Meta

from falco_plugin._declare.config.parser import parse
from falco_plugin._declare.config.schema import schema
from falco_plugin.errors import PluginError

if TYPE_CHECKING:
    from nowhere import Missing
from support.config_classes import Basic, Colour, Listen, Tls, Token, validator


def test_schema_describes_whole_class():
    assert json.loads(schema(Listening)) == {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Listening",
        "description": "Settings of the operator.\n\nIn two parts.",
        "type": "object",
        "properties": {
            "listen": {"$ref": "#/definitions/Listen", },
            "tls": {
                "anyOf": [{"$ref": "#/definitions/Tls"}, {"type": "null"}],
                "description": "Encryption",
                "default": None,
            },
            "colour": {"allOf": [{"$ref": "#/definitions/Colour"}], "default": "red"},
            "interval": {"type": "number", "exclusiveMinimum": 0, "maximum": 60, "default": 1},
            "name": {"type": "string", "minLength": 1, "pattern": "^[a-z]+$", "examples": ["audit"]},
            "nested": {"type": "array", "items": {"$ref": "#"}, "default": []},
        },
        "required": ["listen", "name"],
        "additionalProperties": False,
        "definitions": {
            "Listen": {
                "title": "Listen",
                "description": "Where it listens.\n\nSeveral lines.",
                "type": "object",
                "properties": {
                    "port": {"type": "integer", "minimum": 1, "maximum": 65535, "description": "The TCP port"},
                    "hosts": {"type": "array", "items": {"type": "string"}, "default": []},
                },
                "required": ["port"],
                "additionalProperties": False,
            },
            "Tls": {
                "title": "Tls",
                "type": "object",
                "properties": {
                    "certificate": {"type": "string"},
                    "min-version": {"enum": ["1.2", "1.3"], "default": "1.2"},
                },
                "required": ["certificate"],
                "additionalProperties": False,
            },
            "Colour": {"title": "Colour", "enum": ["blue", "red"]},
        },
    }  # fmt: skip


class Listening(msgspec.Struct, kw_only=True):
    """Settings of the operator.

    In two parts.
    """

    listen: Listen
    tls: Annotated[Tls | None, Meta(description="Encryption")] = None
    colour: Colour = Colour.RED
    interval: Annotated[float, Meta(gt=0, le=60)] = 1
    name: Annotated[str, Meta(min_length=1, pattern="^[a-z]+$", examples=["audit"])]
    nested: list[Listening] = []


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (
            tuple[int, str],
            {
                "items": [{"type": "integer"}, {"type": "string"}],
                "additionalItems": False,
                "minItems": 2,
                "maxItems": 2,
            },
        ),
        (set[int], {"items": {"type": "integer"}}),
        (Decimal, {"type": ["string", "number"]}),
        (datetime, {"type": "string"}),
        (timedelta, {"type": "string"}),
        (bytes, {"type": "string", "contentEncoding": "base64"}),
        (Basic | Token, {"anyOf": [{"$ref": "#/definitions/Basic"}, {"$ref": "#/definitions/Token"}]}),
        (
            Annotated[Basic, Meta(description="Credentials")],
            {"allOf": [{"$ref": "#/definitions/Basic"}], "description": "Credentials"},
        ),
        (Annotated[str, Meta(pattern="^a(?:b|c)(?!d)[?][A-Z]+$")], {"pattern": "^a(?:b|c)(?!d)[?][A-Z]+$"}),
        (
            dict[Annotated[str, Meta(pattern="^a", min_length=2, description="A key")], int],
            {"patternProperties": {"^a": {"type": "integer"}}, "additionalProperties": False, "propertyNames": None},
        ),
        (
            dict[Annotated[str, Meta(pattern="^a")], Any],
            {"patternProperties": {"^a": {}}, "additionalProperties": False, "propertyNames": None},
        ),
        (
            dict[Annotated[str, Meta(min_length=2)], int],
            {"patternProperties": None, "additionalProperties": {"type": "integer"}, "propertyNames": None},
        ),
    ],
)
def test_schema_uses_draft_7_for_msgspec_keywords(annotation, expected):
    config = msgspec.defstruct("Config", [("value", annotation)])
    actual = validator(config).schema["properties"]["value"]
    assert {word: actual.get(word) for word in expected} == expected
    assert not actual.keys() & {"prefixItems", "format", "discriminator", "uniqueItems"}


@pytest.mark.parametrize("pattern", [r"\Aa", r"a\Z", "(?P<a>a)", "(?<=a)b", "(?i:a)", "a++", "a{,3}"])
def test_python_only_pattern_is_checked_by_parser(pattern):
    config = msgspec.defstruct("Config", [("value", Annotated[str, Meta(pattern=pattern, min_length=9)])])
    assert validator(config).schema["properties"]["value"] == {"type": "string", "minLength": 9}


def test_field_may_have_name_of_schema_keyword():
    words = [
        "format",
        "pattern",
        "discriminator",
        "prefixItems",
        "properties",
        "definitions",
        "anyOf",
        "default",
        "items",
    ]
    config = msgspec.defstruct("Config", [(word, int) for word in words])
    assert validator(config).schema["properties"] == {word: {"type": "integer"} for word in words}


def test_classes_with_equal_names_have_own_definitions():
    one, two = (msgspec.defstruct("Same", [(name, int)], module=name) for name in ("one", "two"))
    config = msgspec.defstruct("Config", [("a", one), ("b", two)])
    assert validator(config).is_valid({"a": {"one": 1}, "b": {"two": 1}})
    assert not validator(config).is_valid({"a": {"two": 1}, "b": {"two": 1}})


UNREADABLE = "cannot be read from JSON: annotate it with str, and convert the value in your code"


class HasPath(msgspec.Struct):
    folder: Path | None = None


class HasClash(msgspec.Struct):
    clash: str | date
    again: HasClash | None = None


@dataclass
class HasMissing:
    missing: Missing


@dataclass
class HasInitVar:
    before: dataclasses.InitVar[int]


@dataclass
class HasNoInit:
    host: str = field(init=False)


class HasDefault(msgspec.Struct):
    thing: Any = object()


class ArrayLike(msgspec.Struct, array_like=True):
    a: int


@dataclass
class Abstract(abc.ABC):
    @abc.abstractmethod
    def connect(self): ...


@dataclass
class HasNestedClash:
    entries: dict[str, list[HasClash]]


@pytest.mark.parametrize("check", [schema, lambda config: parse("{}", config)], ids=["schema", "parse"])
@pytest.mark.parametrize(
    ("annotation", "error"),
    [
        (HasPath, f"Config.value.folder: Path {UNREADABLE}"),
        (msgspec.Raw, f"Config.value: RawType {UNREADABLE}"),
        (HasClash, "Config.value.clash: Type unions may not contain more than one str-like type"),
        (HasNestedClash, "Config.value.entries.clash: Type unions may not contain more than one str-like type"),
        (HasMissing, "Config.value.missing: name 'Missing' is not defined"),
        (HasInitVar, "Config.value: dataclasses with `InitVar` fields are not supported"),
        (HasNoInit, "Config.value.host: init_config would set it despite init=False: make it a property"),
        (
            HasDefault,
            "Config.value.thing: the default cannot be written as JSON: Encoding objects of type object is unsupported",
        ),
        (
            ArrayLike,
            "Config.value: ArrayLike is array_like, so its fields have no names in init_config: remove array_like",
        ),
        (list[Abstract], "Config.value: Abstract is abstract and cannot be instantiated: use a concrete class"),
    ],
)  # fmt: skip
def test_unsupported_class_is_rejected_naming_field(annotation, error, check):
    with pytest.raises(PluginError) as caught:
        check(msgspec.defstruct("Config", [("value", annotation)]))
    # The rest of the message comes from msgspec and names the type.
    assert str(caught.value).startswith(error)
