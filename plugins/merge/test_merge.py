"""The plugin merge in the native host."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from falco_plugin.testing import collect

MERGE = Path(__file__).parent


def test_merge_delivers_lines_of_both_files_by_time() -> None:
    files = [MERGE / "first.jsonl", MERGE / "second.jsonl"]
    events = collect(MERGE, ";".join(map(str, files)))
    lines = [line for file in files for line in file.read_bytes().splitlines()]
    assert sorted(event.data for event in events) == sorted(lines)
    times = [event.timestamp for event in events]
    assert times == sorted(times)
    for event in events:
        written = datetime.fromisoformat(json.loads(event.data)["time"])
        assert event.timestamp == int(written.timestamp()) * 1_000_000_000
