"""Describes the machine and the versions of the measured software."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

from bench.libraries import OTHER_PYTHON, PEERS, ROOT, run

_VERSION = """
import platform, sys, falco_plugin
gil = getattr(sys, "_is_gil_enabled", lambda: True)()
state = f", with{'' if gil else 'out'} the GIL" if "t" in sys.abiflags else ""
print(platform.python_version() + sys.abiflags + state)
"""
"""Prints the version of a Python with its ABI flags, and whether a free-threaded one has the GIL beside the SDK."""


def python_version(python: str = sys.executable, name: str = "ours") -> str:
    """Returns the version of a Python that has the SDK, such as `3.14.0t, without the GIL`.

    Args:
        python: the Python.
        name: the library that it builds.

    Raises:
        BuildError: the Python does not run, or does not have the SDK.
    """
    return run(name, python, "-c", _VERSION).strip()


def describe(peers: Collection[str], other_python: str = "") -> dict[str, str]:
    """Returns what the figures depend on: date, commit, processor, kernel, and versions of the peers, by name."""
    peers_folder = ROOT / "bench" / "peers"
    versions = {
        "golang": _search(r"plugin-sdk-go (\S+)", peers_folder / "golang" / "go.mod"),
        "rust": _search(r'name = "falco_plugin"\nversion = "(.+)"', peers_folder / "rust" / "Cargo.lock"),
    }
    described = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _first_line_of("git", "describe", "--always", "--dirty"),
        "processor": _search(r"model name\s*: (.+)", Path("/proc/cpuinfo")),
        "cores": str(len(os.sched_getaffinity(0))),
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": python_version(),
    }
    if other_python:
        described["other Python"] = python_version(other_python, OTHER_PYTHON)
    for name in PEERS:
        if name in peers:
            peer = PEERS[name]
            described[peer.title] = ", ".join(filter(None, [versions.get(name), _first_line_of(*peer.version)]))
    return described


def _first_line_of(*command: str) -> str:
    try:
        process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return process.stdout.splitlines()[0].strip()


def _search(pattern: str, path: Path) -> str:
    try:
        found = re.search(pattern, path.read_text())
    except OSError:
        return "unknown"
    return found[1].strip() if found else "unknown"
