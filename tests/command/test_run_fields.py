"""`falco-plugin run` and `falco-plugin info` with fields and configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.commands import REQUIRES, RUN, TALLY, check_refused
from support.hosts import native_lines, run_command
from support.libraries import build_plugin, simple_plugin, write_sources


def extract(*words: object) -> list[dict[str, object]]:
    return [line["fields"] for line in native_lines(*words) if line["kind"] == "event"]


def test_json_output_has_all_fields_of_events(shop: Path) -> None:
    lines = native_lines(shop, "--all-fields")
    assert lines[0]["kind"] == "fields"
    assert {field["asked"]: (field["type"], field["is_list"], field["plugin"]) for field in lines[0]["fields"]} == {
        "shop.order": ("uint64", False, "shop"),
        "shop.items": ("string", True, "shop"),
        "shop.when": ("abstime", False, "shop"),
        "shop.ip": ("ipaddr", False, "shop"),
        "shop.paid": ("bool", False, "shop"),
        "shop.took": ("reltime", False, "shop"),
        "shop.net": ("ipnet", True, "shop"),
        "shop.never": ("string", False, "shop"),
    }
    common = {"shop.net": ["10.0.0.0"], "shop.never": None}
    assert [line["fields"] for line in lines if line["kind"] == "event"] == [
        {
            **common,
            "shop.order": 1,
            "shop.items": ["a", "b, c"],
            "shop.when": 1_577_836_800_000_000_000,
            "shop.ip": "::1",
            "shop.paid": False,
            "shop.took": 500_000_000,
        },
        {
            **common,
            "shop.order": 2,
            "shop.items": None,
            "shop.when": None,
            "shop.ip": None,
            "shop.paid": True,
            "shop.took": 1_000_000_000,
        },
    ]
    assert lines[-1]["never_present"] == ["shop.never"]


def test_text_output_shows_fields_after_event_text(shop: Path) -> None:
    names = ["--fields", "shop.items,shop.when,shop.never", "--fields", "shop.any['/a b'], shop.took"]
    ran = run_command("run", shop, *names)
    first, second = (line.split("\t")[1:] for line in ran.stdout.splitlines())
    assert first == [
        "shop.items=(a,b, c)",
        "shop.when=1577836800000000000",
        "shop.never=<NA>",
        "shop.any['/a b']=<NA>",
        "shop.took=500000000",
    ]
    assert second[3:] == ["shop.any['/a b']=tab\\tand\\nline", "shop.took=1000000000"]
    assert ran.stderr.splitlines()[-1] == "never present: shop.never"


@pytest.mark.parametrize(
    ("requested", "value"),
    [
        ("shop.items[1]", ["b, c"]),
        ("shop.items[7]", None),
        ("shop.any[/items/0]", "a"),
        ('shop.any["/order"]', "1"),
        ("shop.never[x,y]", "None x,y"),
        ("shop.never[12]", "12 12"),
        ("shop.never[012]", "None 012"),
        ("shop.never['a ] \\' b']", "None a ] ' b"),
    ],
)
def test_field_arguments_use_syntax_of_rules(shop: Path, requested: str, value: object) -> None:
    assert extract(shop, "--limit", 1, "--fields", requested) == [{requested: value}]


@pytest.mark.parametrize(
    ("requested", "message"),
    [
        ("shop.itms", "no loaded plugin has the field shop.itms: did you mean shop.items?"),
        ("shop.any", "the field shop.any needs an argument: shop.any[key]"),
        ("shop.order[1]", "the field shop.order takes no argument"),
        ("order", "no loaded plugin has the field order: did you mean shop.order?"),
        ("shop.items[x]", 'must be an index, got "x": write a whole number from 0 to 2**64 - 1'),
        ("shop.items[-1]", 'must be an index, got "-1": write a whole number from 0 to 2**64 - 1'),
        ("shop.items[1", "shop.items[…]: the bracket is not closed"),
        ("shop.any['/a]", "shop.any[…]: the quote is not closed"),
        ("tally.bytes", "no loaded plugin has the field tally.bytes: falco-plugin info lists the fields"),
    ],
)
def test_unknown_field_is_rejected_before_start(shop: Path, requested: str, message: str) -> None:
    check_refused(run_command("run", shop, "--fields", requested), message, by="falco-plugin-host")


def test_with_extracts_fields_of_other_plugins(shop: Path, tmp_path: Path) -> None:
    write_sources(tmp_path, {"tally.py": TALLY, "same.py": TALLY.replace('("shop", "other")', '("other",)')})
    target = tmp_path / "tally.py"
    expected = [{"tally.bytes": 81, "shop.order": 1}, {"tally.bytes": 61, "shop.order": 2}]
    assert extract(shop, "--with", target, "--fields", "tally.bytes,shop.order") == expected
    library = build_plugin(tmp_path, TALLY, "tally")
    assert extract(shop, "--with", library, "--fields", "tally.bytes,shop.order") == expected
    assert "tally.bytes" in extract(shop, "--with", library, "--all-fields")[0]
    rejected = run_command("run", shop, "--with", tmp_path / "same.py", "--fields", "tally.bytes")
    check_refused(rejected, "the plugin tally extracts it only from other", by="falco-plugin-host")
    rejected = run_command("run", shop, "--with", shop.with_name("nothing.py"))
    check_refused(rejected, "nothing.py: no such file or folder: give path.py[:Name], a folder, or a library")


TUNED = """
    from dataclasses import dataclass

    from falco_plugin import Plugin, field

    @dataclass
    class Config:
        word: str

    class Tuned(Plugin):
        name = "tuned"
        config: Config

        @field("tuned.word", desc="The word")
        def word(self, event) -> str:
            return self.config.word
"""


def test_with_passes_configuration_by_position(shop: Path, tmp_path: Path) -> None:
    write_sources(tmp_path, {"tally.py": TALLY})
    tuned = build_plugin(tmp_path, TUNED, "tuned")
    words = ["--with", tmp_path / "tally.py", "--with", tuned, "--fields", "tuned.word", "--limit", 1]
    config = ["--with-config", "", "--with-config", '{"word": "here"}']
    assert extract(shop, *words, *config) == [{"tuned.word": "here"}]
    message = "the configuration of the plugin tuned does not match its schema: word: required (falco-plugin info shows"
    for few in ([], config[:2]):
        check_refused(run_command("run", shop, *words, *few), message, by="falco-plugin-host")
    wrong = run_command("run", shop, *words, "--with-config", "", "--with-config", '{"word": ["SECRET"]}')
    check_refused(wrong, "of the plugin tuned does not match its schema: word: expected string", by="falco-plugin-host")
    assert "SECRET" not in wrong.stderr
    many = run_command("run", shop, "--with", tuned, *config)
    assert many.status == 2
    assert "more --with-config than --with" in many.stderr


def test_with_reports_plugin_for_other_source(shop: Path, tmp_path: Path) -> None:
    write_sources(tmp_path, {"tally.py": TALLY.replace('("shop", "other")', '("shp", "other")')})
    message = "the plugin tally has no fields for the source shop: it names shp, other"
    words = [shop, "--with", tmp_path / "tally.py", "--all-fields"]
    ran = run_command("run", *words)
    assert ran.status == 0
    assert message in ran.stderr.splitlines()
    assert {"kind": "log", "severity": "warning", "text": message} in native_lines(*words)


def test_run_requires_plugin_with_source(tmp_path: Path, runs: Path) -> None:
    library = build_plugin(tmp_path, TALLY, "tally")
    rejected = run_command("run", library)
    check_refused(
        rejected,
        "tally has no event source to run: give it events by --events, or run a plugin that has a source",
        by="falco-plugin-host",
    )
    rejected = run_command("run", library, "--with", runs)
    check_refused(rejected, "tally has no event source to run", by="falco-plugin-host")
    bare = build_plugin(tmp_path, simple_plugin("bare", "id = 2**30"), "bare")
    rejected = run_command("run", runs, "--with", bare)
    check_refused(
        rejected,
        "the plugin bare neither has fields to extract nor parses events: leave it out",
        by="falco-plugin-host",
    )


# Configuration


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("{", "is not JSON"),
        ("SECRET", "is not JSON"),
        ("[]", "expected object, got array"),
        ('{"limit": "SECRET"}', "schema: limit: expected integer, got string"),
        ('{"limit": 0}', "schema: limit: expected at least 1"),
        (
            '{"limit": 101, "tokn": "SECRET", "tls": {"ciphers": ["a", 5]}}',
            "schema: limit: expected at most 100; tls.ciphers[1]: expected string, got number; tls.key: required; "
            "tokn: unknown key (known: limit, token, tls)",
        ),
        ('{"tls": "SECRET"}', "schema: tls: expected object or null, got string"),
    ],
)
def test_invalid_configuration_is_rejected_before_init(shop: Path, config: str, message: str) -> None:
    ran = run_command("run", shop, "--config", config)
    check_refused(ran, "the configuration of the plugin shop", message, by="falco-plugin-host")
    assert "SECRET" not in ran.stderr


@pytest.mark.parametrize(("config", "limit"), [("", 3), (" \n", 3), ("{}", 3), ('{"limit": 7, "tls": null}', 7)])
def test_valid_configuration_reaches_plugin(shop: Path, config: str, limit: int) -> None:
    (log,) = (line["text"] for line in native_lines(shop, "--config", config) if line["kind"] == "log")
    assert log == f"limit {limit}"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            '{"period": "SECRET"}',
            "period: expected integer, got string; url: required (falco-plugin info shows the keys)",
        ),
        ('{"period": "SECRET", "url": "x"}', "period: expected integer, got string"),
    ],
)
def test_missing_key_error_names_documentation(tmp_path: Path, config: str, message: str) -> None:
    write_sources(tmp_path, {"plugin.py": REQUIRES})
    ran = run_command("run", "plugin.py", "--config", config, cwd=tmp_path)
    assert ran.stderr.endswith(f"does not match its schema: {message}\n")


def test_info_shows_fields_and_configuration_as_tables(shop: Path, tmp_path: Path) -> None:
    lines = run_command("info", shop).stdout.splitlines()
    fields = lines.index("fields:")
    assert lines[fields + 1 : fields + 4] == [
        "  name        type      arg                     properties  display    desc",
        "  shop.order  uint64                            add_output             Order",
        "  shop.items  string[]  index, optional                     All items  Items",
    ]
    assert "  shop.any    string    key, required           hidden                 Any" in lines
    assert "  shop.never  string    index or key, optional                         Absent" in lines
    config = lines.index("config:")
    assert lines[config + 1 :] == [
        "  key          type             required  default  allowed   description",
        "  limit        integer                    3        1 to 100  Orders at a time",
        '  token        string                     ""',
        "  tls          object or null             null",
        "  tls.key      string           yes",
        "  tls.ciphers  array of string            []",
    ]
    (info,) = run_command("info", shop, "--json").lines
    assert info["schema"]["properties"]["limit"]["maximum"] == 100
    assert "extract event sources:" in run_command("info", build_plugin(tmp_path, TALLY, "tally")).stdout


def test_info_omits_empty_sections(runs: Path, tmp_path: Path) -> None:
    assert not [line for line in run_command("info", runs).stdout.splitlines() if line.rstrip().endswith(":")]
    contact = build_plugin(tmp_path, simple_plugin("contactable", "contact = 'me'"), "contactable")
    assert "contact:               me\n" in run_command("info", contact).stdout


def test_info_shows_metadata_of_plugin(runs: Path, tmp_path: Path) -> None:
    write_sources(tmp_path, {"plugin.py": RUN})
    (library,) = run_command("info", runs, "--json").lines
    (target,) = run_command("info", tmp_path / "plugin.py", "--json").lines
    assert library == target
    assert (library["name"], library["id"], library["event_source"]) == ("runs", 999, "run_source")
    text = run_command("info", runs)
    assert text.status == 0
    assert "run_source" in text.stdout
