"""What rules see of a record, and that rules and README go by what the plugin says of itself."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from falco_plugin import Event

KAFKA = Path(__file__).parent
REPOSITORY = KAFKA.parents[1]


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(REPOSITORY))
    return importlib.import_module("plugins.kafka.plugin").Kafka()


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """What the plugin says of itself, as a host hears it."""
    command = [sys.executable, "-P", "-m", "falco_plugin", "info", "--json", str(KAFKA)]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


RECORD = b'{"user":"carol","action":"audit.retention","days":1,"ok":true,"object":{"name":"orion"}}'


@pytest.mark.parametrize(
    ("record", "pointer", "value", "number"),
    [
        (RECORD, "/action", "audit.retention", None),
        (RECORD, "/ok", "true", None),
        (RECORD, "/days", "1", 1),
        (RECORD, "/object", '{"name":"orion"}', None),
        (RECORD, "/role", None, None),
        (b"\x00\x01avro", "/user", None, None),
    ],
)
def test_a_value_of_a_record_of_json_is_seen_by_its_pointer(
    plugin: Any, record: bytes, pointer: str, value: str | None, number: int | None
) -> None:
    assert plugin.value(Event(record), key=pointer) == value
    assert plugin.number(Event(record), key=pointer) == number


def test_a_record_is_seen_whole_however_long_it_is(plugin: Any) -> None:
    record = "ü" + 5000 * "x" + " the end"
    assert plugin.event_to_string(Event(record.encode())) == record


def test_the_rules_use_fields_that_there_are(told: dict[str, Any]) -> None:
    fields = {field["name"]: "arg" in field for field in told["fields"]}
    used = re.findall(r"\b(kafka\.\w+)(\[/\S+?\])?", (KAFKA / "kafka_rules.yaml").read_text())
    assert used
    for name, argument in used:
        assert fields[name] == bool(argument), name


def test_the_readme_says_of_fields_and_settings_what_the_plugin_says(told: dict[str, Any]) -> None:
    rows = re.findall(r"^\| `(\S+)` \|(.*?)\| (.*) \|$", (KAFKA / "README.md").read_text(), re.MULTILINE)
    written = {name: (second.strip().replace("`", ""), text.replace("`", "")) for name, second, text in rows}
    schema = told["schema"]
    settings = {
        name: ("required" if name in schema["required"] else shown(setting["default"]), setting["description"])
        for name, setting in schema["properties"].items()
    }
    fields = {
        field["name"] + ("[pointer]" if "arg" in field else ""): (field["type"], field["desc"])
        for field in told["fields"]
    }
    assert written == settings | fields


def shown(default: object) -> str:
    if default is None:
        return ""
    return default if isinstance(default, str) else json.dumps(default)
