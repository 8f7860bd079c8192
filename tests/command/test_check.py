"""`falco-plugin check`: the problems of plugins, formats and exit status. Checks of rules are in tests/core."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest
from support.checked import RULE, rule
from support.hosts import run_command

PLUGIN = """
from typing import Annotated

import msgspec

from falco_plugin import Entry, Event, Plugin, Table, field, table_field

class Config(msgspec.Struct):
    path: Annotated[str, msgspec.Meta(description="The file with orders")]

class Shop(Plugin):
    '''Orders of a shop'''
    name = "shop"
    version = "1.2.0"
    id = 1_100_000_000
    contact = "https://example.org"
    event_source = "shop"
    config: Config

    def open(self, params): return []

    @field("shop.user", desc="Who ordered")
    def user(self, event: Event) -> str: ...

    @field("shop.amount", desc="Price in cents")
    def amount(self, event: Event) -> int: ...
"""
PRIVATE = "which is for private use, or register one with Falco"
TABLE_FIELD = """    class Thread(Entry):
        comm: str

    threads: Table[int, Thread] = Table.of("threads")
    comm = table_field("shop.comm", threads, "comm", desc="The program")
"""
WRONG_PLUGINS = {
    "id for development": (
        ("id = 1_100_000_000", "id = 999"),
        "plugin.py:14: warning: the id is still 999, with which Falco loads only one plugin: use id = 1818905762, "
        + PRIVATE,
    ),
    "id that is registered": (
        ("id = 1_100_000_000", "id = 7"),
        "plugin.py:14: note: the id 7 is not for private use, and only Falco's registry has the ids of others: "
        "register it there, or use id = 1818905762",
    ),
    "id that is not possible": (
        ("id = 1_100_000_000", "id = 0"),
        "plugin.py:10: Shop: id must be 1 to 2147483647 (999 for development), not 0",
    ),
    "source for development": (
        ('event_source = "shop"', 'event_source = "test"'),
        "plugin.py:16: warning: the event source is still 'test', which is for development: name it after the events",
    ),
    "source of Falco": (
        ('event_source = "shop"', 'event_source = "syscall"'),
        "plugin.py:10: Shop: the event_source 'syscall' is reserved by Falco: choose another",
    ),
    "name": (
        ('name = "shop"', 'name = "Shop"'),
        "plugin.py:10: Shop: Falco does not accept the name 'Shop': use lower-case letters, digits, '-' and '_', "
        "beginning with a letter",
    ),
    "version": (
        ('"1.2.0"', '"1.2"'),
        "plugin.py:10: Shop: the version '1.2' must be three numbers, such as 0.1.0",
    ),
    "version with leading zeros": (
        ('"1.2.0"', '"01.2.0"'),
        "plugin.py:13: warning: the version '01.2.0' is not a semantic version, which falcoctl needs: write 1.2.3",
    ),
    "no contact": (
        ('    contact = "https://example.org"\n', ""),
        "plugin.py:10: warning: the contact is empty: write where users ask, such as contact = 'https://example.org'",
    ),
    "no description": (
        ("    '''Orders of a shop'''\n", ""),
        "plugin.py:10: warning: the description is empty: write in one line what the plugin does",
    ),
    "field without a description": (
        ('desc="Who ordered"', 'desc=""'),
        "plugin.py:22: field shop.user: desc is empty: describe what the field means",
    ),
    "field with a capital letter": (
        ('"shop.user"', '"Shop.user"'),
        "plugin.py:22: field Shop.user: the first part of the name has capital letters, which no field of Falco has, "
        "and rules are case-sensitive: name it shop.user",
    ),
    "field without a dot": (
        ('"shop.user"', '"user"'),
        "plugin.py:22: field user: Falco does not accept this name: use parts of letters, digits and '_' that begin "
        "with a letter, joined by dots, such as shop.order.id",
    ),
    "field of Falco": (
        ('"shop.user"', '"evt.num"'),
        "plugin.py:22: the field evt.num is one of Falco's own: give it another name",
    ),
    "type of a field": (
        ("-> int", "-> float"),
        "plugin.py:25: field shop.amount: ",
    ),
    "field of a thread without system calls": (
        ("    config: Config\n", TABLE_FIELD),
        "plugin.py:21: field shop.comm: its key is the id of the event's thread, which only system calls have, but "
        "Shop has no fields of system calls: add extract_event_sources = ('shop', 'syscall'), or set key to",
    ),
    "option without a description": (
        ('Annotated[str, msgspec.Meta(description="The file with orders")]', "str"),
        "plugin.py:17: warning: options of the configuration have no description: path: add "
        "msgspec.Meta(description=…)",
    ),
    "syntax": (
        ("class Shop(Plugin):", "class Shop(Plugin)"),
        "plugin.py: plugin.py cannot be imported: SyntaxError: expected ':' (plugin.py:10: ",
    ),
}


@pytest.mark.parametrize("kind", WRONG_PLUGINS)
def test_wrong_plugin_has_one_problem(tmp_path: Path, kind: str) -> None:
    (old, new), message = WRONG_PLUGINS[kind]
    assert old in PLUGIN
    (tmp_path / "plugin.py").write_text(PLUGIN.replace(old, new).lstrip())
    ran = run_command("check", "plugin.py", cwd=tmp_path)
    (line,) = ran.stdout.splitlines()
    assert line.startswith(message)
    is_error = not message.split(": ")[1].startswith(("warning", "note"))
    assert ran.status == is_error


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a plugin without a problem, and rules with an error and a warning."""
    (tmp_path / "plugin.py").write_text(PLUGIN.lstrip())
    (tmp_path / "rules.yaml").write_text(rule("shop.usr = 100% and shop.amount > 1") + "  sevrity: a\n")
    (tmp_path / "right.yaml").write_text(RULE)
    (tmp_path / "warned.yaml").write_text(rule(source="other"))
    return tmp_path


ERROR = "events of shop have no field shop.usr: did you mean shop.user?"


def test_right_plugin_and_rules_have_no_problem(folder: Path) -> None:
    ran = run_command("check", "plugin.py", "--rules", "right.yaml", cwd=folder)
    assert (ran.status, ran.stdout) == (0, "")
    assert ran.stderr == "falco-plugin: checked the plugin and 1 rules file: 0 errors, 0 warnings\n"


def test_problems_of_rules_are_lines_with_places(folder: Path) -> None:
    ran = run_command("check", "plugin.py", "--rules", "rules.yaml", "--rules", "missing.yaml", cwd=folder)
    assert ran.status == 1
    missing, error, warning = ran.stdout.splitlines()
    assert missing == "missing.yaml: cannot read the file: No such file or directory"
    assert error == f"rules.yaml:4: {ERROR}"
    assert warning.startswith("rules.yaml:7: warning: the rule 'R' has the unknown key 'sevrity'")


def test_github_format_prints_workflow_commands(folder: Path) -> None:
    (folder / "a,b").mkdir()
    (folder / "a,b" / "100%.yaml").write_text(rule("shop.user = x or 100%"))
    ran = run_command("check", "plugin.py", "--rules", "a,b/100%.yaml", "--format", "github", cwd=folder)
    assert (ran.status, ran.stderr) == (1, "")
    assert ran.stdout == "::error file=a%2Cb/100%25.yaml,line=4::expected a field, a macro or '(', got '100%25'\n"


def test_json_format_is_one_object(folder: Path) -> None:
    ran = run_command("check", "plugin.py", "--rules", "rules.yaml", "--format", "json", cwd=folder)
    found = json.loads(ran.stdout)
    assert (ran.status, found["errors"], found["warnings"]) == (1, 1, 1)
    assert found["problems"][0] == {"path": "rules.yaml", "line": 4, "severity": "error", "message": ERROR}


def test_warnings_fail_only_if_strict(folder: Path) -> None:
    assert run_command("check", "plugin.py", "--rules", "warned.yaml", cwd=folder).status == 0
    assert run_command("check", "plugin.py", "--rules", "warned.yaml", "--strict", cwd=folder).status == 1


OTHER = """
from falco_plugin import Event, Plugin, field

class Other(Plugin):
    '''Labels of orders'''
    name = "labels"
    version = "0.1.0"
    contact = "me"
    extract_event_sources = ("shop",)

    @field("label.name", desc="A label")
    def label(self, event: Event) -> str: ...
"""


def test_rules_use_fields_of_other_plugins(folder: Path) -> None:
    (folder / "other.py").write_text(OTHER)
    (folder / "both.yaml").write_text(rule("label.name = x and shop.user = y"))
    alone = run_command("check", "plugin.py", "--rules", "both.yaml", cwd=folder)
    assert alone.stdout == "both.yaml:4: events of shop have no field label.name: they have shop.user, shop.amount\n"
    both = run_command("check", "plugin.py", "--with", "other.py", "--rules", "both.yaml", cwd=folder)
    assert (both.status, both.stdout) == (0, "")


def test_rules_of_extractor_alone_are_left_to_falco(folder: Path) -> None:
    (folder / "other.py").write_text(OTHER)
    (folder / "both.yaml").write_text(rule("label.name = x and shop.user = y"))
    ran = run_command("check", "other.py", "--rules", "both.yaml", cwd=folder)
    assert (ran.status, ran.stdout) == (
        0,
        "both.yaml:1: note: only Falco can decide whether events of shop have the fields of their rules, such as "
        "shop.user: give the plugin that makes them by --with\n",
    )


def test_library_is_checked_as_well(folder: Path) -> None:
    assert run_command("build", "--linked", "plugin.py", "-o", "orders.so", cwd=folder).status == 0
    ran = run_command("check", "orders.so", "--rules", "rules.yaml", cwd=folder)
    assert ran.stdout.splitlines()[:2] == [
        "orders.so: note: the file is not named libshop.so, as Falco's documentation expects it: rename it",
        f"rules.yaml:4: {ERROR}",
    ]


def test_rules_are_not_checked_on_plugin_with_error(folder: Path) -> None:
    (folder / "plugin.py").write_text(textwrap.dedent(PLUGIN.replace('"1.2.0"', '"1"')))
    ran = run_command("check", "plugin.py", "--rules", "rules.yaml", cwd=folder)
    error, note = ran.stdout.splitlines()
    assert "the version '1' must be three numbers" in error
    assert note == "plugin.py: note: the rules are not checked, because a plugin has an error"
