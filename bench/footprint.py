"""Measures the smallest plugin: the size of its libraries, and its start. `--other` compares with another SDK.

The other SDK has another version, and is installed for another Python, such as that of a second checkout.
Without valgrind, the instructions are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from bench import libraries

_PLUGINS = libraries.ROOT / "bench" / "plugins"
_RUNS = 11
_PARTS = """
import json, os
from falco_plugin import _core
from falco_plugin._build import embedded
parts = {part: len(embedded.read(part)) for part in ("stub", "host", "packer")}
print(json.dumps({"loaded": os.path.getsize(_core.__file__) - sum(parts.values()), **parts}))
"""
"""Prints the bytes of the native core that Falco loads, and those of the files that are embedded in it."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.footprint", description=__doc__)
    parser.add_argument("--other", metavar="PATH", help="a Python that has another version of falco-plugin-sdk")
    options = parser.parse_args()
    pythons = [sys.executable, *filter(None, [options.other])]
    try:
        with tempfile.TemporaryDirectory() as name:
            found = [_measure(python, Path(name, str(number))) for number, python in enumerate(pythons)]
    except libraries.BuildError as error:
        sys.exit(f"footprint: {error}")
    heads = ["quantity", "this SDK", *(["the other SDK", "ratio"] if options.other else [])]
    print(f"| {' | '.join(heads)} |\n|---|{'--:|' * (len(heads) - 1)}")
    for quantity, ours in found[0].items():
        cells = [f"{ours:,.4g}" if ours < 1000 else f"{ours:,.0f}"]
        for other in found[1:]:
            theirs = other[quantity]
            cells += [f"{theirs:,.4g}" if theirs < 1000 else f"{theirs:,.0f}", f"{ours / theirs:.3f}"]
        print(f"| {quantity} | {' | '.join(cells)} |")


def _measure(python: str, folder: Path) -> dict[str, float]:
    """Returns the quantities of the SDK of a Python, by name."""
    folder.mkdir()
    parts = json.loads(libraries.run("the native core", python, "-c", _PARTS))
    found: dict[str, float] = {f"native core, {part}, bytes": size for part, size in parts.items()}
    for kind, option in {"linked": ["--linked"], "self-contained": []}.items():
        library = _build(python, "smallest", folder / f"{kind}.so", *option)
        found[f"{kind} library, bytes"] = library.stat().st_size
        runs = [_run(library, "--limit", "1") for _ in range(_RUNS)]
        found[f"{kind} library, init to first event, ms"] = median(run["first_event_ns"] for run in runs) / 1e6
        found[f"{kind} library, memory, KiB"] = median(run["memory"]["end_kib"] for run in runs)
    modules = _build(python, "modules", folder / "modules.so", "--linked")
    found["imported modules"] = _run(modules)["events"]["count"]
    if shutil.which("valgrind"):
        found["instructions of init, millions"] = _instructions(folder / "linked.so", folder) / 1e6
    return found


def _build(python: str, plugin: str, library: Path, *options: str) -> Path:
    source = str(_PLUGINS / f"{plugin}.py")
    libraries.run(plugin, python, "-m", "falco_plugin", "build", *options, source, "-o", str(library))
    return library


def _run(library: Path, *options: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_host([], library, *options).stdout)
    return found


def _instructions(library: Path, folder: Path) -> int:
    """Returns how many instructions `plugin_init` takes."""
    recorded = folder / "callgrind.out"
    tool = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={recorded}", "--toggle-collect=plugin_init"]
    _host(tool, library, "--limit", "1")
    found = re.search(r"^(?:summary|totals): (\d+)", recorded.read_text(), re.MULTILINE)
    if found is None:
        raise libraries.BuildError(f"valgrind has counted no instructions of {library}")
    return int(found[1])


def _host(wrapper: list[str], library: Path, *options: str) -> subprocess.CompletedProcess[str]:
    # A checkout may belong to another user than root.
    env = {**os.environ, "FALCO_PLUGIN_ALLOW_WRITABLE": "1"}
    command = [*wrapper, str(libraries.host()), "bench", str(library), "--json", *options]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise libraries.BuildError(f"{library} failed:\n{done.stderr}")
    return done


if __name__ == "__main__":
    main()
