"""The examples beside each other; merge and the README's plugin, built and run as their reader would, on samples."""

from __future__ import annotations

import base64
import functools
import json
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from support.hosts import native_lines
from support.paths import REPOSITORY

MERGE = REPOSITORY / "plugins/merge"


def events_of(target: Path, params: str) -> list[dict]:
    lines = native_lines(target, "--params", params)
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
    log = REPOSITORY / "plugins/tail/sample.jsonl"
    assert [payload(event) for event in events_of(plugin, str(log))] == log.read_bytes().splitlines()


EXAMPLES = sorted(plugin.parent for plugin in (REPOSITORY / "plugins").glob("*/plugin.py"))
OFFICIAL = {"k8saudit": 1}
PRIVATE_USE = range(2**30, 2**31)


@functools.cache
def described(example: Path) -> dict[str, Any]:
    command = [sys.executable, "-P", "-m", "falco_plugin", "info", "--json", str(example)]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def test_the_examples_load_together_in_one_falco() -> None:
    # Falco ends where two plugins have one name, or two sources one id or one event source.
    plugins = [described(example) for example in EXAMPLES]
    sources = [plugin for plugin in plugins if "sourcing" in plugin["capabilities"]]
    assert len(sources) >= 7
    for key, group in (("name", plugins), ("id", sources), ("event_source", sources)):
        values = [plugin[key] for plugin in group]
        assert len(values) == len(set(values)), (key, values)
    for plugin in sources:
        expected = OFFICIAL.get(plugin["name"])
        assert plugin["id"] == expected if expected else plugin["id"] in PRIVATE_USE, plugin["name"]


def test_the_guide_says_which_id_each_example_has() -> None:
    guide = (REPOSITORY / "docs/guide/examples.md").read_text()
    written = {name: int(number) for name, number in re.findall(r"^\| `(\w+)` \| (\d+) \|$", guide, re.MULTILINE)}
    assert written == {
        plugin["name"]: plugin["id"] for plugin in map(described, EXAMPLES) if "sourcing" in plugin["capabilities"]
    }
