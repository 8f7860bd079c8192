"""What rules see of a record, and that rules and README go by what the plugin says of itself."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from falco_plugin.testing import run

POLLER = Path(__file__).parent

LONG = '{"text":"ü' + 5000 * "x" + ' the end"}'
OKTA = (
    '{"eventType":"user.session.start","actor":{"alternateId":"ada@example.com"},"client":{"ipAddress":"192.0.2.17"}}'
)
GITHUB = '{"action":"repo.access","actor":"eve","created_at":1795161600123,"visibility":"public"}'
SEEN = {
    OKTA: {
        "audit_api.record": OKTA,
        "audit_api.action": "user.session.start",
        "audit_api.actor": "ada@example.com",
        "audit_api.value[/client/ipAddress]": "192.0.2.17",
    },
    GITHUB: {
        "audit_api.record": GITHUB,
        "audit_api.action": "repo.access",
        "audit_api.actor": "eve",
        "audit_api.value[/visibility]": "public",
        "audit_api.number[/created_at]": 1795161600123,
    },
    LONG: {"audit_api.record": LONG},
}


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """What the plugin says of itself, as a host hears it."""
    command = [sys.executable, "-P", "-m", "falco_plugin", "info", "--json", str(POLLER)]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def test_records_are_seen_whole_and_their_values_by_pointers_and_the_names_of_either_api(tmp_path: Path) -> None:
    (tmp_path / "records.json").write_text(f"[{','.join(SEEN)}]")
    (tmp_path / "token").write_text("any")
    config = {"token_file": str(tmp_path / "token"), "id_field": "uuid", "timestamp_field": "published"}
    fields = sorted(set(SEEN[OKTA]) | set(SEEN[GITHUB]))
    with serving(tmp_path) as origin:
        ran = run(POLLER, f"{origin}/records.json", config=config, fields=fields, limit=len(SEEN))
    assert [dict(event.fields) for event in ran.events] == [dict.fromkeys(fields) | seen for seen in SEEN.values()]
    assert ran.texts == list(SEEN)


class Files(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(folder: Path) -> Generator[str]:
    """Its files over HTTP, as README.md does it."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_the_rules_use_fields_that_there_are(told: dict[str, Any]) -> None:
    fields = {field["name"]: "arg" in field for field in told["fields"]}
    used = re.findall(r"\b(audit_api\.\w+)(\[/\S+?\])?", (POLLER / "poller_rules.yaml").read_text())
    assert used
    for name, argument in used:
        assert fields[name] == bool(argument), name


def test_the_readme_says_of_fields_and_settings_what_the_plugin_says(told: dict[str, Any]) -> None:
    rows = re.findall(r"^\| `(\S+)` \|(.*?)\| (.*) \|$", (POLLER / "README.md").read_text(), re.MULTILINE)
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
