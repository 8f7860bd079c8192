"""What rules see of a line, and that rules and README go by what the plugin says of itself."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from falco_plugin.testing import run

TAIL = Path(__file__).parent

LONG = "ü" + 5000 * "x" + " the end"
JSON = '{"user": {"name": "eve"}, "ok": false, "bytes": 1200, "tags": ["a", 1.50]}'
SEEN = {
    JSON: {
        "tail.line": JSON,
        "tail.value[/user/name]": "eve",
        "tail.value[/ok]": "false",
        "tail.value[/bytes]": "1200",
        "tail.value[/tags]": '["a",1.50]',
        "tail.number[/bytes]": 1200,
    },
    "user=eve ok=false": {"tail.line": "user=eve ok=false"},
    LONG: {"tail.line": LONG},
}


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """What the plugin says of itself, as a host hears it."""
    command = [sys.executable, "-P", "-m", "falco_plugin", "info", "--json", str(TAIL)]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def test_lines_are_seen_whole_and_values_of_json_by_their_pointer(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("\n".join(SEEN))
    fields = [*SEEN[JSON], "tail.value[/missing]", "tail.number[/ok]"]
    ran = run(TAIL, str(log), config={"follow": False}, fields=fields)
    assert [dict(event.fields) for event in ran.events] == [dict.fromkeys(fields) | seen for seen in SEEN.values()]
    assert ran.texts == list(SEEN)


def test_the_rules_use_fields_that_there_are(told: dict[str, Any]) -> None:
    fields = {field["name"]: "arg" in field for field in told["fields"]}
    used = re.findall(r"\b(tail\.\w+)(\[/\S+?\])?", (TAIL / "tail_rules.yaml").read_text())
    assert used
    for name, argument in used:
        assert fields[name] == bool(argument), name


def test_the_readme_says_of_fields_and_settings_what_the_plugin_says(told: dict[str, Any]) -> None:
    rows = re.findall(r"^\| `(\S+)` \|(.*?)\| (.*) \|$", (TAIL / "README.md").read_text(), re.MULTILINE)
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
