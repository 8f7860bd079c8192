"""`RunningPlugin` while its plugin runs: metrics, and a new configuration."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from support.libraries import build_plugin
from support.scap import write_capture

from falco_plugin import PluginError
from falco_plugin._build import embedded
from falco_plugin.testing import RunError, RunningPlugin

LIMITED = '''
from dataclasses import dataclass

from falco_plugin import Counter, Event, Gauge, Plugin, parse


@dataclass
class Config:
    limit: int = 2
    """The number of events"""


class Limited(Plugin):
    """As many events as the configuration allows"""

    name = event_source = "limited"
    config: Config
    limit = Gauge("limit", desc="The limit")
    made = Counter("made", desc="Events")

    def init(self):
        self.limit.set(self.config.limit)

    def set_config(self, config: Config) -> None:
        if config.limit > 100:
            raise ValueError("too many")
        self.limit.set(config.limit)

    def open(self, params, context):
        while not context.wait(0.001):
            if self.made.value < self.config.limit:
                self.made.add()
                yield b"event"

    @parse("pluginevent", sources=["limited"])
    def seen(self, event: Event) -> None:
        pass
'''
OTHER = '''
from falco_plugin import Counter, Event, Plugin, parse


class Other(Plugin):
    """Counts events"""

    name = "other"
    seen = Counter("seen", desc="Events")

    @parse("pluginevent", "close", sources=["limited", "syscall"])
    def count(self, event: Event) -> None:
        self.seen.add()
'''


@pytest.fixture
def limited(tmp_path: Path) -> Path:
    path = tmp_path / "limited.py"
    path.write_text(LIMITED)
    return path


@pytest.fixture
def other(tmp_path: Path) -> Path:
    path = tmp_path / "other.py"
    path.write_text(OTHER)
    return path


def test_new_configuration_applies_while_the_source_runs(limited: Path, other: Path) -> None:
    with RunningPlugin(limited, plugins=[other], fields=[]) as running:
        assert [running.next_event(30).number for _ in range(2)] == [1, 2]
        metrics = running.metrics(30)
        assert (metrics["limited.limit"], metrics["limited.made"], metrics["other.seen"]) == (2, 2, 2)
        running.set_config({"limit": 3}, 30)
        assert running.next_event(30).number == 3
        assert running.metrics(30)["limited.limit"] == 3
        assert running.stop().result == "interrupted"


def test_refused_configuration_keeps_the_previous_one(limited: Path) -> None:
    with RunningPlugin(limited, fields=[]) as running:
        running.next_event(30)
        with pytest.raises(PluginError, match="limit: expected integer, got string"):
            running.set_config({"limit": "many"}, 30)
        with pytest.raises(PluginError, match="too many"):
            running.set_config({"limit": 1000}, 30)
        assert running.metrics(30)["limited.limit"] == 2
        running.set_config('{"limit": 5}', 30)
        assert running.metrics(30)["limited.limit"] == 5


def test_commands_after_the_end_raise(limited: Path) -> None:
    with RunningPlugin(limited, limit=1) as running:
        assert running.wait(30).result == "limit"
        with pytest.raises(RunError, match="the metrics did not come: limit after 1 event"):
            running.metrics(30)
        with pytest.raises(RunError, match="the end of set_config did not come"):
            running.set_config({"limit": 1}, 30)


def test_plugin_without_set_config_refuses_it(other: Path, limited: Path) -> None:
    limited.write_text(LIMITED.replace("def set_config", "def not_set_config"))
    with RunningPlugin(limited) as running:
        running.next_event(30)
        with pytest.raises(PluginError, match="set_config"):
            running.set_config({"limit": 5}, 30)


def test_replay_takes_commands_until_its_end(other: Path, tmp_path: Path) -> None:
    file = write_capture(tmp_path / "empty.scap", [])
    with RunningPlugin(other, scap=file) as running:
        assert running.wait(30).result == "eof"
        with pytest.raises(RunError, match="did not come"):
            running.metrics(30)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("metrics", "a line of --control is not a command: "),
        ('{"id": 1, "command": "stop"}', "unknown variant `stop`"),
        ('{"command": "metrics"}', "missing field `id`"),
    ],
)
def test_lines_that_are_not_commands_end_the_run(tmp_path: Path, line: str, message: str) -> None:
    library = build_plugin(tmp_path, LIMITED)
    commands = tmp_path / "commands"
    commands.write_text(line + "\n")
    with embedded.executable("host") as host:
        command = [host, "run", library, "--json", f"--control={commands}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 1
        assert message in json.loads(done.stdout.splitlines()[-1])["error"]
        text = subprocess.run([*command[:3], command[4]], capture_output=True, text=True, check=False, timeout=60)
    assert "--control writes its replies as JSON: add --json" in text.stderr
