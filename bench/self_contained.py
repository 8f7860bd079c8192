"""Compares self-contained libraries with linked ones: size, time of builds, start, and memory.

Writes bench/results/self-contained.md. ``--numpy-python`` names a Python that has falco-plugin-sdk and numpy. Without
it, the plugin with numpy is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench import libraries, machine
from confluent_kafka import Producer
from tests.soak.http_server import serve

_ROUNDS = 5
_RECORD = b'[{"uuid": "1", "published": "2026-11-20T08:00:00Z"}]'
"""The answer of an audit API with one record."""
_RESULT = libraries.ROOT / "bench" / "results" / "self-contained.md"


@dataclass(frozen=True)
class Plugin:
    """A measured plugin, and what it reads."""

    name: str
    source: Path
    python: str = sys.executable
    params: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Built:
    """A library, and the seconds of its build."""

    path: Path
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.self_contained", description=__doc__)
    parser.add_argument("--numpy-python", metavar="PATH", help="a Python with falco-plugin-sdk and numpy")
    options = parser.parse_args()
    try:
        with serve(lambda path: _RECORD) as url, _run_broker() as broker, tempfile.TemporaryDirectory() as name:
            lines = _measure(_plugins(url, broker, Path(name), options.numpy_python), Path(name))
    except libraries.BuildError as error:
        sys.exit(f"self_contained: {error}")
    about = [f"- {name}: {value}" for name, value in machine.describe([]).items()]
    text = "\n".join(["# Self-contained libraries", "", *about, "", _EXPLANATION, "", *lines, ""])
    _RESULT.write_text(text)
    print(text)


_EXPLANATION = f"""\
The first build has an empty cache, the second only changed code of the plugin. Start is the time from the call of
`init` to the first event. Memory is what is resident at the end of the process. Both are medians of {_ROUNDS} runs:
first that of a linked library, then that of a self-contained one."""

_HEAD = (
    ("plugin", "size, MB", "first build, s", "second build, s", "linked build, s", "start, ms", "memory, MB"),
    ("---", "--:", "--:", "--:", "--:", "--:", "--:"),
)


def _plugins(url: str, broker: str, folder: Path, numpy_python: str | None) -> list[Plugin]:
    root = libraries.ROOT
    token = folder / "token"
    token.write_text("secret")
    found = [
        Plugin("smallest", root / "bench" / "plugins" / "smallest.py"),
        Plugin("k8saudit", root / "plugins" / "k8saudit", params=str(root / "plugins" / "k8saudit" / "sample.jsonl")),
        Plugin(
            "poller",
            root / "plugins" / "poller",
            params=url,
            config={"token_file": str(token), "id_field": "uuid", "timestamp_field": "published"},
        ),
        Plugin("kafka", root / "plugins" / "kafka", params="audit", config={"bootstrap_servers": broker}),
    ]
    if numpy_python:
        found.append(Plugin("numpy", root / "tests" / "roots" / "numpy_plugin.py", numpy_python))
    return found


def _measure(plugins: list[Plugin], folder: Path) -> list[str]:
    """Returns the lines of the table."""
    lines = [_row(cells) for cells in _HEAD]
    host = libraries.host()
    for plugin in plugins:
        cache = folder / f"cache-{plugin.name}"
        copied = folder / plugin.name / plugin.source.name
        copied.parent.mkdir()
        (shutil.copytree if plugin.source.is_dir() else shutil.copy)(plugin.source, copied)
        first = _build(plugin, copied, folder, cache)
        main = copied / "plugin.py" if copied.is_dir() else copied
        main.write_text(f"{main.read_text()}\nCHANGED = True\n")
        second = _build(plugin, copied, folder, cache)
        linked = _build(plugin, copied, folder, cache, "--linked")
        runs = {built: [_run(host, built.path, plugin) for _ in range(_ROUNDS)] for built in (linked, second)}
        starts = [_milliseconds([run["first_event_ns"] for run in found]) for found in runs.values()]
        memory = [f"{median(run['memory']['end_kib'] for run in found) * 1024 / 1e6:.0f}" for found in runs.values()]
        size = f"{second.path.stat().st_size / 1e6:.1f}"
        times = [f"{built.seconds:.1f}" for built in (first, second, linked)]
        lines.append(_row([plugin.name, size, *times, " / ".join(starts), " / ".join(memory)]))
        print(lines[-1], flush=True)
    return lines


def _milliseconds(times: list[int | None]) -> str:
    """Returns the median; "none" if a run delivered no event."""
    counted = [time for time in times if time is not None]
    return f"{median(counted) / 1e6:.0f}" if len(counted) == len(times) else "none"


def _row(cells: tuple[str, ...] | list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _build(plugin: Plugin, source: Path, folder: Path, cache: Path, *options: str) -> Built:
    path = folder / f"lib{plugin.name}{''.join(options)}.so"
    env = {"XDG_CACHE_HOME": str(cache)}
    start = time.monotonic()
    command = [plugin.python, "-m", "falco_plugin", "build", *options, str(source), "-o", str(path)]
    libraries.run(plugin.name, *command, env=env)
    return Built(path, time.monotonic() - start)


def _run(host: Path, library: Path, plugin: Plugin) -> dict[str, Any]:
    config = dict(plugin.config)
    if "bootstrap_servers" in config:
        # A consumer group gets a record only once.
        config["group"] = uuid.uuid4().hex
    options = ["--json", "--limit", "1", "--params", plugin.params, "--config", json.dumps(config)]
    # A checkout may belong to another user than root.
    env = {**os.environ, "FALCO_PLUGIN_ALLOW_WRITABLE": "1"}
    done = subprocess.run([host, "bench", library, *options], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise libraries.BuildError(f"{library} failed:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@contextmanager
def _run_broker() -> Generator[str]:
    """Runs the mock broker of librdkafka with a record in its topic, and yields its address."""
    producer = Producer({"bootstrap.servers": "replaced", "test.mock.num.brokers": 1, "log_level": 0})
    producer.produce("audit", b'{"number": 1}', partition=0)
    producer.flush(30)
    (broker,) = producer.list_topics(timeout=30).brokers.values()
    yield f"{broker.host}:{broker.port}"
    producer.purge()


if __name__ == "__main__":
    main()
