"""Tests the fields of a line."""

from __future__ import annotations

from pathlib import Path

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


def test_fields_give_line_and_json_values(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("\n".join(SEEN))
    fields = [*SEEN[JSON], "tail.value[/missing]", "tail.number[/ok]"]
    ran = run(TAIL, str(log), config={"follow": False}, fields=fields)
    assert [dict(event.fields) for event in ran.events] == [dict.fromkeys(fields) | seen for seen in SEEN.values()]
    assert ran.texts == list(SEEN)
