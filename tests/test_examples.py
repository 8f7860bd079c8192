"""The example merge and the README's plugin, built and run as their reader would, on samples."""

from __future__ import annotations

import base64
import json
import re
from datetime import datetime
from pathlib import Path

from hosts_support import REPOSITORY, native

MERGE = REPOSITORY / "examples/merge"


def events_of(target: Path, params: str) -> list[dict]:
    lines = native(target, "--params", params)
    assert lines[-1]["kind"] == "end"
    assert (lines[-1]["result"], lines[-1]["error"]) == ("eof", None)
    return [line for line in lines if line["kind"] == "event"]


def payload(event: dict) -> bytes:
    return event["data"].encode() if "data" in event else base64.b64decode(event["data_base64"])


def test_merge_gives_the_lines_of_both_files_by_their_time() -> None:
    files = [MERGE / "first.jsonl", MERGE / "second.jsonl"]
    events = events_of(MERGE, ";".join(map(str, files)))
    lines = [line for file in files for line in file.read_bytes().splitlines()]
    assert sorted(payload(event) for event in events) == sorted(lines)
    times = [event["timestamp"] for event in events]
    assert times == sorted(times)
    for event in events:
        written = datetime.fromisoformat(json.loads(payload(event))["time"])
        assert event["timestamp"] == int(written.timestamp()) * 1_000_000_000


def test_the_plugin_of_the_readme_runs_as_it_stands(tmp_path: Path) -> None:
    readme = (REPOSITORY / "README.md").read_text()
    code = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
    assert code is not None
    assert len([line for line in code[1].splitlines() if line]) <= 10
    plugin = tmp_path / "lines.py"
    plugin.write_text(code[1])
    log = REPOSITORY / "examples/tail/sample.jsonl"
    assert [payload(event) for event in events_of(plugin, str(log))] == log.read_bytes().splitlines()
