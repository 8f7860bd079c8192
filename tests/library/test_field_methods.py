"""Values that the method of a field returns, and what the host receives for them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from support.embedded import Library
from support.events import PAYLOAD_AT, SUCCESS, encode_event
from support.field_plugins import extract_values, field_log_lines, fields_plugin
from support.fields import Extraction, replay
from support.libraries import build_plugin


def test_method_may_return_offsets(build_fields) -> None:
    library = build_fields("""
        @field("at.word", desc="The second word")
        def word(self, event) -> Located[str] | None:
            before, _, rest = event.data.partition(b" ")
            word = rest.partition(b" ")[0]
            return Located(word.decode(), len(before) + 1, len(word)) if word else None

        @field("at.numbers", desc="Each number, and their sum, which has no offset")
        def numbers(self, event) -> list[Located[int]]:
            offset, found = 0, []
            for part in event.data.split(b" "):
                if part.isdigit():
                    found.append(Located(int(part), offset, len(part)))
                offset += len(part) + 1
            return [*found, sum(number.value for number in found)]
    """)
    payload = b"one 22 three 4"
    (extracted,) = replay(library, ["at.word", "at.numbers"], [payload])
    assert extracted["at.word"] == Extraction(["22"], [(PAYLOAD_AT + 4, 2)])
    assert extracted["at.numbers"] == Extraction([22, 4, 26], [(PAYLOAD_AT + 4, 2), (PAYLOAD_AT + 13, 1), (0, 0)])
    (nothing,) = replay(library, ["at.word"], [b"alone"])
    assert nothing["at.word"] == Extraction(None)


@pytest.mark.parametrize(
    "future",
    [
        "from __future__ import annotations",
        pytest.param(
            "", marks=pytest.mark.skipif(sys.version_info < (3, 14), reason="annotations are evaluated immediately")
        ),
    ],
)
def test_annotations_may_use_later_names(build_fields, future: str) -> None:
    library = build_fields(
        """
        @field("forward.size", desc="The number of bytes, and the argument")
        def size(self, event: OnlyForTypeCheckers, index: Later | None = None) -> list[Later]:
            return [len(event.data), index or 0]

        @field("forward.word", desc="The payload")
        def word(self, event: Event) -> str | None:
            return event.text

        Later = int
        """,
        f"{future}\nfrom typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from nowhere import OnlyForTypeCheckers",
    )
    assert extract_values(library, "forward.size", "forward.size[7]", "forward.word", payload=b"abc") == [
        [3, 0],
        [3, 7],
        ["abc"],
    ]


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
INT_OUT_OF_RANGE = "ValueError: the int of a field must be 0 to 2**64 - 1: return str for other numbers"
NO_FLOATS = "(Falco has no floats: return str or int)"
REJECTED = [
    ("str", "1.5", f"TypeError: it is declared as str, but it returned float {NO_FLOATS}"),
    ("str", "7", "TypeError: it is declared as str, but it returned int"),
    ("str", "b'x'", "TypeError: it is declared as str, but it returned bytes (decode it)"),
    ("str", "['x']", "TypeError: it is declared as str, but it returned list"),
    ("str", "Located(1.5, 0, 1)", f"TypeError: it is declared as str, but it returned float {NO_FLOATS}"),
    (
        "str",
        "Located('x', 4, 2)",
        "ValueError: Located at 4 with length 2 is outside of the event, which has 5 bytes: count from the first "
        "byte of event.data",
    ),
    ("str", "Located('x', -1, 1)", "ValueError: start must be 0 to 4294967295, got -1"),
    ("str", "Located('x', 0, 2**32)", "ValueError: length must be 0 to 4294967295, got 4294967296"),
    ("str", "Located('x', 0.5, 1)", "TypeError: start must be an int, got float"),
    ("int", "-1", INT_OUT_OF_RANGE),
    ("int", "2**64", INT_OUT_OF_RANGE),
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
        "ValueError: the datetime of a field must not be before 1970, got 1969-12-31 23:59:59+00:00",
    ),
    (
        "datetime",
        "datetime(2600, 1, 1, tzinfo=UTC)",
        "ValueError: the datetime of a field must not be after 2554, got 2600-01-01 00:00:00+00:00",
    ),
    ("timedelta", "1.5", f"TypeError: it is declared as timedelta, but it returned float {NO_FLOATS}"),
    (
        "timedelta",
        "timedelta(seconds=-1)",
        "ValueError: the timedelta of a field must be 0 seconds or more, got -1 day, 23:59:59",
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
        "TypeError: it is declared as list[str], but an element is NoneType (leave absent values out of the list)",
    ),
    ("list[int]", "[1, -1]", INT_OUT_OF_RANGE),
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
    """Returns a parameter for each row of a table: the number of the field and the expected result."""
    return [pytest.param(number, row[-1], id=f"{row[0]}-{row[1]}") for number, row in enumerate(table)]


@pytest.fixture(scope="module")
def returning(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """Loads a plugin with a field for each row of both tables."""
    body = "".join(
        f"""
@field("{kind}.f{number}", desc="A row of the table")
def {kind}_{number}(self, event) -> {annotation}:
    return {expression}
"""
        for kind, rows in (("returned", RETURNED), ("rejected", REJECTED))
        for number, (annotation, expression, _) in enumerate(rows)
    )
    library = build_plugin(tmp_path_factory.mktemp("returning"), fields_plugin(body, RETURNING), "returning")
    with Library(library) as loaded:
        yield loaded


@pytest.mark.parametrize(("number", "values"), cases(RETURNED))
def test_method_result_is_field_value(returning: Library, number: int, values: list[Any] | None) -> None:
    extracted = returning.extract(encode_event(b"event"), f"returned.f{number}")
    assert (extracted.code, extracted.values) == (SUCCESS, values)
    assert not field_log_lines(returning, f"returned.f{number}")


@pytest.mark.parametrize(("number", "cause"), cases(REJECTED))
def test_wrong_result_type_is_logged_with_types(returning: Library, number: int, cause: str) -> None:
    name = f"rejected.f{number}"
    assert returning.extract(encode_event(b"event"), name) == Extraction(None), (
        "the field is absent, and the call succeeds"
    )
    (line,) = field_log_lines(returning, name)
    message, location, _ = line.partition(" (returning.py:")
    assert message == f"falco_plugin: field {name} is absent: {cause}"
    assert location, "the message names the line of the method"
