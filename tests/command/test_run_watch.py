"""`falco-plugin run --watch`: builds and runs a plugin again when its files change."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.hosts import environment

PLUGIN = """
from dataclasses import dataclass

from falco_plugin import Plugin

@dataclass
class Config:
    name: str = "none"

class Watched(Plugin):
    name = "watched"
    config: Config

    def open(self, params, context):
        yield f"WORD {self.config.name}".encode()
        context.wait()
"""


class Watching:
    """A running `falco-plugin run --watch`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: queue.Queue[str] = queue.Queue()
        for stream in (process.stdout, process.stderr):
            threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream: Iterator[str]) -> None:
        for line in stream:
            self.lines.put(line)

    def wait_for(self, text: str) -> list[str]:
        """Returns the lines up to the first that contains a text."""
        seen: list[str] = []
        while not seen or text not in seen[-1]:
            try:
                seen.append(self.lines.get(timeout=30))
            except queue.Empty:
                raise AssertionError(f"{text!r} did not come, but {seen}") from None
        return seen

    def end(self) -> list[str]:
        """Presses Ctrl-C, and returns the remaining lines."""
        os.killpg(self.process.pid, signal.SIGINT)
        assert self.process.wait(60) == 0
        return list(self.lines.queue)


@contextmanager
def watching(folder: Path, *options: str) -> Iterator[Watching]:
    with subprocess.Popen(
        [sys.executable, "-m", "falco_plugin", "run", *options, "--watch"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        start_new_session=True,
        text=True,
    ) as process:
        try:
            yield Watching(process)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def write(path: Path, text: str) -> None:
    """Writes a file as editors do: completely, or not at all."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text)
    beside.replace(path)


@pytest.mark.slow
def test_change_of_plugin_runs_it_again(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin.py"
    write(plugin, PLUGIN.replace("WORD", "first"))
    with watching(tmp_path, "plugin.py") as watched:
        watched.wait_for("first none")
        write(plugin, PLUGIN.replace("WORD", "second"))
        shown = watched.wait_for("second none")
        assert any("plugin.py changed: running again" in line for line in shown)
        # An error is shown, and the plugin runs on.
        write(plugin, "from falco_plugin import Plugin\n\nclass Watched(Plugin):\n    name = 5\n")
        shown = watched.wait_for("the previous version still runs")
        assert any("plugin.py:3: Watched: name must be str" in line for line in shown), shown
        assert len(shown) == 2
        write(plugin, PLUGIN.replace("WORD", "third"))
        watched.wait_for("third none")
        rest = watched.end()
        assert any("interrupted" in line for line in rest)
        assert not [line for line in rest if "Traceback" in line]


@pytest.mark.slow
def test_version_that_does_not_open_is_replaced_by_the_previous(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin.py"
    write(plugin, PLUGIN.replace("WORD", "first"))
    with watching(tmp_path, "plugin.py", "--metrics") as watched:
        watched.wait_for("first none")
        write(plugin, PLUGIN.replace("WORD", "second").replace("open(self", "init(self): 1 / 0\n    def open(self"))
        shown = watched.wait_for("the previous version runs again")
        assert any("init failed: ZeroDivisionError" in line for line in shown), shown
        watched.wait_for("first none")
        watched.end()


@pytest.mark.slow
def test_change_of_configuration_and_events_runs_again(tmp_path: Path) -> None:
    reads = "from falco_plugin import Plugin, json_field\n\nclass Reads(Plugin):\n    name = 'reads'\n"
    write(tmp_path / "reads.py", f"{reads}    word = json_field('reads.word', '/word', desc='The word')\n")
    write(tmp_path / "events", '{"word": "one"}\n')
    with watching(tmp_path, "reads.py", "--events", "events", "--all-fields") as watched:
        watched.wait_for("reads.word=one")
        watched.wait_for("waiting for a change")
        write(tmp_path / "events", '{"word": "two"}\n')
        watched.wait_for("reads.word=two")
        watched.wait_for("waiting for a change")
        watched.end()
    write(tmp_path / "plugin.py", PLUGIN)
    write(tmp_path / "c.yaml", "name: yellow\n")
    with watching(tmp_path, "plugin.py", "--config", "@c.yaml") as watched:
        watched.wait_for("WORD yellow")
        write(tmp_path / "c.yaml", "name: [\n")
        shown = watched.wait_for("the previous version still runs")
        assert any("c.yaml:2: not YAML" in line for line in shown), shown
        write(tmp_path / "c.yaml", "name: green\n")
        watched.wait_for("WORD green")
        watched.end()


@pytest.mark.slow
def test_watch_begins_with_faulty_plugin(tmp_path: Path) -> None:
    write(tmp_path / "plugin.py", "class\n")
    with watching(tmp_path, "plugin.py") as watched:
        watched.wait_for("SyntaxError")
        watched.wait_for("waiting for a change")
        write(tmp_path / "plugin.py", PLUGIN)
        watched.wait_for("WORD none")
        watched.end()
