"""What rules see of a request, and that rules and README go by what the plugin says of itself."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from falco_plugin.testing.fixtures import StartPlugin

WEBHOOK = Path(__file__).parent

LONG = "ü" + 5000 * "x" + " the end"
PUSH = (
    '{"ref": "refs/heads/main", "forced": true, "repository": {"full_name": "example/app", "size": 108},'
    ' "sender": {"login": "eve"}}'
)
SEEN = {
    PUSH: {
        "webhook.body": PUSH,
        "webhook.value[/repository/full_name]": "example/app",
        "webhook.value[/forced]": "true",
        "webhook.value[/sender]": '{"login":"eve"}',
        "webhook.number[/repository/size]": 108,
    },
    "pushed to main": {"webhook.body": "pushed to main"},
    LONG: {"webhook.body": LONG},
}


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """What the plugin says of itself, as a host hears it."""
    command = [sys.executable, "-P", "-m", "falco_plugin", "info", "--json", str(WEBHOOK)]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def test_bodies_are_seen_whole_and_values_of_json_by_their_pointer(start_plugin: StartPlugin) -> None:
    fields = [*SEEN[PUSH], "webhook.value[/key/read_only]", "webhook.number[/ref]"]
    host = start_plugin(WEBHOOK, "http://127.0.0.1:0/hook", config={"allow_unsigned": True}, fields=fields)
    address = host.wait_for_log("listening on ").text.rpartition(" ")[2]
    for body, seen in SEEN.items():
        urlopen(Request(f"{address}/hook", body.encode(), {"Content-Type": "text/plain"}), timeout=20).close()
        assert dict(host.next_event().fields) == dict.fromkeys(fields) | seen
    assert host.stop().texts == list(SEEN)


def test_the_rules_use_fields_that_there_are(told: dict[str, Any]) -> None:
    fields = {field["name"]: "arg" in field for field in told["fields"]}
    used = re.findall(r"\b(webhook\.\w+)(\[/\S+?\])?", (WEBHOOK / "webhook_rules.yaml").read_text())
    assert used
    for name, argument in used:
        assert fields[name] == bool(argument), name


def test_the_readme_says_of_fields_and_settings_what_the_plugin_says(told: dict[str, Any]) -> None:
    rows = re.findall(r"^\| `(\S+)` \|(.*?)\| (.*) \|$", (WEBHOOK / "README.md").read_text(), re.MULTILINE)
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
