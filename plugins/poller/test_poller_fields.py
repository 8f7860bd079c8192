"""Tests the fields of a record."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

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


def test_fields_give_record_and_values_of_both_apis(tmp_path: Path) -> None:
    (tmp_path / "records.json").write_text(f"[{','.join(SEEN)}]")
    config = {"token": "any", "id_field": "uuid", "timestamp_field": "published"}
    fields = sorted(set(SEEN[OKTA]) | set(SEEN[GITHUB]))
    with serving(tmp_path) as origin:
        ran = run(POLLER, f"{origin}/records.json", config=config, fields=fields, limit=len(SEEN), timeout=30)
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
