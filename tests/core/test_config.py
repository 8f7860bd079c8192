from __future__ import annotations

import abc
import dataclasses
import enum
import json
import sys
import traceback
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, TypedDict
from uuid import UUID

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta
from support.hosts import build_plugin, command, data_of, described, failed_init, logged, simple

from falco_plugin._declare.config.declaration import declared
from falco_plugin._declare.config.parser import parse
from falco_plugin._declare.config.schema import schema
from falco_plugin.errors import PluginError

if TYPE_CHECKING:
    from nowhere import Missing


# Classes of configurations


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Basic(msgspec.Struct, tag="basic"):
    user: str


class Token(msgspec.Struct, tag="token"):
    token: Annotated[str, Meta(min_length=3)]


class Pair(NamedTuple):
    name: str
    weight: int = 1


class Extra(TypedDict, total=False):
    note: str


@dataclass
class Listen:
    """Where it listens.

    Several lines.
    """

    port: Annotated[int, Meta(ge=1, le=65535, description="The TCP port")]
    hosts: list[str] = field(default_factory=list)


class Tls(msgspec.Struct, rename="kebab", frozen=True):
    certificate: str
    min_version: Literal["1.2", "1.3"] = "1.2"


class StructConfig(msgspec.Struct):
    """All of it."""

    listen: Listen
    tls: Tls | None = None
    auth: Basic | Token | int | None = None
    colour: Colour = Colour.RED
    level: Level = Level.LOW
    mode: Literal["fast", "safe"] = "fast"
    ratio: Annotated[float, Meta(gt=0, le=1)] = 0.5
    name: Annotated[str, Meta(min_length=1, max_length=9, pattern="^[a-z]*$")] | None = None
    labels: dict[str, str | int | float | bool] = {}
    limits: Annotated[dict[str, Annotated[int, Meta(ge=0)]], Meta(max_length=3)] = {}
    tags: set[str] = set()
    point: tuple[int, str] | None = None
    pair: Pair | None = None
    extra: Extra = {}
    follow: bool = True
    anything: Any = None
    children: list[StructConfig] = []


@dataclass(frozen=True)
class DataConfig:
    listen: Listen
    tls: Tls | None = None
    auth: Basic | Token | int | None = None
    colour: Colour = Colour.RED
    mode: Literal["fast", "safe"] = "fast"
    ratio: Annotated[float, Meta(gt=0, le=1)] = 0.5
    labels: dict[str, str | int | float | bool] = field(default_factory=dict)
    points: tuple[Pair, ...] = ()
    children: list[DataConfig] = field(default_factory=list)


class TextConfig(msgspec.Struct):
    """Types that JSON has no word for: a schema cannot refuse all that the parser does."""

    start: Annotated[datetime, Meta(tz=True)] | None = None
    day: date | None = None
    wait: timedelta = timedelta(seconds=1)
    amount: Decimal = Decimal(1)
    key: bytes = b""
    id: UUID | None = None
    ports: dict[int, Listen] = {}
    colours: dict[Colour, int] = {}


def validator(config):
    found = json.loads(schema(config))
    jsonschema.Draft7Validator.check_schema(found)
    return jsonschema.Draft7Validator(found)


def refusal(config, document):
    with pytest.raises(PluginError) as refused:
        parse(document if isinstance(document, str) else json.dumps(document), config)
    return str(refused.value)


# The class that a plugin declares


@pytest.fixture
def define(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], type]:
    """The class Declaring of a module with this source."""

    def run(source):
        module = types.ModuleType("declaring")
        monkeypatch.setitem(sys.modules, "declaring", module)
        exec(f"{source}\n", vars(module))
        return module.Declaring

    return run


MODULE = """
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
import msgspec
from falco_plugin import Plugin

if TYPE_CHECKING:
    from nowhere import Missing

@dataclass
class Data: ...
class Struct(msgspec.Struct): ...
class Plain: ...
"""
LATER = "from __future__ import annotations\n"


@pytest.mark.parametrize("future", [LATER, ""])
@pytest.mark.parametrize("base", ["", "(Plugin)"])
@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("config: Data", "Data"),
        ("config: Struct", "Struct"),
        ("config: 'Struct'", "Struct"),
        ("config: str", None),
        ("config: 'str'", None),
        ("config: Any", None),
        ("name = 'lines'", None),
        ("class Inner(msgspec.Struct): ...\n    config: Inner", "Inner"),
    ],
)
def test_the_annotation_of_config_names_the_class(define, future, base, body, name):
    found = declared(define(f"{future}{MODULE}\nclass Declaring{base}:\n    {body}"))
    assert (found and found.__name__) == name


@pytest.mark.parametrize(
    ("classes", "name"),
    [
        ("class Base(Plugin):\n    config: Data\nclass Declaring(Base): ...", "Data"),
        ("class Base(Plugin):\n    config: Data\nclass Declaring(Base):\n    config: Struct", "Struct"),
        ("class Base(Plugin):\n    config: Data\nclass Declaring(Base):\n    config: str", None),
        ("class Mixin:\n    config: Data\nclass Declaring(Mixin, Plugin): ...", "Data"),
        ("class Mixin:\n    config: Data\nclass Declaring(Plugin, Mixin): ...", None),
    ],
)
def test_the_nearest_annotation_counts(define, classes, name):
    found = declared(define(f"{MODULE}\n{classes}"))
    assert (found and found.__name__) == name


@pytest.mark.parametrize(
    "future",
    [LATER, pytest.param("", marks=pytest.mark.skipif(sys.version_info < (3, 14), reason="evaluated at once"))],
)
def test_no_other_annotation_is_evaluated(define, future):
    found = declared(define(f"{future}{MODULE}\nclass Declaring(Plugin):\n    other: Missing\n    config: Data"))
    assert found.__name__ == "Data"


@pytest.mark.parametrize(
    ("annotation", "shown"),
    [
        ("Plain", "Plain (put @dataclass on it)"),
        ("int", "int"),
        ("None", "None"),
        ("dict[str, int]", "dict[str, int]"),
        ("list[Data]", "list[Data]"),
        ("Data | None", "Data | None"),
        ("Data()", "Data()"),
    ],
)
def test_any_other_annotation_is_refused(define, annotation, shown):
    cls = define(f"{LATER}{MODULE}\nclass Declaring:\n    config: {annotation}")
    with pytest.raises(PluginError) as refused:
        declared(cls)
    assert (
        str(refused.value)
        == f"Declaring.config must be annotated with str, a dataclass or a msgspec.Struct, not {shown}"
    )


@pytest.mark.parametrize("value", ["Data", "Data()"])
def test_a_class_that_is_set_instead_of_annotated_is_refused(define, value):
    cls = define(f"{MODULE}\nclass Declaring:\n    config = {value}")
    with pytest.raises(PluginError) as refused:
        declared(cls)
    assert str(refused.value) == "Declaring.config is set, but not annotated: write config: Data"


def test_an_annotation_that_has_no_meaning_at_run_time_is_refused(define):
    cls = define(f"{LATER}{MODULE}\nclass Declaring:\n    config: Missing")
    with pytest.raises(PluginError) as refused:
        declared(cls)
    assert str(refused.value) == (
        "Declaring.config: its annotation cannot be evaluated (name 'Missing' is not defined): "
        "name a class that its module has at run time"
    )


# Its schema


def test_the_schema_of_a_class_says_all_that_the_class_says():
    assert json.loads(schema(Listening)) == {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Listening",
        "description": "What the operator says.\n\nIn two parts.",
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
    """What the operator says.

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
        (Annotated[Basic, Meta(description="Who")], {"allOf": [{"$ref": "#/definitions/Basic"}], "description": "Who"}),
        (Annotated[str, Meta(pattern="^a(?:b|c)(?!d)[?][A-Z]+$")], {"pattern": "^a(?:b|c)(?!d)[?][A-Z]+$"}),
        (dict[Annotated[str, Meta(pattern="^a")], int], {"propertyNames": {"pattern": "^a"}}),
    ],
)
def test_what_msgspec_says_otherwise_is_said_in_words_of_draft_7(annotation, expected):
    config = msgspec.defstruct("Config", [("value", annotation)])
    said = validator(config).schema["properties"]["value"]
    assert {word: said.get(word) for word in expected} == expected
    assert not said.keys() & {"prefixItems", "format", "discriminator", "uniqueItems"}


@pytest.mark.parametrize("pattern", [r"\Aa", r"a\Z", "(?P<a>a)", "(?<=a)b", "(?i:a)", "a++", "a{,3}"])
def test_a_pattern_that_only_python_knows_is_left_to_the_parser(pattern):
    config = msgspec.defstruct("Config", [("value", Annotated[str, Meta(pattern=pattern, min_length=9)])])
    assert validator(config).schema["properties"]["value"] == {"type": "string", "minLength": 9}


def test_a_field_may_be_called_as_a_word_of_json_schema():
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


def test_two_classes_of_one_name_have_two_definitions():
    one, two = (msgspec.defstruct("Same", [(name, int)], module=name) for name in ("one", "two"))
    config = msgspec.defstruct("Config", [("a", one), ("b", two)])
    assert validator(config).is_valid({"a": {"one": 1}, "b": {"two": 1}})
    assert not validator(config).is_valid({"a": {"two": 1}, "b": {"two": 1}})


UNREADABLE = "cannot be read from JSON: annotate it with str, and convert it where it is used"


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
class Around:
    of: dict[str, list[HasClash]]


@pytest.mark.parametrize("use", [schema, lambda config: parse("{}", config)])
@pytest.mark.parametrize(
    ("annotation", "error"),
    [
        (HasPath, f"Config.value.folder: Path {UNREADABLE}"),
        (msgspec.Raw, f"Config.value: RawType {UNREADABLE}"),
        (HasClash, "Config.value.clash: Type unions may not contain more than one str-like type"),
        (Around, "Config.value.of.clash: Type unions may not contain more than one str-like type"),
        (HasMissing, "Config.value.missing: name 'Missing' is not defined"),
        (HasInitVar, "Config.value: dataclasses with `InitVar` fields are not supported"),
        (HasNoInit, "Config.value.host: with init=False it would still be read from the text: make it a property"),
        (
            HasDefault,
            "Config.value.thing: its default cannot be written as JSON: Encoding objects of type object is unsupported",
        ),
        (
            ArrayLike,
            "Config.value: ArrayLike is array_like, which leaves no names to configure it by: leave that out",
        ),
        (list[Abstract], "Config.value: Abstract cannot be instantiated, it is abstract: name a class that is not"),
    ],
)  # fmt: skip
def test_a_class_that_cannot_be_configured_is_refused_with_its_field(annotation, error, use):
    with pytest.raises(PluginError) as refused:
        use(msgspec.defstruct("Config", [("value", annotation)]))
    # What follows is msgspec's, and names the type.
    assert str(refused.value).startswith(error)


# Its text


@pytest.mark.parametrize(
    ("annotation", "value", "taken"),
    [
        (Literal["x"] | str, "y", True),
        (Literal["x"] | Literal["y", 1], "y", True),
        (Literal["x"] | Literal["y", 1], "z", False),
        (Literal[1] | int, 2, True),
        (Literal[1] | float, 1, True),
        (Level | float, 1.5, True),
        (Annotated[int, Meta(ge=3)] | float, 2, False),
        (Annotated[int, Meta(ge=3)] | Any, 2, True),
        (Decimal | int, 1.5, True),
        (list[int] | dict[str, int] | None, {"a": 1}, True),
        (list[int] | dict[str, int] | None, [1], True),
        (list[int] | dict[str, int] | None, ["a"], False),
    ],
)
def test_a_union_takes_what_msgspec_takes(annotation, value, taken):
    config = msgspec.defstruct("Config", [("value", annotation)])
    text = json.dumps({"value": value})
    try:
        expected = msgspec.json.decode(text, type=config)
    except msgspec.ValidationError:
        assert not taken
        assert "expected int" in refusal(config, text) or 'expected "x"' in refusal(config, text)
    else:
        assert taken
        assert parse(text, config) == expected


@pytest.mark.parametrize("config", [StructConfig, DataConfig])
@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({}, {}),
        ({"tls": {"certificate": "/c", "min-version": "1.3"}}, {"tls": Tls("/c", "1.3")}),
        ({"tls": None, "auth": None}, {}),
        ({"auth": {"type": "token", "token": "abc"}}, {"auth": Token("abc")}),
        ({"auth": 3}, {"auth": 3}),
        ({"auth": 3000000000.0}, {"auth": 3000000000}),
        ({"colour": "blue", "mode": "safe", "ratio": 1}, {"colour": Colour.BLUE, "mode": "safe", "ratio": 1.0}),
        ({"labels": {"a": 1, "b": 1.5, "c": "x", "d": True}}, {"labels": {"a": 1, "b": 1.5, "c": "x", "d": True}}),
    ],
)
def test_a_map_becomes_an_object(config, document, expected):
    text = json.dumps({"listen": {"port": 80}, **document})
    assert parse(text, config) == config(listen=Listen(80), **expected)


@pytest.mark.parametrize("text", ["", " \n\t", "{}", " {} "])
def test_blank_text_is_an_empty_map(text):
    assert parse(text, TextConfig) == TextConfig()


def test_types_that_json_has_no_word_for_are_read_from_text():
    document = {
        "start": "2026-01-31 08:00:00+00:00",
        "day": "2026-01-31",
        "wait": "PT1M",
        "amount": 1.5,
        "key": "AAE=",
        "id": "6a5d8f0e-4b3c-4a87-9b57-2f1f7f1c6a11",
        "ports": {"80": {"port": 80}},
        "colours": {"red": 1},
    }
    assert parse(json.dumps(document), TextConfig) == TextConfig(
        start=datetime(2026, 1, 31, 8, tzinfo=UTC),
        day=date(2026, 1, 31),
        wait=timedelta(minutes=1),
        amount=Decimal("1.5"),
        key=b"\0\1",
        id=UUID("6a5d8f0e-4b3c-4a87-9b57-2f1f7f1c6a11"),
        ports={80: Listen(80)},
        colours={Colour.RED: 1},
    )


@pytest.mark.parametrize(
    ("document", "problems"),
    [
        ({"listen": 1}, "listen: expected map, got int"),
        ({"listen": None}, "listen: expected map, got null"),
        ({"listen": {}}, "listen.port: required"),
        ({"listen": {"port": "80"}}, "listen.port: expected int, got str"),
        ({"listen": {"port": 8.5}}, "listen.port: expected int, got float"),
        ({"listen": {"port": True}}, "listen.port: expected int, got bool"),
        ({"listen": {"port": 0}}, "listen.port: expected int >= 1"),
        ({"listen": {"port": 65536}}, "listen.port: expected int <= 65535"),
        ({"listen": {"port": 1, "hosts": "a"}}, "listen.hosts: expected list, got str"),
        (
            {"listen": {"port": 1, "hosts": ["a", 2, None]}},
            "listen.hosts[1]: expected str, got int; listen.hosts[2]: expected str, got null",
        ),
        ({"listen": {"port": 1, "prot": 2}}, "listen.prot: unknown key (known: port, hosts)"),
        ({"tls": []}, "tls: expected map or null, got list"),
        (
            {"tls": {"certifcate": "/c", "min_version": "1.3"}},
            "tls.certificate: required; tls.certifcate: unknown key (known: certificate, min-version); "
            "tls.min_version: unknown key",
        ),
        ({"tls": {"certificate": "/c", "min-version": "1.1"}}, 'tls.min-version: expected "1.2" or "1.3"'),
        ({"tls": {"certificate": "/c", "min-version": 1.2}}, 'tls.min-version: expected "1.2" or "1.3", got float'),
        ({"auth": "x"}, "auth: expected map, int or null, got str"),
        ({"auth": {}}, "auth.type: required"),
        ({"auth": {"type": "tokn", "token": "x"}}, 'auth.type: expected "basic" or "token"'),
        ({"auth": {"type": 1}}, 'auth.type: expected "basic" or "token", got int'),
        ({"auth": {"type": "token", "token": "x"}}, "auth.token: expected str of length >= 3"),
        ({"auth": {"type": "basic", "token": 1}}, "auth.user: required; auth.token: unknown key (known: type, user)"),
        ({"colour": "green"}, 'colour: expected "red" or "blue"'),
        ({"colour": 1}, 'colour: expected "red" or "blue", got int'),
        ({"level": 3}, "level: expected 1 or 2"),
        ({"level": True}, "level: expected 1 or 2, got bool"),
        ({"mode": "slow"}, 'mode: expected "fast" or "safe"'),
        ({"mode": None}, 'mode: expected "fast" or "safe", got null'),
        ({"ratio": 0}, "ratio: expected float > 0.0"),
        ({"ratio": "1"}, "ratio: expected float, got str"),
        ({"name": ""}, "name: expected str of length >= 1"),
        ({"name": "A"}, "name: expected str matching regex '^[a-z]*$'"),
        ({"labels": {"a.b": [], "c": None}},
         'labels["a.b"]: expected str, int, float or bool, got list; '
         "labels.c: expected str, int, float or bool, got null"),
        ({"limits": {"a": -1, "é \"": "x"}},
         'limits.a: expected int >= 0; limits["é \\""]: expected int, got str'),
        ({"limits": dict.fromkeys("abcd", 1)}, "limits: expected map of length <= 3"),
        ({"tags": ["a", 1]}, "tags[1]: expected str, got int"),
        ({"point": [1]}, "point: expected list of length 2, got 1"),
        ({"point": ["a", "b", "c"]}, "point: expected list of length 2, got 3; point[0]: expected int, got str"),
        ({"pair": []}, "pair: expected list of length 1 to 2, got 0"),
        ({"pair": ["a", "b"]}, "pair[1]: expected int, got str"),
        ({"extra": {"note": 1, "nite": 2}}, "extra.note: expected str, got int; extra.nite: unknown key (known: note)"),
        ({"follow": "yes"}, "follow: expected bool, got str"),
        ({"follow": 1}, "follow: expected bool, got int"),
        ({"children": [{"listen": {"port": 1}}, {}, 3]},
         "children[1].listen: required; children[2]: expected map, got int"),
        ({"": 1, "listen ": 2},
         '[""]: unknown key (known: KNOWN); ["listen "]: unknown key'),
    ],
)  # fmt: skip
def test_every_problem_is_told_with_its_path_and_what_is_expected(document, problems):
    known = ", ".join(StructConfig.__struct_fields__)
    expected = f"init_config does not fit: {problems.replace('KNOWN', known)}"
    assert refusal(StructConfig, {"listen": {"port": 80}, **document}) == expected


@pytest.mark.parametrize(
    ("document", "problems"),
    [
        ({"start": "noon"}, "start: invalid RFC3339 encoded datetime"),
        ({"start": "2026-01-31T08:00:00"}, "start: expected datetime with a timezone component"),
        ({"start": 1}, "start: expected date and time or null, got int"),
        ({"day": "2026-31-01"}, "day: invalid RFC3339 encoded date"),
        ({"wait": "1m"}, "wait: invalid ISO8601 duration"),
        ({"wait": 60}, "wait: expected ISO 8601 duration, got int"),
        ({"amount": "much"}, "amount: invalid decimal string"),
        ({"key": "!"}, "key: invalid base64 encoded string"),
        ({"id": "me"}, "id: invalid UUID"),
        ({"ports": {"a": {"port": 0}}}, "ports.a: its key: expected int; ports.a.port: expected int >= 1"),
        ({"colours": {"green": 1}}, 'colours.green: its key: expected "red" or "blue"'),
    ],
)  # fmt: skip
def test_text_that_is_not_what_it_should_mean_is_told(document, problems):
    assert refusal(TextConfig, document) == f"init_config does not fit: {problems}"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("secret", "init_config must be a map, and is no JSON: invalid character (byte 0)"),
        ('{"a" "secret"}', "init_config must be a map, and is no JSON: expected ':' (byte 5)"),
        ('{"a": "secret', "init_config must be a map, and is no JSON: input data was truncated"),
        ('{"a": 1e999}', "init_config must be a map, and is no JSON: number out of range"),
        ('"secret"', "init_config must be a map, not str"),
        ("[1]", "init_config must be a map, not list"),
        ("null", "init_config must be a map, not null"),
        ("true", "init_config must be a map, not bool"),
        ("1.5", "init_config must be a map, not float"),
        ('{"a":' * 100_000, "init_config is nested too deeply: make it flatter"),
    ],
)
def test_text_that_is_no_map_is_refused(text, error):
    assert refusal(TextConfig, text) == error


def test_a_document_that_is_nested_deeply_is_refused():
    depth = 900
    text = '{"listen":{"port":1},"children":[' * depth + "]}" * depth
    assert refusal(StructConfig, text) == "init_config is nested too deeply: make it flatter"


# What the author checks


@dataclass
class Checked:
    value: int = 0
    inner: Checked | None = None

    def __post_init__(self):
        MADE.append(self.value)
        if self.value < 0:
            raise ValueError("must not be below zero")
        if self.value == 99:
            raise TypeError
        if self.value > 100:
            msgspec.convert(str(self.value), Literal["fine"])


class Checks(msgspec.Struct):
    name: str
    one: Checked
    many: dict[str, Checked] = {}

    def __post_init__(self):
        MADE.append(self.name)
        if self.name == "none":
            raise ValueError("name and many do not go together")


MADE = []


@pytest.mark.parametrize(
    ("document", "problems"),
    [
        ({"name": "none", "one": {}}, "name and many do not go together"),
        ({"name": "a", "one": {"value": -1}}, "one: must not be below zero"),
        ({"name": "a", "one": {"value": 99}}, "one: Checked refuses it"),
        ({"name": "a", "one": {"value": 101}}, "one: Checked refuses it"),
        (
            {"name": 1, "one": {"value": -1}, "many": {"x": {"inner": {"value": -2}}, "y.z": {"value": "a"}}},
            "name: expected str, got int; one: must not be below zero; many.x.inner: must not be below zero; "
            'many["y.z"].value: expected int, got str',
        ),
    ],
)
def test_what_the_author_refuses_is_told_in_the_authors_words(document, problems):
    assert refusal(Checks, document) == f"init_config does not fit: {problems}"


def test_each_object_is_made_once_from_the_inside_out():
    MADE.clear()
    parse('{"name": "a", "one": {"value": 1, "inner": {"value": 2}}, "many": {"x": {"value": 3}}}', Checks)
    assert MADE == [2, 1, 3, "a"]


def test_other_exceptions_of_the_author_are_the_authors():
    @dataclass
    class Reads:
        file: str

        def __post_init__(self):
            Path(self.file).read_text()

    with pytest.raises(FileNotFoundError):
        parse('{"file": "/nonexistent/token"}', Reads)


# What holds for every configuration

# Falco accepts no others.
integers = st.integers(-(2**63), 2**63 - 1)
finite = st.floats(allow_nan=False, allow_infinity=False)
listens = st.builds(Listen, port=st.integers(1, 65535), hosts=st.lists(st.text(max_size=5), max_size=3))
pairs = st.builds(Pair, st.text(max_size=3), integers)
shared = {
    "listen": listens,
    "tls": st.none() | st.builds(Tls, st.text(max_size=5).map("/{}".format), st.sampled_from(["1.2", "1.3"])),
    "auth": st.none()
    | integers
    | st.builds(Basic, st.text(max_size=5))
    | st.builds(Token, st.text(min_size=3, max_size=5)),
    "colour": st.sampled_from(Colour),
    "mode": st.sampled_from(["fast", "safe"]),
    "ratio": st.floats(0, 1, exclude_min=True),
    "labels": st.dictionaries(st.text(max_size=3), st.text() | integers | finite | st.booleans(), max_size=3),
}  # fmt: skip
struct_leaves = st.builds(
    StructConfig,
    **shared,
    level=st.sampled_from(Level),
    name=st.none() | st.text("abc", min_size=1, max_size=9),
    limits=st.dictionaries(st.text(max_size=3), st.integers(0, 2**63 - 1), max_size=3),
    tags=st.sets(st.text(max_size=3), max_size=3),
    point=st.none() | st.tuples(integers, st.text(max_size=3)),
    pair=st.none() | pairs,
    extra=st.just({}) | st.builds(dict, note=st.text(max_size=3)),
    follow=st.booleans(),
    anything=st.none() | st.lists(integers, max_size=2),
)
structs = struct_leaves | st.builds(StructConfig, listens, children=st.lists(struct_leaves, max_size=2))
data_leaves = st.builds(DataConfig, **shared, points=st.lists(pairs, max_size=2).map(tuple))
datas = data_leaves | st.builds(DataConfig, listens, children=st.lists(data_leaves, max_size=2))
texts = st.builds(
    TextConfig,
    start=st.none() | st.datetimes(timezones=st.just(UTC)),
    day=st.none() | st.dates(),
    wait=st.timedeltas(timedelta(-1000), timedelta(1000)),
    amount=st.decimals(allow_nan=False, allow_infinity=False),
    key=st.binary(max_size=5),
    id=st.none() | st.uuids(),
    ports=st.dictionaries(st.integers(-(2**63), 2**63), listens, max_size=2),
    colours=st.dictionaries(st.sampled_from(Colour), integers),
)
configs = structs | datas | texts
VALIDATORS = {config: validator(config) for config in (StructConfig, DataConfig, TextConfig)}


@given(configs)
def test_an_object_written_as_json_is_read_back(config):
    text = msgspec.json.encode(config).decode()
    assert parse(text, type(config)) == config
    assert VALIDATORS[type(config)].is_valid(json.loads(text))


# A float without a fraction is an integer to some validators.
numbers = finite.filter(lambda number: not number.is_integer())
values = st.recursive(
    st.none() | st.booleans() | integers | numbers | st.text(max_size=4) | st.sampled_from(["red", "fast"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)  # fmt: skip


def places(document):
    """Each map or list in a document, with each of its keys or indices."""
    if isinstance(document, dict):
        entries = list(document.items())
    elif isinstance(document, list):
        entries = list(enumerate(document))
    else:
        return
    for key, inner in entries:
        yield document, key
        yield from places(inner)


@st.composite
def spoilt(draw, valid, value):
    """A configuration's class, and a document of it in which something was changed."""
    config = draw(valid)
    document = json.loads(msgspec.json.encode(config))
    holder, key = draw(st.sampled_from(list(places(document))))
    change = draw(st.sampled_from(["replace", "delete", "add"]))
    if change == "delete":
        del holder[key]
    elif change == "add" and isinstance(holder, dict):
        holder[draw(st.sampled_from(["type", "tls", "port", "note"]) | st.text(max_size=3))] = draw(value)
    elif change == "add":
        holder.insert(key, draw(value))
    else:
        holder[key] = draw(value)
    return type(config), document


def is_read(config, document):
    try:
        parse(json.dumps(document), config)
    except PluginError:
        return False
    return True


@given(spoilt(structs | datas, values))
def test_schema_and_parser_accept_the_same(spoilt):
    config, document = spoilt
    assert VALIDATORS[config].is_valid(document) == is_read(config, document)


@given(spoilt(texts, values | st.sampled_from(["2026-01-31 08:00:00Z", "PT1M", "1e5", "AAE="])))
def test_the_schema_accepts_what_the_parser_accepts(spoilt):
    config, document = spoilt
    assert VALIDATORS[config].is_valid(document) or not is_read(config, document)


SECRETS = ["s3cr3t", -8675309, 8675309.25]
secrets = st.sampled_from(SECRETS).flatmap(
    lambda secret: st.sampled_from([secret, [secret], {"type": secret}, {"listen": [secret]}, {"port": secret}])
)


def told(config, text):
    """All that can reach a log."""
    try:
        parse(text, config)
    except PluginError as error:
        return "".join(traceback.format_exception(error))
    return ""


@given(spoilt(configs, secrets))
def test_no_value_is_ever_told(spoilt):
    config, document = spoilt
    text = told(config, json.dumps(document))
    assert not any(str(secret).lstrip("-") in text for secret in SECRETS)


@given(spoilt(configs, secrets), st.data())
def test_no_text_that_is_no_json_is_ever_told(spoilt, data):
    config, document = spoilt
    whole = json.dumps(document)
    start, end = sorted(data.draw(st.tuples(st.integers(0, len(whole)), st.integers(0, len(whole)))))
    text = told(config, whole[:start] + whole[end:])
    assert not any(str(secret).lstrip("-") in text for secret in SECRETS)


# In a library


IN_A_FOLDER = {
    "config.py": """
        from __future__ import annotations

        from dataclasses import dataclass
        from typing import Annotated

        import msgspec


        class Limits(msgspec.Struct, frozen=True):
            most: Annotated[int, msgspec.Meta(ge=1, description="Events a second")] = 10


        @dataclass
        class Config:
            \"\"\"Where to listen\"\"\"

            url: str
            limits: Limits = Limits()
    """,
    "__init__.py": """
        from __future__ import annotations

        from typing import TYPE_CHECKING

        from falco_plugin import Plugin

        from .config import Config

        if TYPE_CHECKING:
            from somewhere import Other


        class Configured(Plugin):
            name = "configured"
            config: Config
            other: Other

            def init(self):
                self.seen = f"{self.config.url} {self.config.limits.most}"

            def open(self, params):
                return [self.seen.encode()]
    """,
}


def test_a_plugin_finds_its_configuration_before_init(tmp_path: Path) -> None:
    library = build_plugin(tmp_path, IN_A_FOLDER)
    for config, seen in (('{"url": "a"}', b"a 10"), ('{"limits": {"most": 3}, "url": "b"}', b"b 3")):
        assert data_of(logged(library, config)) == [seen]


def test_a_configuration_that_does_not_fit_is_an_error_of_init(tmp_path: Path) -> None:
    library = build_plugin(tmp_path, IN_A_FOLDER)
    assert failed_init(library, '{"limits": {"most": 0}, "password": "secret"}') == (
        "init_config does not fit: url: required; limits.most: expected int >= 1; "
        "password: unknown key (known: url, limits)"
    )
    assert failed_init(library, "secret") == ("init_config must be a map, and is no JSON: invalid character (byte 0)")


def test_a_library_exports_the_schema_and_only_with_a_class(tmp_path: Path) -> None:
    schema = json.loads(described(build_plugin(tmp_path, IN_A_FOLDER))["schema"])
    assert schema["required"] == ["url"]
    assert schema["description"] == "Where to listen"
    assert schema["definitions"]["Limits"]["properties"]["most"] == {
        "description": "Events a second",
        "type": "integer",
        "minimum": 1,
        "default": 10,
    }
    text = build_plugin(tmp_path, simple("text", "config: str\n"), "text")
    assert described(text)["schema"] is None
    assert data_of(logged(text, '{"any": "text"}')) == [b"one", b"two"]


def test_a_class_that_cannot_be_a_configuration_stops_the_build(tmp_path: Path) -> None:
    path = tmp_path / "wrong.py"
    path.write_text(simple("wrong", "config: int\n"))
    ran = command("build", path, "-o", tmp_path / "wrong.so")
    assert (ran.status, ran.stderr) == (
        1,
        f"falco-plugin: {path}:4: Simple.config must be annotated with str, a dataclass or a msgspec.Struct, not int\n",
    )
