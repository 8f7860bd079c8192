"""Tests the fields of a request."""

from __future__ import annotations

from pathlib import Path
from urllib.request import Request, urlopen

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


def test_fields_give_body_and_json_values(start_plugin: StartPlugin) -> None:
    fields = [*SEEN[PUSH], "webhook.value[/key/read_only]", "webhook.number[/ref]"]
    host = start_plugin(WEBHOOK, "http://127.0.0.1:0/hook", config={"allow_unsigned": True}, fields=fields)
    address = host.wait_for_log("listening on ").text.rpartition(" ")[2]
    for body, seen in SEEN.items():
        urlopen(Request(f"{address}/hook", body.encode(), {"Content-Type": "text/plain"}), timeout=20).close()
        assert dict(host.next_event().fields) == dict.fromkeys(fields) | seen
    assert host.stop().texts == list(SEEN)
