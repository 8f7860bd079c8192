"""The examples and the README's plugin, built and run as their reader would, on samples and on real logs."""

from __future__ import annotations

import base64
import json
import re
from datetime import datetime
from pathlib import Path

import pytest
from hosts_support import REPOSITORY, native

TAIL = REPOSITORY / "examples/tail"
MERGE = REPOSITORY / "examples/merge"
REAL_LOGS = sorted((REPOSITORY.parent / "shared/data").glob("*.jsonl"))


def events_of(target: Path, params: str) -> list[dict]:
    lines = native(target, "--params", params)
    assert lines[-1]["kind"] == "end"
    assert (lines[-1]["result"], lines[-1]["error"]) == ("eof", None)
    return [line for line in lines if line["kind"] == "event"]


def payload(event: dict) -> bytes:
    return event["data"].encode() if "data" in event else base64.b64decode(event["data_base64"])


@pytest.mark.parametrize("log", [TAIL / "sample.jsonl", *REAL_LOGS], ids=lambda log: log.name)
def test_tail_gives_each_line_of_a_log_once_and_in_order(log: Path) -> None:
    assert [payload(event) for event in events_of(TAIL, str(log))] == log.read_bytes().splitlines()


@pytest.mark.skipif(not REAL_LOGS, reason="there are no real logs beside the checkout")
def test_real_logs_are_there() -> None:
    assert all(log.stat().st_size for log in REAL_LOGS)


def test_tail_keeps_a_last_line_without_its_end_and_empty_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"one\n\ntwo\r\nlast")
    assert [payload(event) for event in events_of(TAIL, str(log))] == [b"one", b"", b"two", b"last"]


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
    log = TAIL / "sample.jsonl"
    assert [payload(event) for event in events_of(plugin, str(log))] == log.read_bytes().splitlines()
