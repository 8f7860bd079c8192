"""Field declarations that `build` rejects, with the error message."""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.libraries import write_sources

from falco_plugin.cli.main import main

TYPES = (
    "use str, int, bool, datetime, timedelta, IPv4Address | IPv6Address, IPv4Network | IPv6Network, or a list of "
    "one of them"
)
INVALID_NAME = (
    "Falco does not accept this name: use parts of letters, digits and '_' that begin with a letter, joined by dots, "
    "such as shop.order.id"
)
UNKNOWN_PARAMETER = "is neither index nor key: the argument in brackets is passed as index: int, or as key: str"
NOT_A_PLAIN_METHOD = "one must return the value: define it without async and without yield"


def method(parameters: str = "", returned: str = "str") -> str:
    """Returns the code of a method for the field a.b, with these parameters and this return annotation."""
    return f'@field("a.b", desc="x")\ndef one(self, event{parameters}) -> {returned}: ...'


INVALID_DECLARATIONS = [
    # The class body and the error message. The message ends with a location if the class cannot be created.
    (
        f'{method()}\ntwo = json_field("a.b", "/x", desc="x")',
        "field a.b: the field is declared twice: give one of the two another name",
    ),
    (
        'one = json_field("a.b", "/x", desc="x")\ntwo = one',
        "field a.b: the field is declared twice: give one of the two another name",
    ),
    (
        method(returned="float"),
        f"field a.b: float is not a type of a field (Falco has no floats: use str or int): {TYPES}",
    ),
    (method(returned="bytes"), f"field a.b: bytes is not a type of a field (decode it: use str): {TYPES}"),
    (
        method(returned="list[float]"),
        f"field a.b: list[float] is not a type of a field (Falco has no floats: use str or int): {TYPES}",
    ),
    (method(returned="dict"), f"field a.b: dict is not a type of a field: {TYPES}"),
    (
        method(returned="list"),
        f"field a.b: list is not a type of a field (name the type of the elements, such as list[str]): {TYPES}",
    ),
    (
        method(returned="Located[list[str]]"),
        f"field a.b: Located[list[str]] is not a type of a field: {TYPES}",
    ),
    (
        method(returned="Located"),
        f"field a.b: Located is not a type of a field (name the type of the value, such as Located[str]): {TYPES}",
    ),
    (
        method(", index: int, key: str | None"),
        "field a.b: index must be int | None: it is None if only the other one is passed",
    ),
    (method(returned="list[list[str]]"), f"field a.b: list[list[str]] is not a type of a field: {TYPES}"),
    (method(returned="list[str | None]"), f"field a.b: list[str | None] is not a type of a field: {TYPES}"),
    (method(returned="tuple[str, ...]"), f"field a.b: tuple[str, ...] is not a type of a field: {TYPES}"),
    (method(returned="str | int"), f"field a.b: str | int is not a type of a field: {TYPES}"),
    (method(returned="str | list[str]"), f"field a.b: str | list[str] is not a type of a field: {TYPES}"),
    (method(returned="None"), f"field a.b: None is not a type of a field: {TYPES}"),
    (
        method(returned='"Missing"'),
        "field a.b: the annotation 'Missing' cannot be evaluated (NameError: name 'Missing' is not defined): import "
        "the names in it at run time, not only for type checkers",
    ),
    (
        '@field("a.b", desc="x")\ndef one(self, event): ...',
        "field a.b: one has no return annotation: add one, as in def one(self, event) -> str",
    ),
    (
        '@field("a.b", desc="x")\ndef one(self) -> str: ...',
        "field a.b: one must take the event: def one(self, event) -> …",
    ),
    (
        method(", other: int"),
        f"field a.b: the parameter 'other' {UNKNOWN_PARAMETER}",
    ),
    (
        method(", other: int = 3"),
        f"field a.b: the parameter 'other' {UNKNOWN_PARAMETER}",
    ),
    (
        method(", *index"),
        f"field a.b: the parameter 'index' {UNKNOWN_PARAMETER}",
    ),
    (method(", index: str"), "field a.b: index must be int or int | None, not str"),
    (method(", *, key: int | None"), "field a.b: key must be str or str | None, not int | None"),
    (
        method(", index: int = 3"),
        "field a.b: the default of index must be None, which means that rules have no argument",
    ),
    (method().replace("def", "async def"), f"field a.b: {NOT_A_PLAIN_METHOD}"),
    ('@field("a.b", desc="x")\ndef one(self, event) -> str:\n    yield "x"', f"field a.b: {NOT_A_PLAIN_METHOD}"),
    (f"@staticmethod\n{method()}", "field a.b: @field is for methods, not for staticmethod"),
    (f"@classmethod\n{method()}", "field a.b: @field is for methods, not for classmethod"),
    (f"@property\n{method()}", "field a.b: @field is for methods, not for property"),
    (method().replace("\n", "\n@staticmethod\n", 1), "field a.b: @field is for methods, not for staticmethod"),
    (
        method().replace("\n", "\n@property\n", 1),
        "TypeError: field a.b: @field is for methods, not for property (broken.py:8 in Broken)",
    ),
    (method().replace("a.b", "nodot"), f"field nodot: {INVALID_NAME}"),
    (method().replace("a.b", "a.2b"), f"field a.2b: {INVALID_NAME}"),
    (method().replace("a.b", "a-b.c"), f"field a-b.c: {INVALID_NAME}"),
    (method().replace("a.b", ""), f"field : {INVALID_NAME}"),
    ('one = json_field("a.b ", "/x", desc="x")', f"field a.b : {INVALID_NAME}"),
    (method().replace('"x"', '" "'), "field a.b: desc is empty: describe what the field means"),
    ('one = json_field("a.b", "/x", desc=None)', "field a.b: desc is empty: describe what the field means"),
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
        "ValueError: field a.b: the pointer has {name}: use {index}, {index|*} or {key}, or {pointer} alone "
        "(broken.py:8 in Broken)",
    ),
    (
        'one = json_field("a.b", "/x/*", desc="x")',
        'ValueError: field a.b: the pointer "/x/*" leads to several values, but the type is not a list: use list[…] '
        "(broken.py:8 in Broken)",
    ),
    (
        'one = json_field("a.b", "/x", type=list[str], desc="x")',
        'ValueError: field a.b: the pointer "/x" leads to one value, but the type is a list: add a * for "each '
        'element" to the pointer, or use a type that is not a list (broken.py:8 in Broken)',
    ),
    (
        'one = json_field("a.b", "/x", type=float, desc="x")',
        f"TypeError: field a.b: float is not a type of a field (Falco has no floats: use str or int): {TYPES} "
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
        "ValueError: field a.b: the pointer has y{key}: write nothing else between the two slashes around an argument "
        "(broken.py:8 in Broken)",
    ),
    (
        'one = json_field("a.b", 3, desc="x")',
        "TypeError: field a.b: pointer must be str, not int (broken.py:8 in Broken)",
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
        f'extract_event_sources = ("internal",)\n{method()}',
        "Broken: extract_event_sources has 'internal', which is not the name of an event source: use the event_source "
        "of a plugin, or 'syscall'",
    ),
    (
        f'extract_event_sources = ("Upper",)\n{method()}',
        "Broken: extract_event_sources has 'Upper', which is not the name of an event source: use the event_source of "
        "a plugin, or 'syscall'",
    ),
    (
        'extract_event_sources = ("one",)\ndef open(self, params): ...',
        "Broken has extract_event_sources but no fields to extract: declare fields, or remove extract_event_sources",
    ),
    (
        f'event_source = "own"\n{method()}',
        "Broken has event_source but no open(self, params) to make its events: define open, or name the sources of "
        "its fields, as in extract_event_sources = ('own',)",
    ),
    (
        "",
        "Broken has no capability: define open(self, params) to make it an event source, fields to extract from "
        "events, methods with @parse to parse events, or async events to send",
    ),
]

if sys.version_info >= (3, 14):
    # Older versions evaluate annotations when the method is defined, unless they are strings.
    INVALID_DECLARATIONS += [
        (
            method(returned=annotation),
            f"field a.b: the annotation {shown} cannot be evaluated (NameError: name 'Missing' is not defined): import "
            "the names in it at run time, not only for type checkers",
        )
        for annotation, shown in [
            ("Missing", "'Missing'"),
            ("datetime | Missing", "'datetime.datetime | Missing'"),
            ("list[Missing] | None", "list['Missing'] | None"),
        ]
    ]


@pytest.mark.parametrize(("body", "message"), INVALID_DECLARATIONS, ids=[body for body, _ in INVALID_DECLARATIONS])
def test_build_rejects_invalid_field_declaration(tmp_path: Path, body: str, message: str) -> None:
    source = (
        "from datetime import datetime\nfrom ipaddress import IPv4Address\n\n"
        "from falco_plugin import Located, Plugin, field, json_field\n\n"
        "class Broken(Plugin):\n"
        '    name = "broken"\n' + textwrap.indent(body, "    ")
    )
    target = write_sources(tmp_path, {"broken.py": source}) / "broken.py"
    library = tmp_path / "broken.so"
    built = CliRunner().invoke(main, ["build", "--linked", str(target), "-o", str(library)])
    reason = "" if "(broken.py:" not in message else " cannot be imported"
    # The line of the class or of the field follows the path.
    message_without_line = re.sub(
        rf"^falco-plugin: {re.escape(str(target))}:\d+: ", f"falco-plugin: {target}: ", built.stderr
    )
    assert (built.exit_code, built.stdout, message_without_line) == (
        1,
        "",
        f"falco-plugin: {target}{reason}: {message}\n",
    )
    assert not library.exists()
