"""Runs the plugin at the top of the README unchanged."""

from __future__ import annotations

import re
from pathlib import Path

from support.paths import REPOSITORY

from falco_plugin.testing import collect


def test_plugin_of_the_readme_delivers_each_line(tmp_path: Path) -> None:
    code = re.search(r"```python\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)
    assert code is not None
    assert len([line for line in code[1].splitlines() if line]) <= 10
    plugin = tmp_path / "lines.py"
    plugin.write_text(code[1])
    log = REPOSITORY / "plugins/tail/sample.jsonl"
    assert [event.data for event in collect(plugin, str(log))] == log.read_bytes().splitlines()
