"""Fields through built libraries: values, arguments, places, failures, and what hosts are told of them beforehand."""

from __future__ import annotations

import ctypes
import json
import re
import struct
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support.hosts import (
    FAILURE,
    NO_INDEX,
    PAYLOAD_AT,
    SUCCESS,
    Asked,
    Extracted,
    Library,
    asked,
    asked_lines,
    build_plugin,
    by_calls,
    c_host,
    described,
    encoded,
    failed_init,
    golang,
    held,
    joined,
    replay,
    runner,
    together,
    write_sources,
)

from falco_plugin.cli.main import main

# The table: every type, alone and in a list, with every kind of argument. Each type has three values, as Python and as
# JSON write them, and as the host has to see them.


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
        # The plugin API has no place for the length of the prefix.
        ("10.1.0.0", "2001:db8::", "192.0.2.7"),
    ),
}

# Among the values some have a name, and some are a group; `by` is for a pointer with all kinds of tokens.
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
# Parameters of a method, and what it returns: one value, or a list.
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
# Pointers below the part of the payload that is the type's. Not all can be said with one.
POINTERS = {
    "plain": ("/all/0", "/all/*"),
    "index": ("/all/{index}", "/rows/{index}/*"),
    "maybe_index": (None, "/all/{index|*}"),
    "key": ("/named/{key}", "/groups/{key}/*"),
    "both": ("/groups/{key}/{index}", "/by/{key}/*/{index}"),
    "maybe_both": (None, "/groups/{key}/{index|*}"),
    "pointer": ("{pointer}", None),
}
# The arguments, and which of the three values have to come; () where the field is absent.
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
    """A field with its argument, and what has to come."""

    asked: str
    values: list[Any] | None
    json: list[str]
    """The values as the payload has them."""
    runner_can: bool


def rows(by: str, name: str, shape: str) -> Iterator[Row]:
    """All rows of a type, made by methods or by pointers, alone or in lists."""
    of, place = TYPES[name], SHAPES.index(shape)
    for mode, arguments in {"method": OF_METHODS, "pointer": OF_POINTERS}[by].items():
        for argument, expected in arguments.items():
            if (places := expected[place]) is None:
                continue
            full = f"{by}.{name}.{shape}.{mode}"
            # The runner makes an index of every argument where a field takes index and key, and gives no key then.
            number = argument is not None and argument in ("0", "1", "2", "3")
            yield Row(
                full if argument is None else f"{full}[{argument.format(type=name)}]",
                [of.values[at] for at in places] or None,
                [of.json[at].strip('"') for at in places],
                "both" not in mode or argument is None or (number and by == "method"),
            )


def json_of(part: Any, values: Sequence[str]) -> str:
    """A part of the payload, with the values for their numbers."""
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


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source of the events that it is told of."""
    return build_plugin(tmp_path_factory.mktemp("given"), GIVEN, "given")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = TABLE_PLUGIN + textwrap.indent("".join(declarations()), "    ")
    return build_plugin(tmp_path_factory.mktemp("table"), source, "table")


@pytest.fixture(scope="module")
def by_c_host(table: Path) -> dict[str, Extracted]:
    (extracted,) = replay(table, [row.asked for row in ALL_ROWS], [PAYLOAD])
    return extracted


@pytest.fixture(scope="module")
def in_one_call(table: Path) -> dict[str, Extracted]:
    (extracted,) = together(table, [row.asked for row in ALL_ROWS], [PAYLOAD])
    return extracted


@pytest.fixture(scope="module")
def by_runner(table: Path, given: Path) -> dict[str, dict[str, Any]]:
    fields = [row.asked for row in ALL_ROWS if row.runner_can]
    event, _ = runner(given, "--with", table, "--config", PAYLOAD.hex(), "--fields", ",".join(fields))
    assert [told["field"] for told in event["fields"]] == fields
    return {told["field"]: told for told in event["fields"]}


EACH = [pytest.param(by, name, shape, id=f"{by}-{name}-{shape}") for by in BY for name in TYPES for shape in SHAPES]


@pytest.mark.parametrize(("by", "name", "shape"), EACH)
def test_a_field_has_its_values_in_the_c_host(by_c_host, by: str, name: str, shape: str) -> None:
    expected = {row.asked: row.values for row in rows(by, name, shape)}
    assert {field: by_c_host[field].values for field in expected} == expected
    assert {by_c_host[field].code for field in expected} == {SUCCESS}, "absent is no failure"


@pytest.mark.parametrize(("by", "name", "shape"), EACH)
def test_a_field_has_its_values_in_the_runner(by_runner, by: str, name: str, shape: str) -> None:
    expected = {row.asked: row.values for row in rows(by, name, shape) if row.runner_can}
    assert {field: by_runner[field].get("values", "failed") for field in expected} == expected


@pytest.mark.parametrize(("by", "name", "shape"), EACH)
def test_a_field_has_its_values_where_all_are_asked_in_one_call(in_one_call, by: str, name: str, shape: str) -> None:
    expected = {row.asked: row.values for row in rows(by, name, shape)}
    assert {field: in_one_call[field].values for field in expected} == expected


def test_the_values_have_the_types_of_the_plugin_api(table: Path) -> None:
    fields = described(table)["fields"]
    assert {told["name"]: (told["type"], told["isList"]) for told in fields} == {
        row.asked.partition("[")[0]: (TYPES[name].kind, shape == "many")
        for by in BY
        for name in TYPES
        for shape in SHAPES
        for row in rows(by, name, shape)
    }


# Places of values in the event


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_value_out_of_json_is_told_with_its_place(by_c_host, name: str, shape: str) -> None:
    event = encoded(PAYLOAD)
    for row in rows("pointer", name, shape):
        places = by_c_host[row.asked].places
        found = None if places is None else [event[start : start + length].decode() for start, length in places]
        assert found == (row.json or None), row.asked


def test_the_runner_finds_the_same_places(by_c_host, by_runner) -> None:
    for field, told in by_runner.items():
        places = by_c_host[field].places
        assert told["place"] == (None if places is None else list(places[0])), field


def test_a_value_of_a_method_stands_nowhere(by_c_host) -> None:
    places = [by_c_host[row.asked] for name in TYPES for shape in SHAPES for row in rows("method", name, shape)]
    assert {place for extracted in places for place in extracted.places or ()} == {(0, 0)}


def test_places_are_left_alone_where_several_fields_are_asked(in_one_call) -> None:
    assert {extracted.places for extracted in in_one_call.values()} == {None}


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Path]:
    """Builds a plugin whose class has this body, and these lines before it."""

    def build(body: str, before: str = "", name: str = "fields") -> Path:
        return build_plugin(tmp_path, plugin(body, before), name)

    return build


def plugin(body: str, before: str = "") -> str:
    """A plugin with this body."""
    return (
        f"{textwrap.dedent(before)}\n"
        "from datetime import UTC, date, datetime, timedelta, timezone\n"
        "from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network\n\n"
        "from falco_plugin import EOF, Event, Located, Plugin, Timeout, field, json_field\n\n\n"
        "class Fields(Plugin):\n"
        '    name = "fields"\n\n' + textwrap.indent(textwrap.dedent(body), "    ")
    )


def test_a_method_may_say_where_its_values_stand(build) -> None:
    library = build("""
        @field("at.word", desc="The second word")
        def word(self, event) -> Located[str] | None:
            before, _, rest = event.data.partition(b" ")
            word = rest.partition(b" ")[0]
            return Located(word.decode(), len(before) + 1, len(word)) if word else None

        @field("at.numbers", desc="Each number, and their sum, which stands nowhere")
        def numbers(self, event) -> list[Located[int]]:
            place, found = 0, []
            for part in event.data.split(b" "):
                if part.isdigit():
                    found.append(Located(int(part), place, len(part)))
                place += len(part) + 1
            return [*found, sum(number.value for number in found)]
    """)
    payload = b"one 22 three 4"
    (extracted,) = replay(library, ["at.word", "at.numbers"], [payload])
    assert extracted["at.word"] == Extracted(["22"], [(PAYLOAD_AT + 4, 2)])
    assert extracted["at.numbers"] == Extracted([22, 4, 26], [(PAYLOAD_AT + 4, 2), (PAYLOAD_AT + 13, 1), (0, 0)])
    (nothing,) = replay(library, ["at.word"], [b"alone"])
    assert nothing["at.word"] == Extracted(None)


# What a method returns, and what the host sees of it


RETURNED = [
    ("str", r"'\0'", ["\ufffd"]),
    ("str", "None", None),
    ("str", "Name('of a subclass')", ["of a subclass"]),
    ("str", "Located('nowhere', 0, 0)", ["nowhere"]),
    ("int", "Number(7)", [7]),
    ("datetime", "datetime(2554, 7, 21, 23, 34, 33, 709551, tzinfo=UTC)", [18446744073_709551000]),
    ("timedelta", "timedelta(microseconds=1)", [1000]),
    ("IPv4Address", "IPv4Address('10.0.0.1')", ["10.0.0.1"]),
    ("IPv6Address | None", "IPv6Address('::1')", ["::1"]),
    ("IPv4Network", "IPv4Network('0.0.0.0/0')", ["0.0.0.0"]),
    ("IPv6Network", "IPv6Network('2001:db8::/32')", ["2001:db8::"]),
    ("list[str]", "None", None),
    ("list[str]", "[]", None),
    ("list[str] | None", "[]", None),
    ("list[str]", r"['a', 'b\0c']", ["a", "b\ufffdc"]),
    ("list[str]", "[Located('a', 0, 1), 'b']", ["a", "b"]),
    ("list[IPv4Address]", "[IPv4Address('10.0.0.1')]", ["10.0.0.1"]),
    ("typing.Optional[str]", "'text'", ["text"]),
    ("typing.Union[list[int], None]", "[1]", [1]),
    ("typing.List[bool]", "[True, False]", [True, False]),
    ("Located[str] | None", "Located('there', 1, 2)", ["there"]),
    ("'str'", "'quoted'", ["quoted"]),
    ("str", r"'a\ud800\0\udfffb'", ["a\ufffd\ufffd\ufffdb"]),
    ("list[str]", r"['\0', '\ud800']", ["\ufffd", "\ufffd"]),
]
AN_INT = "ValueError: an int of a field is 0 to 2**64 - 1; return str for others"
NO_FLOATS = "(Falco has no floats: return str or int)"
REFUSED = [
    ("str", "1.5", f"TypeError: it is declared as str, but it returned float {NO_FLOATS}"),
    ("str", "7", "TypeError: it is declared as str, but it returned int"),
    ("str", "b'x'", "TypeError: it is declared as str, but it returned bytes (decode it)"),
    ("str", "['x']", "TypeError: it is declared as str, but it returned list"),
    ("str", "Located(1.5, 0, 1)", f"TypeError: it is declared as str, but it returned float {NO_FLOATS}"),
    (
        "str",
        "Located('x', 4, 2)",
        "ValueError: Located at 4 with length 2 lies outside of the event, which has 5 bytes: count from the first "
        "byte of event.data",
    ),
    ("str", "Located('x', -1, 1)", "ValueError: start must be 0 to 4294967295, not -1"),
    ("str", "Located('x', 0, 2**32)", "ValueError: length must be 0 to 4294967295, not 4294967296"),
    ("str", "Located('x', 0.5, 1)", "TypeError: start must be an int, not float"),
    ("int", "-1", AN_INT),
    ("int", "2**64", AN_INT),
    ("int", "True", "TypeError: it is declared as int, but it returned bool"),
    ("int", "1.0", f"TypeError: it is declared as int, but it returned float {NO_FLOATS}"),
    ("int", "'1'", "TypeError: it is declared as int, but it returned str"),
    ("bool", "1", "TypeError: it is declared as bool, but it returned int"),
    ("datetime", "1.0", f"TypeError: it is declared as datetime, but it returned float {NO_FLOATS}"),
    ("datetime", "date(2020, 1, 1)", "TypeError: it is declared as datetime, but it returned date"),
    (
        "datetime",
        "datetime(2020, 1, 1)",
        "ValueError: the datetime of a field must not be a naive datetime, whose time zone is unknown: give an aware "
        "one, such as datetime.now(timezone.utc)",
    ),
    (
        "datetime",
        "datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)",
        "ValueError: the datetime of a field must not be before 1970, not 1969-12-31 23:59:59+00:00",
    ),
    (
        "datetime",
        "datetime(2600, 1, 1, tzinfo=UTC)",
        "ValueError: the datetime of a field must not be after 2554, not 2600-01-01 00:00:00+00:00",
    ),
    ("timedelta", "1.5", f"TypeError: it is declared as timedelta, but it returned float {NO_FLOATS}"),
    (
        "timedelta",
        "timedelta(seconds=-1)",
        "ValueError: the timedelta of a field must be 0 seconds or more, not -1 day, 23:59:59",
    ),
    ("timedelta", "timedelta.max", "ValueError: the timedelta of a field is longer than 584 years: return str"),
    ("IPv4Address", "'10.0.0.1'", "TypeError: it is declared as IPv4Address | IPv6Address, but it returned str"),
    (
        "IPv4Address | IPv6Address",
        "IPv4Network('10.0.0.0/8')",
        "TypeError: it is declared as IPv4Address | IPv6Address, but it returned IPv4Network",
    ),
    (
        "IPv4Network | IPv6Network",
        "IPv4Address('10.0.0.1')",
        "TypeError: it is declared as IPv4Network | IPv6Network, but it returned IPv4Address",
    ),
    ("list[str]", "'text'", "TypeError: it is declared as list[str], but it returned str"),
    ("list[str]", "('a',)", "TypeError: it is declared as list[str], but it returned tuple"),
    ("list[int]", "{1}", "TypeError: it is declared as list[int], but it returned set"),
    ("list[int]", "(n for n in [1])", "TypeError: it is declared as list[int], but it returned generator"),
    ("list[str]", "['a', 1]", "TypeError: it is declared as list[str], but an element is int"),
    (
        "list[str]",
        "['a', None]",
        "TypeError: it is declared as list[str], but an element is NoneType (leave out what is absent)",
    ),
    ("list[int]", "[1, -1]", AN_INT),
    ("list[str]", "Located(['a'], 0, 1)", "TypeError: it is declared as list[str], but it returned Located"),
]
RETURNING = """
import typing


class Name(str):
    pass


class Number(int):
    pass
"""


def cases(table: Sequence[tuple[str, str, Any]]) -> list[Any]:
    """The rows of a table as parameters: the number of a field, and what has to come."""
    return [pytest.param(number, row[-1], id=f"{row[0]}-{row[1]}") for number, row in enumerate(table)]


@pytest.fixture(scope="module")
def returning(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """A plugin with a field for each row of both tables."""
    body = "".join(
        f"""
@field("{kind}.f{number}", desc="One of the table")
def {kind}_{number}(self, event) -> {annotation}:
    return {expression}
"""
        for kind, rows in (("returned", RETURNED), ("refused", REFUSED))
        for number, (annotation, expression, _) in enumerate(rows)
    )
    library = build_plugin(tmp_path_factory.mktemp("returning"), plugin(body, RETURNING), "returning")
    with Library(library) as loaded:
        yield loaded


def field_logs(library: Library, field: str) -> list[str]:
    """The log lines about a field, without tracebacks."""
    return [text.partition("\n")[0] for _, text in library.logs if f"field {field} " in text]


@pytest.mark.parametrize(("number", "values"), cases(RETURNED))
def test_what_a_method_returns_is_the_fields_value(returning: Library, number: int, values: list[Any] | None) -> None:
    extracted = returning.extract(encoded(b"event"), f"returned.f{number}")
    assert (extracted.code, extracted.values) == (SUCCESS, values)
    assert not field_logs(returning, f"returned.f{number}")


@pytest.mark.parametrize(("number", "cause"), cases(REFUSED))
def test_what_a_field_cannot_be_is_logged_with_the_field_and_both_types(
    returning: Library, number: int, cause: str
) -> None:
    name = f"refused.f{number}"
    assert returning.extract(encoded(b"event"), name) == Extracted(None), "it is absent, which is no failure"
    (line,) = field_logs(returning, name)
    told, place, _ = line.partition(" (returning.py:")
    assert told == f"falco_plugin: field {name} is absent: {cause}"
    assert place, "where the method stands"


# Failures


RAISING = """
@field("fails.always", desc="Fails for two causes, and at two places")
def always(self, event) -> str:
    if event.data == b"key":
        return {}["secret"]
    if event.data == b"other":
        raise ValueError("elsewhere")
    if event.data != b"fine":
        raise ValueError(f"at event {event.number}")
    return "fine"


@field("fails.too", desc="Fails for a cause of its own")
def too(self, event) -> str:
    raise ValueError("too")
"""


def place_of(text: str, function: str) -> str:
    """Where in the plugin a line stands, as failures are told."""
    line = next(number for number, line in enumerate(plugin(RAISING).splitlines(), 1) if text in line)
    return f"(fields.py:{line} in {function})"


def test_a_failure_is_logged_once_for_its_cause_and_then_counted(build) -> None:
    library = build(RAISING)
    at_event, key, elsewhere, too = (
        place_of(text, function)
        for text, function in [
            ("at event", "always"),
            ('{}["secret"]', "always"),
            ("elsewhere", "always"),
            ('ValueError("too")', "too"),
        ]
    )
    with Library(library) as loaded:

        def extract(payload: bytes, field: str = "fails.always", times: int = 1, first: int = 1) -> list[str]:
            """What is logged meanwhile."""
            before = len(loaded.logs)
            for number in range(first, first + times):
                values = loaded.extract(encoded(payload), field, number).values
                assert values == (["fine"] if payload == b"fine" else None)
            assert {severity for severity, _ in loaded.logs[before:]} <= {3}
            return [text.removeprefix("falco_plugin: ") for _, text in loaded.logs[before:]]

        (first,) = extract(b"x")
        assert first.startswith(f"field fails.always is absent: ValueError: at event 1 {at_event}\n  Traceback")
        assert 'raise ValueError(f"at event {event.number}")' in first
        assert extract(b"x", times=8, first=2) == []
        assert extract(b"x", first=10) == [f"field fails.always was absent 10 times: ValueError {at_event}"]
        # The cause is the class and the place, not the text.
        assert extract(b"key")[0].startswith(f"field fails.always is absent: KeyError: 'secret' {key}\n")
        assert extract(b"other")[0].startswith(f"field fails.always is absent: ValueError: elsewhere {elsewhere}\n")
        assert extract(b"x", "fails.too")[0].startswith(f"field fails.too is absent: ValueError: too {too}\n")
        assert extract(b"fine") == []
        assert extract(b"x", times=89, first=11) == []
        assert extract(b"x", first=100) == [f"field fails.always was absent 100 times: ValueError {at_event}"]
        assert extract(b"x", times=5, first=101) == []
        assert extract(b"key", times=2, first=2) == []
        told = len(loaded.logs)
    assert sorted(text.removeprefix("falco_plugin: ") for _, text in loaded.logs[told:]) == sorted(
        [
            f"field fails.always was absent 105 times: ValueError {at_event}",
            f"field fails.always was absent 3 times: KeyError {key}",
        ]
    ), "what was not told yet is told at the end"


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        ("KeyboardInterrupt", "KeyboardInterrupt"),
        ("SystemExit(3)", "SystemExit: 3"),
        ("GeneratorExit", "GeneratorExit"),
        ("StopIteration", "StopIteration"),
        ("EOF", "EOF cannot be raised from field fails.so, only from next_batch"),
        ("Timeout", "Timeout cannot be raised from field fails.so, only from next_batch"),
    ],
)
def test_whatever_a_method_raises_ends_nothing(build, raised: str, told: str) -> None:
    library = build(
        f"""
        @field("fails.so", desc="Fails")
        def so(self, event) -> str:
            raise {raised}

        fine = json_field("fails.not", "", type=int, desc="Does not")
        """
    )
    with Library(library) as loaded:
        assert loaded.extract(encoded(b"7"), "fails.so") == Extracted(None)
        assert loaded.extract(encoded(b"7"), "fails.not").values == [7]
        (line,) = field_logs(loaded, "fails.so")
    assert line.startswith(f"falco_plugin: field fails.so is absent: {told} (fields.py:")


def test_what_is_no_json_makes_a_method_that_reads_it_absent_without_a_word(build) -> None:
    library = build("""
        @field("reads.json", desc="Reads it")
        def reads(self, event) -> int:
            return event.json["a"]
    """)
    with Library(library) as loaded:
        assert loaded.extract(encoded(b"no JSON"), "reads.json") == Extracted(None)
        assert not field_logs(loaded, "reads.json")
        assert loaded.extract(encoded(b"[]"), "reads.json") == Extracted(None)
        assert field_logs(loaded, "reads.json"), "JSON of another shape is the method's to think of"


def test_a_failure_that_cannot_be_told_is_told_once(build) -> None:
    library = build("""
        @field("fails.silently", desc="Fails")
        def silently(self, event) -> int:
            class Silent(Exception):
                def __str__(self):
                    raise SystemExit

            raise Silent
    """)
    with Library(library) as loaded:
        for number in range(9):
            assert loaded.extract(encoded(b""), "fails.silently", number) == Extracted(None)
        (line,) = field_logs(loaded, "fails.silently")
    assert line.startswith(
        "falco_plugin: field fails.silently is absent: Silent: no text, its __str__ raises SystemExit"
    )


def test_the_log_of_a_failure_is_bounded_and_steers_no_terminal(build) -> None:
    library = build(r"""
        @field("fails.loudly", desc="Fails with what stands in the event")
        def loudly(self, event) -> int:
            raise ValueError(event.text)
    """)
    with Library(library) as loaded:
        loaded.extract(encoded(b"\x1b[31m\n[libs]: forged" + b"a" * 10_000_000), "fails.loudly")
        ((_, text),) = loaded.logs
    assert len(text) < 10_000
    assert "\x1b" not in text
    assert all(line.startswith("  ") for line in text.splitlines()[1:]), "no line looks like one of the host"


def test_a_decorator_of_another_module_may_be_around_a_field(tmp_path: Path) -> None:
    files = {
        "safe.py": """
            import functools


            def safe(function):
                @functools.wraps(function)
                def call(self, event):
                    return function(self, event)

                return call
        """,
        "__init__.py": """
            from __future__ import annotations

            from datetime import timedelta as span

            from falco_plugin import Plugin, field

            from .safe import safe


            class Wrapped(Plugin):
                name = "wrapped"
                Text = str

                @safe
                @field("wrapped.time", desc="Its annotation is a name of this module")
                def time(self, event) -> span | None:
                    return span(seconds=1)

                @field("wrapped.text", desc="Its annotation is a name of the class")
                def text(self, event) -> Text:
                    return "text"
        """,
    }
    assert extracted_by(build_plugin(tmp_path, files), "wrapped.time", "wrapped.text") == [[10**9], ["text"]]


def test_a_failure_never_hides_the_fields_beside_it(build) -> None:
    library = build(
        """
        fine = json_field("some.number", "/a", type=int, desc="Fine")

        @field("some.failure", desc="Fails")
        def failure(self, event) -> int:
            raise ValueError

        @field("some.text", desc="Fine")
        def text(self, event) -> str:
            return event.text
        """
    )
    (extracted,) = together(library, ["some.number", "some.failure", "some.text"], [b'{"a": 7}'])
    assert {field: found.values for field, found in extracted.items()} == {
        "some.number": [7],
        "some.failure": None,
        "some.text": ['{"a": 7}'],
    }


# What a host may do


def test_a_required_argument_that_the_host_does_not_give_is_told(table: Path) -> None:
    with Library(table) as loaded:
        event = encoded(PAYLOAD)
        for name in ("method.text.one.index", "method.text.one.key", "method.text.one.both"):
            assert loaded.extract(event, name) == Extracted(None)
            (line,) = field_logs(loaded, name)
            assert line.startswith(
                f"falco_plugin: field {name} is absent: TypeError: the host gave no argument, which the field requires"
            )
        for name in ("pointer.text.one.index", "pointer.text.one.key", "pointer.text.one.pointer"):
            assert loaded.extract(event, name) == Extracted(None)


@pytest.mark.parametrize("argument", ["0", "1", "a", "01"])
@pytest.mark.parametrize("garbage", [0, 5, NO_INDEX])
def test_the_index_of_a_field_that_takes_both_is_read_from_its_key(table: Path, argument: str, garbage: int) -> None:
    # Hosts differ in what they leave in the index where the argument is no number.
    with Library(table) as loaded:
        given = asked(described(table)["fields"], f"method.text.one.both[{argument}]")
        assert (
            loaded.extract(encoded(PAYLOAD), replace(given, index=garbage)).values
            == ({"0": ["one"], "1": ["zwei ü 🦅"], "a": ["one"], "01": [""]}[argument])
        )


def test_what_the_host_leaves_in_an_argument_that_is_not_given_counts_for_nothing(table: Path) -> None:
    fields = described(table)["fields"]
    event = encoded(PAYLOAD)
    with Library(table) as loaded:
        for name in ("method.text.one.maybe_index", "method.text.one.maybe_key", "method.text.one.maybe_both"):
            plain = asked(fields, name)
            expected = loaded.extract(event, plain)
            assert expected.values
            assert loaded.extract(event, replace(plain, index=0, key="a"), number=2) == expected


@pytest.mark.parametrize("number", [10_000, 2**32 - 1])
def test_a_field_that_there_is_not_is_a_failure(table: Path, number: int) -> None:
    with Library(table) as loaded:
        extracted = loaded.extract(encoded(PAYLOAD), Asked("method.text.one.plain", number, 9, False))
    assert extracted == Extracted(None, None, FAILURE, f"there is no field with id {number}")


def not_an_event(**changes: int) -> bytes:
    """An event of 7 bytes payload with other numbers in its header."""
    parts = {"length": PAYLOAD_AT + 7, "type": 322, "id_length": 4, "data_length": 7, **changes}
    header = struct.pack("<QQIHI", 1, 2**64 - 1, parts["length"], parts["type"], 2)
    return header + struct.pack("<III", parts["id_length"], parts["data_length"], 0) + b"payload"


@pytest.mark.parametrize(
    "changes",
    [
        {"type": 0},
        {"type": 402},
        {"type": 323},
        {"length": 0},
        {"length": 25},
        {"length": PAYLOAD_AT - 1},
        {"length": PAYLOAD_AT + 6},
        {"id_length": 8},
        {"id_length": 0},
        {"data_length": 8},
        {"data_length": 2**32 - 1},
    ],
    ids=str,
)
def test_what_is_no_plugin_event_is_a_failure_and_not_read(build, changes: dict[str, int]) -> None:
    library = build("""
        @field("event.text", desc="All of it")
        def all(self, event) -> str:
            return event.text
    """)
    with Library(library) as loaded:
        assert loaded.extract(not_an_event(), "event.text").values == ["payload"]
        extracted = loaded.extract(not_an_event(**changes), "event.text")
        assert extracted == Extracted(None, None, FAILURE, "the event is no plugin event")


def test_extracting_without_an_event_a_state_or_a_request_is_a_failure(table: Path) -> None:
    plain = asked(described(table)["fields"], "method.text.one.plain")
    with Library(table) as loaded:
        extracted = loaded.extract(None, plain)
        assert extracted == Extracted(None, None, FAILURE, "the function was called without an event")
        extract = loaded.api.plugin_extract_fields
        assert extract(loaded.state, None, None) == FAILURE
        assert extract(None, None, None) == FAILURE
        event = held(encoded(PAYLOAD))
        assert loaded.extract(event, plain).values == ["one"], "it goes on afterwards"
        state, loaded.state = loaded.state, None
        assert loaded.ask(event, plain).code == FAILURE
        loaded.state = state


def test_no_function_of_a_library_with_fields_crashes_without_its_handles(table: Path) -> None:
    (line,) = c_host("nulls", table)
    assert (line["ok"], line["unset"], line["success"]) == (True, [], [])


def test_values_are_valid_until_the_next_call_of_the_same_thread(table: Path, in_thread) -> None:
    event = held(encoded(PAYLOAD))
    with Library(table) as loaded:
        numbers = loaded.ask(event, "pointer.number.many.plain")
        # Another thread extracts from other events meanwhile, and fails too.
        in_thread(
            lambda: [loaded.extract(encoded(b'"x"'), "pointer.text.many.plain", number) for number in range(100)]
        ).join()
        in_thread(lambda: loaded.extract(None, "pointer.text.many.plain")).join()
        loaded.last_error()
        assert numbers.read().values == [0, 18446744073709551615, 7]
        texts = loaded.ask(event, "method.text.many.plain")
        in_thread(lambda: loaded.extract(encoded(PAYLOAD), "method.text.one.key[b]", 2)).join()
        assert texts.read().values == ["one", "zwei ü 🦅", ""]


def test_values_are_valid_after_the_event_is_gone(table: Path) -> None:
    event = held(encoded(PAYLOAD))
    with Library(table) as loaded:
        texts = loaded.ask(event, "pointer.text.many.plain")
        ctypes.memset(event, 0xEE, len(event))
        assert texts.read().values == ["one", "zwei ü 🦅", ""]


# Sources with fields, plugins that only extract, threads

EVENTS = """
    def open(self, params):
        yield b'{"n": 1}', 1000
        yield b'{"n": 2}', 2000

    n = json_field("event.n", "/n", type=int, desc="Of the payload")

    @field("event.about", desc="What surrounds the payload")
    def about(self, event) -> str:
        return f"{event.number} {event.timestamp} {event.source} {event.type} {event.data!r}"

    def event_to_string(self, event):
        return f"n is {self.n(event)}"
"""


def test_a_source_has_fields_of_its_own(build) -> None:
    library = build(EVENTS)
    fields = ["event.n", "event.about"]
    about = [f"""{number} {number}000 fields 322 b'{{"n": {number}}}'""" for number in (1, 2)]
    *lines, end = c_host("extract", library, "", "", asked_lines(library, fields))
    assert [[extracted.values for extracted in by_calls(line)] for line in lines] == [
        [[1], [about[0]]],
        [[2], [about[1]]],
    ]
    assert {extracted.places for line in lines for extracted in by_calls(line)} == {None}, "a host may not ask for them"
    assert (end["events"], end["end"]) == (2, "eof")
    *lines, end = runner(library, "--fields", ",".join(fields))
    assert [[told["values"] for told in line["fields"]] for line in lines] == [[[1], [about[0]]], [[2], [about[1]]]]
    assert [line["text"] for line in lines] == ["n is 1", "n is 2"]


def test_in_replay_fields_and_texts_are_asked_without_a_source(build) -> None:
    library = build(EVENTS)
    lines = c_host(
        "replay", library, "", asked_lines(library, ["event.n", "event.about"]), joined([b'{"n": 7}', b"no"])
    )
    *lines, report = sorted(lines, key=lambda line: "log" in line)
    assert report["log"]["text"].startswith("event 2 is not valid JSON at byte 0: not a JSON value; ")
    assert [[extracted.values for extracted in by_calls(line)] for line in lines] == [
        [[7], ["""1 1 fields 322 b'{"n": 7}'"""]],
        [None, ["2 1 fields 322 b'no'"]],
    ]
    assert [line["text"] for line in lines] == ["n is 7", "n is None"]


def test_a_plugin_that_only_extracts_sees_the_events_of_others(table: Path, given: Path, build) -> None:
    library = build("""
        extract_event_sources = ["given", "other"]

        @field("event.source", desc="Where it comes from")
        def of(self, event) -> str:
            return f"{event.source}: {event.text}"
    """)
    fields = "event.source,method.text.one.plain"
    events = runner(given, "--with", table, "--with", library, "--config", "616263,646566", "--fields", fields)
    assert [[told["values"] for told in event["fields"]] for event in events[:-1]] == [
        [["given: abc"], ["one"]],
        [["given: def"], ["one"]],
    ]
    (extracted,) = replay(library, ["event.source"], [b"abc"])
    assert extracted["event.source"].values == ["other: abc"]


TWINS = """
number = json_field("twin.number", "/number", type=int, desc="Out of JSON")
names = json_field("twin.names", "/names/{index|*}", type=list[str], desc="Out of JSON")
any = json_field("twin.any", "{pointer}", desc="Out of JSON")


@field("twin.text", desc="By Python")
def text(self, event, key: str | None = None) -> str:
    return f"{key} {event.text}"


@field("twin.both", desc="By Python, over JSON")
def both(self, event) -> list[str]:
    return [f"{self.number(event)} {name}" for name in self.names(event) or ()]


@field("twin.failure", desc="Fails for some")
def failure(self, event) -> int:
    return 1000 // (event.json["number"] % 3)
"""


@pytest.mark.parametrize("states", [1, 2])
def test_two_threads_extract_at_once_and_mix_nothing(build, states: int) -> None:
    library = build(TWINS)
    names = [
        [f"{letter * length}-{number}" for letter in "abc"[:number]] for number, length in enumerate((5, 1, 90, 7))
    ]
    payloads = [json.dumps({"number": number, "names": names[number]}).encode() for number in range(4)]
    fields = ["twin.number", "twin.names", "twin.names[1]", "twin.any[/names/0]", "twin.text", "twin.text[k]"]
    fields += ["twin.both", "twin.failure"]
    *events, first, second = c_host("twins", library, "", asked_lines(library, fields), joined(payloads), 100, states)
    assert [[extracted.values for extracted in by_calls(line)] for line in events] == [
        [
            [number],
            names[number] or None,
            names[number][1:2] or None,
            names[number][:1] or None,
            [f"None {payload.decode()}"],
            [f"k {payload.decode()}"],
            [f"{number} {name}" for name in names[number]] or None,
            None if number % 3 == 0 else [1000 // (number % 3)],
        ]
        for number, payload in enumerate(payloads)
    ]
    calls = 100 * len(payloads) * len(fields)
    assert (first, second) == (
        {"thread": 1, "calls": calls, "wrong": 0},
        {"thread": 2, "calls": calls, "wrong": 0},
    )


# What a library says of its fields before it is initialised

STATIC = """
    @field(
        "the.method", desc="Ünïcode \\"quoted\\"", display="The method", add_output=True, hidden=True, info=True,
        conversation=True,
    )
    def method(self, event) -> list[int]:
        return []

    plain = json_field("the.plain", "/a", desc="Plain")
    output = json_field("the.output", "/a", desc="Output", add_output=True, conversation=True)
    index = json_field("the.index", "/a/{index}", type=bool, desc="Index")
    maybe = json_field("the.maybe", "/a/{index|*}", type=list[datetime], desc="Maybe")
    key = json_field("the.key", "/a/{key}", type=timedelta, desc="Key")
    pointer = json_field("the.pointer", "{pointer}", type=IPv4Address | IPv6Address, desc="Pointer")
    both = json_field("the.both", "/{key}/{index}", type=IPv4Network | IPv6Network, desc="Both")

    @field("the.either", desc="Either")
    def either(self, event, index: int | None = None, key: str | None = None) -> str:
        return ""
"""
TOLD = [
    {
        "name": "the.method",
        "type": "uint64",
        "isList": True,
        "desc": 'Ünïcode "quoted"',
        "display": "The method",
        "addOutput": True,
        "properties": ["hidden", "info", "conversation"],
    },
    {"name": "the.plain", "type": "string", "isList": False, "desc": "Plain"},
    {
        "name": "the.output",
        "type": "string",
        "isList": False,
        "desc": "Output",
        "addOutput": True,
        "properties": ["conversation"],
    },
    {
        "name": "the.index",
        "type": "bool",
        "isList": False,
        "desc": "Index",
        "arg": {"isRequired": True, "isIndex": True, "isKey": False},
    },
    {
        "name": "the.maybe",
        "type": "abstime",
        "isList": True,
        "desc": "Maybe",
        "arg": {"isRequired": False, "isIndex": True, "isKey": False},
    },
    {
        "name": "the.key",
        "type": "reltime",
        "isList": False,
        "desc": "Key",
        "arg": {"isRequired": True, "isIndex": False, "isKey": True},
    },
    {
        "name": "the.pointer",
        "type": "ipaddr",
        "isList": False,
        "desc": "Pointer",
        "arg": {"isRequired": True, "isIndex": False, "isKey": True},
    },
    {
        "name": "the.both",
        "type": "ipnet",
        "isList": False,
        "desc": "Both",
        "arg": {"isRequired": True, "isIndex": True, "isKey": True},
    },
    {
        "name": "the.either",
        "type": "string",
        "isList": False,
        "desc": "Either",
        "arg": {"isRequired": False, "isIndex": True, "isKey": True},
    },
]
OPENS = """
    def open(self, params):
        return []
"""
NEEDED = {
    "plugin_get_required_api_version",
    "plugin_get_name",
    "plugin_get_description",
    "plugin_get_contact",
    "plugin_get_version",
    "plugin_init",
    "plugin_destroy",
    "plugin_get_last_error",
}
SOURCING = {
    "plugin_get_id",
    "plugin_get_event_source",
    "plugin_open",
    "plugin_close",
    "plugin_next_batch",
    "plugin_get_progress",
    "plugin_event_to_string",
}
EXTRACTION = {
    "plugin_get_fields",
    "plugin_extract_fields",
    "plugin_get_extract_event_sources",
    "plugin_get_extract_event_types",
}
KINDS = {
    # of a plugin: its body, symbols, required API version, sources of the events that it extracts from
    "source": (OPENS, NEEDED | SOURCING, "3.5.0", None),
    "extracts": (STATIC, NEEDED | EXTRACTION, "3.11.0", []),
    "extracts from some": (
        'extract_event_sources = ("one", "two")\n' + textwrap.dedent(STATIC),
        NEEDED | EXTRACTION,
        "3.11.0",
        ["one", "two"],
    ),
    "both": (textwrap.dedent(STATIC) + textwrap.dedent(OPENS), NEEDED | SOURCING | EXTRACTION, "3.11.0", []),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_library_has_what_its_kind_of_plugin_needs_and_no_more(build, kind: str) -> None:
    body, symbols, version, sources = KINDS[kind]
    library = build(body)
    (line,) = c_host("symbols", library)
    assert set(line["symbols"]) == symbols
    assert described(library) == {
        "required_api_version": version,
        "fields": None if sources is None else TOLD,
        "extract_event_sources": sources,
        "schema": None,
        # Never none: a host may then hand over events of the system.
        "extract_event_types": None if sources is None else [322],
    }


@pytest.mark.parametrize("kind", KINDS)
def test_the_loader_of_the_go_sdk_accepts_each_kind(build, kind: str) -> None:
    body, symbols, version, sources = KINDS[kind]
    info, init, *_ = golang(build(body))
    assert info["info"]["required_api_version"] == version
    assert info["info"]["caps"] == {
        "sourcing": symbols >= SOURCING,
        "extraction": symbols >= EXTRACTION,
        "broken": False,
        "broken_error": None,
    }
    assert info["info"]["fields"] == ([] if sources is None else [field["name"] for field in TOLD])
    assert (info["info"]["extract_event_sources"] or []) == (sources or [])
    assert init == {"init": "ok"}


def test_a_damaged_library_tells_a_field_that_hosts_accept_and_why_at_init(build) -> None:
    library = build(STATIC)
    library.write_bytes(library.read_bytes()[:-10])
    assert [told["name"] for told in described(library)["fields"]] == ["unreadable.library"]
    assert "build it again" in failed_init(library)


# How fields are declared


def extracted_by(library: Path, *fields: str, payload: bytes = b'{"a": "of JSON"}') -> list[Any]:
    """The values of some fields of one event."""
    (extracted,) = replay(library, fields, [payload])
    return [found.values for found in extracted.values()]


def test_annotations_may_be_strings_and_that_of_the_event_unknown(tmp_path: Path) -> None:
    source = """
        from __future__ import annotations

        from datetime import datetime
        from typing import TYPE_CHECKING

        from falco_plugin import Located, Plugin, field

        if TYPE_CHECKING:
            from falco_plugin import Event
            from nowhere import Other


        class Future(Plugin):
            name = "future"

            @field("future.index", desc="All that there is")
            def index(self, event: Event, index: int | None = None) -> list[Located[str]] | None:
                note: Other = event.text
                return [Located(f"{index} {note}", 0, 1)]

            @field("future.time", desc="Of a class that is there at run time")
            def time(self, event: Event) -> datetime | None:
                return None
    """
    library = build_plugin(tmp_path, source)
    assert extracted_by(library, "future.index[3]", "future.index", "future.time", payload=b"x") == [
        ["3 x"],
        ["None x"],
        None,
    ]


def test_fields_are_inherited_overridden_and_taken_away(tmp_path: Path) -> None:
    files = {
        "base.py": """
            from falco_plugin import Plugin, field, json_field


            class Common:
                @field("common.mixed", desc="Of a class that is no plugin")
                def mixed(self, event) -> str:
                    return f"{self.name} {self.word(event)}"


            class Base(Plugin):
                name = "base"
                json = json_field("base.json", "/a", desc="Stays")

                @field("base.word", desc="In the base")
                def word(self, event) -> str:
                    return "base"

                @field("base.gone", desc="Is taken away")
                def gone(self, event) -> str:
                    return "base"

                @field("base.renamed", desc="Gets another name and type")
                def renamed(self, event) -> str:
                    return "base"

                @field("base.kept", desc="Is overridden as any method is")
                def kept(self, event) -> str:
                    return "base"
        """,
        "__init__.py": """
            from falco_plugin import field, json_field

            from .base import Base, Common


            class Derived(Common, Base):
                name = "derived"
                gone = None

                def kept(self, event, index: int | None = None) -> list[str]:
                    return ["derived"]

                more = json_field("derived.more", "/b", desc="More")

                @field("base.word", desc="In the derived class")
                def word(self, event) -> str:
                    return f"derived from {super().word(event)}"

                @field("derived.renamed", desc="Renamed")
                def renamed(self, event) -> list[int]:
                    return [1, 2]
        """,
    }
    library = build_plugin(tmp_path, files)
    fields = ["base.json", "base.word", "derived.renamed", "base.kept", "common.mixed", "derived.more"]
    assert [told["name"] for told in described(library)["fields"]] == fields
    assert described(library)["fields"][1]["desc"] == "In the derived class"
    assert extracted_by(library, *fields) == [
        ["of JSON"],
        ["derived from base"],
        [1, 2],
        ["derived"],
        ["derived derived from base"],
        None,
    ]


def test_a_factory_may_make_the_plugin_and_its_object_need_be_no_plugin_class(tmp_path: Path) -> None:
    source = """
        from falco_plugin import field, json_field, source


        class Own:
            name = event_source = "own"
            version, id, description, contact = "1.2.3", 999, "Own", ""

            def __init__(self, word):
                self.word = word

            def open(self, params):
                return [b"{}"]

            a = json_field("own.a", "/a", desc="Out of JSON")

            @field("own.word", desc="Of the object")
            def of_object(self, event) -> str:
                return f"{self.word} {self.a(event)}"


        def make():
            own = Own("word")
            source.register(own)
            return own
    """
    target = write_sources(tmp_path, {"own.py": source}) / "own.py"
    library = tmp_path / "own.so"
    built = CliRunner().invoke(main, ["build", f"{target}:make", "-o", str(library)])
    assert built.exit_code == 0, built.output
    assert extracted_by(library, "own.a", "own.word") == [["of JSON"], ["word of JSON"]]


def test_a_field_uses_the_configuration_and_what_init_made(build) -> None:
    library = build("""
        def init(self):
            self.words = self.config.split()

        @field("config.words", desc="Of the configuration")
        def of_config(self, event) -> list[str]:
            return self.words
    """)
    (extracted,) = replay(library, ["config.words"], [b""], config="one two")
    assert extracted["config.words"].values == ["one", "two"]


def test_index_and_key_may_come_in_any_order_and_by_name_only(build) -> None:
    library = build("""
        @field("order.turned", desc="Key first")
        def turned(self, event, key: str | None = None, index: int | None = None) -> str:
            return f"{index!r} {key!r}"

        @field("order.named", desc="By name")
        def named(self, event, *, key: str | None, index: int | None) -> str:
            return f"{index!r} {key!r}"

        @field("order.one", desc="By name")
        def one(self, event, *, index: int | None = None) -> str:
            return f"{index!r}"

        @field("order.bare", desc="Without annotations")
        def bare(self, _event, /, index, key=None) -> str:
            return f"{index!r} {key!r}"
    """)
    asked_for = ["order.turned", "order.turned[3]", "order.turned[a]", "order.named[3]", "order.named[a]"]
    asked_for += ["order.one", "order.one[0]", "order.bare[7]", "order.bare[b]"]
    assert extracted_by(library, *asked_for) == [
        ["None None"],
        ["3 '3'"],
        ["None 'a'"],
        ["3 '3'"],
        ["None 'a'"],
        ["None"],
        ["0"],
        ["7 '7'"],
        ["None 'b'"],
    ]


# What is refused when a library is built

POSSIBLE = (
    "it can be str, int, bool, datetime, timedelta, IPv4Address | IPv6Address, IPv4Network | IPv6Network, or a list of "
    "one of them"
)
NAME = (
    "Falco does not accept this name: use parts of letters, digits and '_' that begin with a letter, joined by dots, "
    "such as shop.order.id"
)
NEITHER = "is neither index nor key: the argument in brackets comes as index: int, or as key: str"
PLAIN = "one must be a plain method that returns the value, not async and no generator"


def method(parameters: str = "", returned: str = "str") -> str:
    """A field a.b by a method with these parameters and this annotation."""
    return f'@field("a.b", desc="x")\ndef one(self, event{parameters}) -> {returned}: ...'


BROKEN = [
    # What stands in the class; the message, in which a class that cannot be made has its place behind it.
    (
        f'{method()}\ntwo = json_field("a.b", "/x", desc="x")',
        "field a.b: it is declared twice: give one of them another name",
    ),
    (
        'one = json_field("a.b", "/x", desc="x")\ntwo = one',
        "field a.b: it is declared twice: give one of them another name",
    ),
    (
        method(returned="float"),
        f"field a.b: float is no type of a field (Falco has no floats: use str or int); {POSSIBLE}",
    ),
    (method(returned="bytes"), f"field a.b: bytes is no type of a field (decode it: use str); {POSSIBLE}"),
    (
        method(returned="list[float]"),
        f"field a.b: list[float] is no type of a field (Falco has no floats: use str or int); {POSSIBLE}",
    ),
    (method(returned="dict"), f"field a.b: dict is no type of a field; {POSSIBLE}"),
    (method(returned="list"), f"field a.b: list is no type of a field (say of what, such as list[str]); {POSSIBLE}"),
    (method(returned="Located[list[str]]"), f"field a.b: Located[list[str]] is no type of a field; {POSSIBLE}"),
    (
        method(returned="Located"),
        f"field a.b: Located is no type of a field (say of what, such as Located[str]); {POSSIBLE}",
    ),
    (
        method(", index: int, key: str | None"),
        "field a.b: index must be int | None: beside the other one it may be missing",
    ),
    (method(returned="list[list[str]]"), f"field a.b: list[list[str]] is no type of a field; {POSSIBLE}"),
    (method(returned="list[str | None]"), f"field a.b: list[str | None] is no type of a field; {POSSIBLE}"),
    (method(returned="tuple[str, ...]"), f"field a.b: tuple[str, ...] is no type of a field; {POSSIBLE}"),
    (method(returned="str | int"), f"field a.b: str | int is no type of a field; {POSSIBLE}"),
    (method(returned="str | list[str]"), f"field a.b: str | list[str] is no type of a field; {POSSIBLE}"),
    (method(returned="None"), f"field a.b: None is no type of a field; {POSSIBLE}"),
    (
        method(returned='"Missing"'),
        "field a.b: the annotation 'Missing' cannot be read (NameError: name 'Missing' is not defined): import what it "
        "names at run time, not only for type checkers",
    ),
    (
        '@field("a.b", desc="x")\ndef one(self, event): ...',
        "field a.b: one must say what it returns, such as def one(self, event) -> str",
    ),
    (
        '@field("a.b", desc="x")\ndef one(self) -> str: ...',
        "field a.b: one must take the event: def one(self, event) -> …",
    ),
    (
        method(", other: int"),
        f"field a.b: its parameter 'other' {NEITHER}",
    ),
    (
        method(", other: int = 3"),
        f"field a.b: its parameter 'other' {NEITHER}",
    ),
    (
        method(", *index"),
        f"field a.b: its parameter 'index' {NEITHER}",
    ),
    (method(", index: str"), "field a.b: index must be int or int | None, not str"),
    (method(", *, key: int | None"), "field a.b: key must be str or str | None, not int | None"),
    (
        method(", index: int = 3"),
        "field a.b: the default of index must be None, for an argument that may be left out",
    ),
    (method().replace("def", "async def"), f"field a.b: {PLAIN}"),
    ('@field("a.b", desc="x")\ndef one(self, event) -> str:\n    yield "x"', f"field a.b: {PLAIN}"),
    (f"@staticmethod\n{method()}", "field a.b: @field is for methods, not for staticmethod"),
    (f"@classmethod\n{method()}", "field a.b: @field is for methods, not for classmethod"),
    (f"@property\n{method()}", "field a.b: @field is for methods, not for property"),
    (method().replace("\n", "\n@staticmethod\n", 1), "field a.b: @field is for methods, not for staticmethod"),
    (
        method().replace("\n", "\n@property\n", 1),
        "TypeError: field a.b: @field is for methods, not for property (broken.py:8 in Broken)",
    ),
    (method().replace("a.b", "nodot"), f"field nodot: {NAME}"),
    (method().replace("a.b", "a.2b"), f"field a.2b: {NAME}"),
    (method().replace("a.b", "a-b.c"), f"field a-b.c: {NAME}"),
    (method().replace("a.b", ""), f"field : {NAME}"),
    ('one = json_field("a.b ", "/x", desc="x")', f"field a.b : {NAME}"),
    (method().replace('"x"', '" "'), "field a.b: desc is empty: say what the field means"),
    ('one = json_field("a.b", "/x", desc=None)', "field a.b: desc is empty: say what the field means"),
    (
        method().replace(', desc="x"', ""),
        "TypeError: field() missing 1 required keyword-only argument: 'desc' (broken.py:8 in Broken)",
    ),
    ('one = json_field("a.b", "/x", desc="x", display=3)', "field a.b: display must be str, not int"),
    (r'one = json_field("a.b", "/x", desc="x\0")', "field a.b: desc and display must not contain NUL"),
    (
        'one = json_field("a.b", "x/y", desc="x")',
        'ValueError: field a.b: the pointer "x/y" must begin with "/", such as "/user/name" (broken.py:8 in Broken)',
    ),
    (
        'one = json_field("a.b", "/x/~2", desc="x")',
        'ValueError: field a.b: the pointer has "~2": write ~ as ~0, and / as ~1 (broken.py:8 in Broken)',
    ),
    (
        'one = json_field("a.b", "/x/{name}", desc="x")',
        "ValueError: field a.b: the pointer has {name}: it can have {index}, {index|*}, {key}, or be {pointer} "
        "(broken.py:8 in Broken)",
    ),
    (
        'one = json_field("a.b", "/x/*", desc="x")',
        'ValueError: field a.b: the pointer "/x/*" names several values, but the type is no list: use list[…] '
        "(broken.py:8 in Broken)",
    ),
    (
        'one = json_field("a.b", "/x", type=list[str], desc="x")',
        'ValueError: field a.b: the pointer "/x" names one value, but the type is a list: give it a * for "each '
        'element", or a type that is no list (broken.py:8 in Broken)',
    ),
    (
        'one = json_field("a.b", "/x", type=float, desc="x")',
        f"TypeError: field a.b: float is no type of a field (Falco has no floats: use str or int); {POSSIBLE} "
        "(broken.py:8 in Broken)",
    ),
    (
        'log = json_field("a.b", "/x", desc="x")',
        "Broken: the field a.b hides the plugin's own 'log': give its attribute another name",
    ),
    (
        '@field("a.b", desc="x")\ndef open(self, event) -> str: ...',
        "Broken: the field a.b hides the plugin's own 'open': give its attribute another name",
    ),
    (
        'one = json_field("a.b", "/x/y{key}", desc="x")',
        "ValueError: field a.b: the pointer has y{key}: an argument is all that stands between two slashes "
        "(broken.py:8 in Broken)",
    ),
    (
        'one = json_field("a.b", 3, desc="x")',
        "TypeError: field a.b: the pointer must be str, not int (broken.py:8 in Broken)",
    ),
    (
        'one = json_field("a.b", "/x", desc="x", hidden="yes")',
        "field a.b: hidden must be bool, not str",
    ),
    (
        'one = json_field("a.b", "/x", desc="\\ud800")',
        "field a.b: desc and display must be valid Unicode, without halves of surrogate pairs",
    ),
    (
        f'extract_event_sources = "one"\n{method()}',
        "Broken: extract_event_sources must be a tuple of names, not str",
    ),
    (
        f'extract_event_sources = ("syscall",)\n{method()}',
        "Broken: extract_event_sources has 'syscall', which is no event source of a plugin",
    ),
    (
        f'extract_event_sources = ("Upper",)\n{method()}',
        "Broken: extract_event_sources has 'Upper', which is no event source of a plugin",
    ),
    (
        'extract_event_sources = ("one",)\ndef open(self, params): ...',
        "Broken has extract_event_sources, but no fields to extract: declare some, or leave it out",
    ),
    (
        f'event_source = "own"\n{method()}',
        "Broken has an event_source, but no open(self, params) to make its events: define it, or name the sources that "
        "its fields are for, as extract_event_sources = ('own',)",
    ),
    (
        "",
        "Broken has no capability: define open(self, params) to make it an event source, or fields to extract from "
        "events",
    ),
]


@pytest.mark.parametrize(("body", "message"), BROKEN, ids=[body for body, _ in BROKEN])
def test_what_is_no_field_is_refused_when_the_library_is_built(tmp_path: Path, body: str, message: str) -> None:
    source = (
        "from datetime import datetime\nfrom ipaddress import IPv4Address\n\n"
        "from falco_plugin import Located, Plugin, field, json_field\n\n"
        "class Broken(Plugin):\n"
        '    name = "broken"\n' + textwrap.indent(body, "    ")
    )
    target = write_sources(tmp_path, {"broken.py": source}) / "broken.py"
    library = tmp_path / "broken.so"
    built = CliRunner().invoke(main, ["build", str(target), "-o", str(library)])
    doing = "" if "(broken.py:" not in message else " cannot be imported"
    # The line of the class or of the field stands behind the path.
    told = re.sub(rf"^falco-plugin: {re.escape(str(target))}:\d+: ", f"falco-plugin: {target}: ", built.stderr)
    assert (built.exit_code, built.stdout, told) == (1, "", f"falco-plugin: {target}{doing}: {message}\n")
    assert not library.exists()
