"""A running plugin that can be started again, and helpers for log and position files."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from falco_plugin.testing.fixtures import StartPlugin

TAIL = Path(__file__).parent
TO_THE_END = {"follow": False}
HIDDEN = "a value that no error may show"


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "the condition did not become true"
        time.sleep(0.005)


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def count_descriptors_below(folder: Path) -> int:
    """Counts the files in a folder that are open in any process."""
    count = 0
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            count += os.readlink(descriptor).startswith(f"{folder}/")
        except OSError:
            continue
    return count


def saved_positions(position_file: Path) -> list[dict[str, Any]]:
    return (json.loads(position_file.read_bytes())["cursor"]["files"] or []) if position_file.exists() else []


def saved_offsets(position_file: Path) -> dict[str, int]:
    return {Path(position["path"]).name: position["offset"] for position in saved_positions(position_file)}


def wait_for_offset(position_file: Path, offset: int) -> None:
    """Waits until the position file has one file, with this offset."""
    wait_until(lambda: list(saved_offsets(position_file).values()) == [offset])


class Follower:
    """The plugin in a host that can be started again."""

    def __init__(self, start_plugin: StartPlugin, params: object, **config: object) -> None:
        self._start_plugin = start_plugin
        self._params = str(params)
        self._config = {"poll_interval": 0.01, "rotated_wait": 0.1, **config}
        self.start()

    def start(self) -> None:
        self.host = self._start_plugin(TAIL, self._params, config=self._config)

    def expect(self, *lines: bytes) -> None:
        """Waits for the next events, and checks that they are these lines."""
        assert [self.host.next_event().data for _ in lines] == list(lines)

    def stop(self) -> list[bytes]:
        """Stops the host. Returns all its events since its start."""
        ran = self.host.stop()
        assert ran.result == "interrupted", str(ran)
        return [event.data for event in ran.events]

    def kill(self) -> list[bytes]:
        """Kills the host. Returns all its events since its start."""
        return [event.data for event in self.host.kill().events]

    def logs(self, text: str) -> list[str]:
        """Returns the log lines that contain a text."""
        return [line.text for line in self.host.log if text in line.text]


Follow = Callable[..., Follower]


@pytest.fixture
def follow(start_plugin: StartPlugin) -> Follow:
    """Starts the plugin with short intervals."""
    return partial(Follower, start_plugin)
