"""Measures two sources that compute in Python, side by side in one process, against one alone.

Linked libraries share an interpreter and its GIL. Each self-contained library has its own.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

from bench import libraries

_HOST = libraries.ROOT / "tests" / "hosts" / "c"
_PLUGIN = libraries.ROOT / "bench" / "plugins" / "computing.py"
_WORK = 8
"""Number of events of each source."""
_ROUNDS = 5


def main() -> None:
    try:
        host = _build_host()
        print("| libraries | one source alone, s | two side by side, s | throughput of both |\n|---|--:|--:|--:|")
        for kind, options in {"linked": ["--linked"], "self-contained": []}.items():
            pair = [_build(f"{kind}-{number}", options) for number in (1, 2)]
            alone, together = list[float](), list[float]()
            for _ in range(_ROUNDS):
                alone.append(_seconds(_run(host, "log", str(pair[0]), "", str(_WORK))))
                together.append(_seconds(_run(host, "race", *map(str, pair), str(_WORK))))
            ratio = median(2 * one / both for one, both in zip(alone, together, strict=True))
            print(f"| {kind} | {median(alone):.2f} | {median(together):.2f} | {ratio:.2f} x |", flush=True)
    except libraries.BuildError as error:
        sys.exit(f"isolation: {error}")


def _build_host() -> Path:
    libraries.BUILD.mkdir(parents=True, exist_ok=True)
    path = libraries.BUILD / "c-host"
    sources = sorted(str(file) for file in _HOST.glob("*.c") if file.name != "malloc.c")
    libraries.run(
        "host", "cc", "-std=c11", "-O1", "-fvisibility=hidden", *sources, "-o", str(path), "-ldl", "-lpthread"
    )
    return path


def _build(name: str, options: list[str]) -> Path:
    source = libraries.BUILD / name / "computing.py"
    source.parent.mkdir(exist_ok=True)
    # Libraries of different plugins have different interpreters.
    source.write_text(_PLUGIN.read_text().replace('name = "computing"', f'name = "computing-{name}"'))
    path = libraries.BUILD / f"{name}.so"
    libraries.run(name, sys.executable, "-m", "falco_plugin", "build", *options, str(source), "-o", str(path))
    return path


def _run(host: Path, *arguments: str) -> list[dict[str, Any]]:
    """Returns the events that the plugins delivered."""
    # A source that computes has many timeouts.
    env = {**os.environ, "FALCO_PLUGIN_ALLOW_WRITABLE": "1", "HOST_TIMEOUTS": "10000"}
    done = subprocess.run([host, *arguments], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise libraries.BuildError(f"the host failed:\n{done.stdout}{done.stderr}")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    runs = [run for line in lines for run in line.get("race", [])]
    payloads = [payload for run in runs for payload in run["payloads"]]
    payloads += [line["event"]["base64"] for line in lines if "event" in line]
    return [json.loads(base64.b64decode(payload)) for payload in payloads]


def _seconds(events: list[dict[str, Any]]) -> float:
    """Returns the time from the first begin to the last end."""
    return float(max(event["end"] for event in events) - min(event["begin"] for event in events))


if __name__ == "__main__":
    main()
