"""Tests the parser of the configuration, and how it reports validation errors of user code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import pytest
from msgspec import Meta
from support.config_classes import Colour, DataConfig, Level, Listen, StructConfig, TextConfig, Tls, Token, refusal

from falco_plugin._declare.config.parser import parse


@pytest.mark.parametrize(
    ("annotation", "value", "accepted"),
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
def test_union_accepts_what_msgspec_accepts(annotation, value, accepted):
    config = msgspec.defstruct("Config", [("value", annotation)])
    text = json.dumps({"value": value})
    try:
        expected = msgspec.json.decode(text, type=config)
    except msgspec.ValidationError:
        assert not accepted
        assert "expected int" in refusal(config, text) or 'expected "x"' in refusal(config, text)
    else:
        assert accepted
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
def test_map_becomes_object(config, document, expected):
    text = json.dumps({"listen": {"port": 80}, **document})
    assert parse(text, config) == config(listen=Listen(80), **expected)


@pytest.mark.parametrize("text", ["", " \n\t", "{}", " {} "])
def test_blank_configuration_is_empty_map(text):
    assert parse(text, TextConfig) == TextConfig()


def test_types_without_json_equivalent_are_parsed():
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
def test_error_has_path_and_expected_type(document, problems):
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
        ({"ports": {"a": {"port": 0}}}, "ports.a: key: expected int; ports.a.port: expected int >= 1"),
        ({"colours": {"green": 1}}, 'colours.green: key: expected "red" or "blue"'),
    ],
)  # fmt: skip
def test_invalid_string_formats_are_reported(document, problems):
    assert refusal(TextConfig, document) == f"init_config does not fit: {problems}"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("secret", "init_config must be a map, but it is not valid JSON: invalid character (byte 0)"),
        ('{"a" "secret"}', "init_config must be a map, but it is not valid JSON: expected ':' (byte 5)"),
        ('{"a": "secret', "init_config must be a map, but it is not valid JSON: input data was truncated"),
        ('{"a": 1e999}', "init_config must be a map, but it is not valid JSON: number out of range"),
        ('"secret"', "init_config must be a map, not str"),
        ("[1]", "init_config must be a map, not list"),
        ("null", "init_config must be a map, not null"),
        ("true", "init_config must be a map, not bool"),
        ("1.5", "init_config must be a map, not float"),
        ('{"a":' * 100_000, "init_config is nested too deeply: make it flatter"),
    ],
)
def test_configuration_that_is_not_a_map_is_rejected(text, error):
    assert refusal(TextConfig, text) == error


def test_deeply_nested_configuration_is_rejected():
    depth = 900
    text = '{"listen":{"port":1},"children":[' * depth + "]}" * depth
    assert refusal(StructConfig, text) == "init_config is nested too deeply: make it flatter"


# Validation by user code


@dataclass
class Checked:
    value: int = 0
    inner: Checked | None = None

    def __post_init__(self):
        CREATED.append(self.value)
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
        CREATED.append(self.name)
        if self.name == "none":
            raise ValueError("name and many cannot be combined")


CREATED = []


@pytest.mark.parametrize(
    ("document", "problems"),
    [
        ({"name": "none", "one": {}}, "name and many cannot be combined"),
        ({"name": "a", "one": {"value": -1}}, "one: must not be below zero"),
        ({"name": "a", "one": {"value": 99}}, "one: Checked does not accept the value"),
        ({"name": "a", "one": {"value": 101}}, "one: Checked does not accept the value"),
        (
            {"name": 1, "one": {"value": -1}, "many": {"x": {"inner": {"value": -2}}, "y.z": {"value": "a"}}},
            "name: expected str, got int; one: must not be below zero; many.x.inner: must not be below zero; "
            'many["y.z"].value: expected int, got str',
        ),
    ],
)
def test_user_validation_error_is_passed_on(document, problems):
    assert refusal(Checks, document) == f"init_config does not fit: {problems}"


def test_objects_are_created_once_inner_first():
    CREATED.clear()
    parse('{"name": "a", "one": {"value": 1, "inner": {"value": 2}}, "many": {"x": {"value": 3}}}', Checks)
    assert CREATED == [2, 1, 3, "a"]


def test_other_user_exceptions_propagate():
    @dataclass
    class ReadsFile:
        file: str

        def __post_init__(self):
            Path(self.file).read_text()

    with pytest.raises(FileNotFoundError):
        parse('{"file": "/nonexistent/token"}', ReadsFile)
