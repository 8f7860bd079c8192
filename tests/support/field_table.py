"""A plugin with a field of every type and every kind of argument, alone and in a list, and the expected values."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

# The table has every type, alone and in a list, with every kind of argument. Each type has three values: in Python, in
# JSON, and as the host must get them.


@dataclass(frozen=True)
class Type:
    kind: str
    annotation: str
    python: tuple[str, str, str]
    json: tuple[str, str, str]
    values: tuple[Any, Any, Any]


TYPES = {
    "text": Type(
        "string",
        "str",
        ("'one'", "'zwei \\u00fc \\U0001f985'", "''"),
        ('"one"', '"zwei \\u00fc \\ud83e\\udd85"', '""'),
        ("one", "zwei ü 🦅", ""),
    ),
    "number": Type(
        "uint64",
        "int",
        ("0", "2**64 - 1", "7"),
        ("0", "18446744073709551615", "7"),
        (0, 18446744073709551615, 7),
    ),
    "flag": Type(
        "bool",
        "bool",
        ("True", "False", "True"),
        ("true", "false", "true"),
        (True, False, True),
    ),
    "moment": Type(
        "abstime",
        "datetime",
        (
            "datetime(2020, 1, 1, tzinfo=UTC)",
            "datetime(2018, 10, 25, 15, 58, 49, 730588, tzinfo=timezone(timedelta(hours=2)))",
            "datetime(1970, 1, 1, tzinfo=UTC)",
        ),
        ('"2020-01-01T00:00:00Z"', '"2018-10-25T15:58:49.730588+02:00"', "0"),
        (1577836800_000000000, 1540475929_730588000, 0),
    ),
    "span": Type(
        "reltime",
        "timedelta",
        ("timedelta(0)", "timedelta(seconds=1.5)", "timedelta(days=36500, microseconds=1)"),
        ("0", "1.5", "3153600000.000001"),
        (0, 1_500000000, 3153600000_000001000),
    ),
    "address": Type(
        "ipaddr",
        "IPv4Address | IPv6Address",
        ("IPv4Address('10.0.0.1')", "IPv6Address('2001:db8::1')", "IPv4Address('255.255.255.255')"),
        ('"10.0.0.1"', '"2001:db8::1"', '"255.255.255.255"'),
        ("10.0.0.1", "2001:db8::1", "255.255.255.255"),
    ),
    "network": Type(
        "ipnet",
        "IPv4Network | IPv6Network",
        ("IPv4Network('10.1.0.0/16')", "IPv6Network('2001:db8::/32')", "IPv4Network('192.0.2.7/32')"),
        ('"10.1.0.0/16"', '"2001:db8::/32"', '"192.0.2.7"'),
        # The plugin API does not pass the length of the prefix.
        ("10.1.0.0", "2001:db8::", "192.0.2.7"),
    ),
}

# Some values have a name, and some are in a group. `by` is for a pointer with all kinds of tokens.
NAMED = {"a": 0, "b": 1, "a b,c": 2, "01": 2, "18446744073709551616": 1, "-1": 1, "ü/~ ": 1}
GROUPS = {
    "a": [0, 1],
    "empty": [],
    "1": [1, 2],
    "a b,c": [2, 1],
    "01": [2],
    "18446744073709551616": [1],
    "-1": [1, 2],
    "ü/~ ": [1, 0],
}
PARTS = {
    "all": [0, 1, 2],
    "rows": [[0], [1, 2], []],
    "named": NAMED,
    "groups": GROUPS,
    "by": {"1": [[0, 1], [2, 0], [1]], "a": [[0, 1]]},
}
# The parameters of a method, and its result: one value, or a list.
METHODS = {
    "plain": ("", "of.at(0)", "of.all"),
    "index": (", index: int", "of.at(index)", "of.all[index:]"),
    "maybe_index": (
        ", index: int | None = None",
        "of.at(2 if index is None else index)",
        "of.all[1:2] if index is None else of.all[index:]",
    ),
    "key": (", key: str", "of.named(key)", "of.group(key)"),
    "maybe_key": (", key: str | None = None", "of.named(key or 'b')", "of.group(key or 'a')"),
    "both": (
        ", index: int | None, key: str | None",
        "of.named(key) if index is None else of.at(index)",
        "of.group(key) if index is None else of.all[index:]",
    ),
    "maybe_both": (
        ", index: int | None = None, key: str | None = None",
        "of.at(index) if index is not None else of.at(2) if key is None else of.named(key)",
        "of.all[index:] if index is not None else of.all if key is None else of.group(key)",
    ),
}
# Pointers relative to the type's part of the payload, or None if no pointer can express the field.
POINTERS = {
    "plain": ("/all/0", "/all/*"),
    "index": ("/all/{index}", "/rows/{index}/*"),
    "maybe_index": (None, "/all/{index|*}"),
    "key": ("/named/{key}", "/groups/{key}/*"),
    "both": ("/groups/{key}/{index}", "/by/{key}/*/{index}"),
    "maybe_both": (None, "/groups/{key}/{index|*}"),
    "pointer": ("{pointer}", None),
}
# The arguments, and the indexes of the expected values; () if the field is absent.
# fmt: off
OF_METHODS = {
    "plain":       {None: ((0,), (0, 1, 2))},
    "index":       {"0": ((0,), (0, 1, 2)), "2": ((2,), (2,)), "3": ((), ()), "18446744073709551615": ((), ())},
    "maybe_index": {None: ((2,), (1,)), "0": ((0,), (0, 1, 2)), "1": ((1,), (1, 2)), "3": ((), ())},
    "key":         {"a": ((0,), (0, 1)), "b": ((1,), ()), "empty": ((), ()), "1": ((), (1, 2)),
                    "a b,c": ((2,), (2, 1))},
    "maybe_key":   {None: ((1,), (0, 1)), "a": ((0,), (0, 1)), "1": ((), (1, 2)), "ü/~ ": ((1,), (1, 0))},
    "both":        {"0": ((0,), (0, 1, 2)), "1": ((1,), (1, 2)), "a": ((0,), (0, 1)), "01": ((2,), (2,)),
                    "18446744073709551616": ((1,), (1,)), "3": ((), ()), "none": ((), ())},
    "maybe_both":  {None: ((2,), (0, 1, 2)), "0": ((0,), (0, 1, 2)), "2": ((2,), (2,)), "a": ((0,), (0, 1)),
                    "-1": ((1,), (1, 2)), "none": ((), ())},
}
OF_POINTERS = {
    "plain":       {None: ((0,), (0, 1, 2))},
    "index":       {"0": ((0,), (0,)), "1": ((1,), (1, 2)), "2": ((2,), ()), "3": ((), ()),
                    "18446744073709551615": ((), ())},
    "maybe_index": {None: (None, (0, 1, 2)), "0": (None, (0,)), "2": (None, (2,)), "3": (None, ())},
    "key":         {"a": ((0,), (0, 1)), "b": ((1,), ()), "empty": ((), ()), "1": ((), (1, 2)), "a b,c": ((2,), (2, 1)),
                    "ü/~ ": ((1,), (1, 0)), "none": ((), ())},
    "both":        {"1": ((2,), (1, 0)), "a": ((), ()), "0": ((), ())},
    "maybe_both":  {"1": (None, (2,)), "0": (None, ()), "a": (None, (0, 1)), "empty": (None, ())},
    "pointer":     {"/{type}/all/2": ((2,), None), "/{type}/named/b": ((1,), None), "/{type}/named/a b,c": ((2,), None),
                    "/{type}/named/ü~1~0 ": ((1,), None), "/{type}/none": ((), None), "no pointer": ((), None),
                    "/~2": ((), None)},
}
# fmt: on

SHAPES = ("one", "many")


@dataclass(frozen=True)
class Row:
    """A field with its argument, and the expected values."""

    asked: str
    values: list[Any] | None
    json: list[str]
    """The values as they are written in the payload."""


def rows(by: str, name: str, shape: str) -> Iterator[Row]:
    """All rows of a type, by methods or by pointers, alone or in lists."""
    of, place = TYPES[name], SHAPES.index(shape)
    for mode, arguments in {"method": OF_METHODS, "pointer": OF_POINTERS}[by].items():
        for argument, expected in arguments.items():
            if (places := expected[place]) is None:
                continue
            full = f"{by}.{name}.{shape}.{mode}"
            yield Row(
                full if argument is None else f"{full}[{argument.format(type=name)}]",
                [of.values[at] for at in places] or None,
                [of.json[at].strip('"') for at in places],
            )


def json_of(part: Any, values: Sequence[str]) -> str:
    """A part of the payload, with values instead of their indexes."""
    if isinstance(part, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {json_of(value, values)}" for key, value in part.items()) + "}"
    if isinstance(part, list):
        return "[" + ", ".join(json_of(value, values) for value in part) + "]"
    return values[part]


PAYLOAD = ("{" + ", ".join(f'"{name}": {json_of(PARTS, of.json)}' for name, of in TYPES.items()) + "}").encode()

TABLE_PLUGIN = f"""
from datetime import UTC, datetime, timedelta, timezone
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from falco_plugin import Plugin, field, json_field

NAMED = {NAMED}
GROUPS = {GROUPS}


class Values:
    def __init__(self, *values):
        self.all = list(values)

    def at(self, index):
        return self.all[index] if index < len(self.all) else None

    def named(self, key):
        return self.all[NAMED[key]] if key in NAMED else None

    def group(self, key):
        return [self.all[place] for place in GROUPS.get(key, ())]


class Table(Plugin):
    name = "table"
    extract_event_sources = ("given",)
"""


def declarations() -> Iterator[str]:
    """A field for each type, shape and kind of argument, by a method and by a pointer."""
    for name, of in TYPES.items():
        for place, shape in enumerate(SHAPES):
            annotation = of.annotation if shape == "one" else f"list[{of.annotation}]"
            for mode, (parameters, *results) in METHODS.items():
                yield f"""
@field("method.{name}.{shape}.{mode}", desc="By a method")
def method_{name}_{shape}_{mode}(self, event{parameters}) -> {annotation} | None:
    of = Values({", ".join(of.python)})
    return {results[place]}
"""
            for mode, pointers in POINTERS.items():
                if (pointer := pointers[place]) is not None:
                    whole = pointer if mode == "pointer" else f"/{name}{pointer}"
                    yield f"""
pointer_{name}_{shape}_{mode} = json_field(
    "pointer.{name}.{shape}.{mode}", "{whole}", type={annotation}, desc="By a pointer"
)
"""


def table_source() -> str:
    """The plugin with all declarations."""
    return TABLE_PLUGIN + textwrap.indent("".join(declarations()), "    ")


GIVEN = """
from falco_plugin import Plugin


class Given(Plugin):
    \"\"\"Events as the configuration has them\"\"\"

    name = event_source = "given"

    def open(self, params):
        return [bytes.fromhex(payload) for payload in self.config.split(",")]
"""

BY = ("method", "pointer")
ALL_ROWS = [row for by in BY for name in TYPES for shape in SHAPES for row in rows(by, name, shape)]
