"""Configuration classes of every kind, for tests."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, TypedDict
from uuid import UUID

import jsonschema
import msgspec
import pytest
from msgspec import Meta

from falco_plugin._declare.config.parser import parse
from falco_plugin._declare.config.schema import schema
from falco_plugin.errors import PluginError


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
    """Types without a counterpart in JSON: the parser refuses more than a schema can."""

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


# Falco accepts integers of 64 bits.
_LEAST, _MOST = -(2**63), 2**63 - 1
INTEGER_LIMITS = f"{_LEAST} to {_MOST}"
ACCEPTED_INTEGERS = [str(_LEAST), str(_MOST), "0", "3e9", "9007199254740993", "-9.223372036854775808e18"]
REFUSED_INTEGERS = [str(_LEAST - 1), str(_MOST + 1), str(2**64 - 1), str(10**20), "1e20", "-1e19"]
