"""Formats of field values in ``falco-plugin run``, and the summary that it reports at the end."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.hosts import native_lines, run_command
from support.libraries import build_plugin, write_sources

from falco_plugin.testing import run

TYPES = """
    from datetime import datetime, timedelta
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

    from falco_plugin import Plugin, json_field

    class Types(Plugin):
        name = "types"
        text = json_field("t.text", "/text", desc="x")
        number = json_field("t.number", "/number", type=int, desc="x")
        flag = json_field("t.flag", "/flag", type=bool, desc="x")
        when = json_field("t.when", "/when", type=datetime, desc="x")
        took = json_field("t.took", "/took", type=timedelta, desc="x")
        ip = json_field("t.ip", "/ip", type=IPv4Address | IPv6Address, desc="x")
        net = json_field("t.net", "/net", type=IPv4Network | IPv6Network, desc="x")
        nets = json_field("t.nets", "/nets/*", type=list[IPv4Network | IPv6Network], desc="x")
        texts = json_field("t.texts", "/texts/*", type=list[str], desc="x")
        absent = json_field("t.absent", "/absent", desc="x")

        def open(self, params):
            self.log.warning("opened")
            if params:
                return [line.encode("latin-1") for line in params.split("|")]
            return [
                b'{"text": "a b", "number": 7, "flag": true, "when": "2026-01-01T00:00:00.5Z", "took": 1.5,'
                b' "ip": "::1", "net": "10.0.0.0/8", "nets": ["10.1.0.0/16", "fd00::/8"], "texts": ["a", "b, c"]}'
            ]
"""


@pytest.fixture(scope="module")
def types(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_plugin(tmp_path_factory.mktemp("types"), TYPES, "types")


FALCO = [
    "t.text=a b",
    "t.number=7",
    "t.flag=true",
    "t.when=1767225600500000000",
    "t.took=1500000000",
    "t.ip=::1",
    "t.net=<IPNET>",
    "t.nets=(<IPNET>,<IPNET>)",
    "t.texts=(a,b, c)",
    "t.absent=<NA>",
]
PRETTY = """\
    t.text    a b
    t.number  7
    t.flag    true
    t.when    2026-01-01 00:00:00.500Z
    t.took    1.5s
    t.ip      ::1
    t.net     10.0.0.0
    t.nets    [10.1.0.0, fd00::]
    t.texts   [a, b, c]
    t.absent  -
"""


def test_run_formats_each_field_type_as_falco(types: Path) -> None:
    ran = run_command("run", types, "--all-fields")
    assert ran.stdout.rstrip("\n").split("\t")[1:] == FALCO


def test_pretty_writes_aligned_fields_below_the_event(types: Path) -> None:
    event, _, fields = run_command("run", types, "--all-fields", "--pretty").stdout.partition("\n")
    assert event.endswith('Z  {"text": "a b", "number": 7, "flag": true, ' + event.partition('"flag": true, ')[2])
    assert fields == PRETTY


def test_json_output_has_typed_values(types: Path) -> None:
    (event,) = (line for line in native_lines(types, "--all-fields") if line["kind"] == "event")
    assert event["fields"] == {
        "t.text": "a b",
        "t.number": 7,
        "t.flag": True,
        "t.when": 1767225600500000000,
        "t.took": 1500000000,
        "t.ip": "::1",
        "t.net": "10.0.0.0",
        "t.nets": ["10.1.0.0", "fd00::"],
        "t.texts": ["a", "b, c"],
        "t.absent": None,
    }


def test_pretty_with_json_is_usage_error(types: Path) -> None:
    ran = run_command("run", types, "--pretty", "--json")
    assert ran.status == 2
    assert "--pretty is for text: leave out --json, or --pretty" in ran.stderr


@pytest.mark.parametrize(
    ("payloads", "message", "summary"),
    [
        (
            '{"a": 1}|{"text": "\xff", "number": 3}|{"a": 2}',
            "1 of 3 payloads is not valid JSON, first in event 2 at byte 10: invalid UTF-8",
            {"payloads": 3, "invalid": 1, "event": 2, "byte": 10, "cause": "invalid UTF-8"},
        ),
        (
            '{"a": 1|{"a": NaN}',
            "2 of 2 payloads are not valid JSON, first in event 1 at byte 7: cut off",
            {"payloads": 2, "invalid": 2, "event": 1, "byte": 7, "cause": "cut off"},
        ),
        (
            "{'a': 1}",
            "1 of 1 payload is not valid JSON, first in event 1 at byte 1: key must be a string",
            {"payloads": 1, "invalid": 1, "event": 1, "byte": 1, "cause": "key must be a string"},
        ),
    ],
    ids=["UTF-8", "cut off", "repr"],
)
def test_run_counts_invalid_json_payloads(types: Path, payloads: str, message: str, summary: dict[str, object]) -> None:
    ran = run_command("run", types, "--fields", "t.text", "--params", payloads)
    assert ran.status == 0
    assert ran.stderr.splitlines()[-1] == f"{message} (fields beside the fault are still read)"
    assert native_lines(types, "--fields", "t.text", "--params", payloads)[-1]["invalid_json"] == summary


@pytest.mark.parametrize(
    ("payloads", "options"),
    [
        ("plain|[error] it broke|[12.5] usb 1-1", ["--all-fields"]),
        ('{"a": 1}|[1, 2]|\xef\xbb\xbf{"b": 1}', ["--all-fields"]),
        ('{"a": ', []),
    ],
    ids=["plain text", "valid", "no fields"],
)
def test_run_accepts_payloads_other_than_json(types: Path, payloads: str, options: list[str]) -> None:
    ran = run_command("run", types, "--params", payloads, *options)
    assert "not valid JSON, first in" not in ran.stderr
    assert "invalid_json" not in native_lines(types, "--params", payloads, *options)[-1]


OTHER = """
    from falco_plugin import Plugin, field

    class Other(Plugin):
        name = "other"

        @field("other.size", desc="x")
        def size(self, event) -> int:
            return len(event.data)

        def init(self):
            self.log.warning("ready\\nto extract")
"""


def test_log_lines_name_plugin_of_several(types: Path, tmp_path: Path) -> None:
    write_sources(tmp_path, {"other.py": OTHER})
    alone = run_command("run", types)
    assert alone.stderr.splitlines()[0] == "[warning] opened"
    lines = native_lines(types, "--with", tmp_path / "other.py")
    assert {(line["plugin"], line["text"]) for line in lines if line["kind"] == "log"} == {
        ("other", "ready\n  to extract"),
        ("types", "opened"),
    }
    ran = run_command("run", types, "--with", tmp_path / "other.py")
    assert {"[warning] other: ready", "  to extract", "[warning] types: opened"} <= set(ran.stderr.splitlines())


def test_testing_log_lines_name_plugin(types: Path, tmp_path: Path) -> None:
    write_sources(tmp_path, {"other.py": OTHER})
    ran = run(types, plugins=[tmp_path / "other.py"])
    assert {(line.plugin, line.text) for line in ran.log} == {("other", "ready\n  to extract"), ("types", "opened")}
