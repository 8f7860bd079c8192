"""Opens, reads, closes and reloads plugins for a long time, and checks each event and that no resource leaks.

The host is `rust/host/examples/endurance`. It runs without Python, and computes each expected event in advance. The
sources are in `tests/soak/plugin`.
"""

from __future__ import annotations

import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.soak.host import ROOT, run_command, run_host
from tests.soak.result import QUANTITIES, Result, run_for_minutes

_HERE = ROOT / "tests" / "soak"
_REPORT = _HERE / "results" / "soak.md"
_VERSIONS = "abc"

_COUNTS = (
    ("loads", "libraries loaded"),
    ("unloads", "libraries unloaded and replaced by the next version at the same path"),
    ("inits", "calls of `init`"),
    ("threads", "threads of the host"),
    ("ends", "sources that ended after all their events"),
    ("closes_midway", "sources closed before their end"),
    ("empty_events", "empty events"),
    ("rotations", "file rotations"),
    ("fields", "extracted fields"),
    ("raised_by_init", "exceptions raised by `init`"),
    ("raised_by_open", "exceptions raised by `open`"),
    ("raised_by_sources", "exceptions that ended a source"),
    ("retries", "exceptions after which a source was retried"),
    ("raised_by_fields", "exceptions raised by field methods"),
    ("metrics", "readings of all metrics of a plugin"),
    ("configurations", "changes of the configuration"),
    ("raised_by_set_config", "exceptions raised by `set_config`"),
)


def soak(
    seconds: int, seed: int, log: Callable[[str], None] = lambda text: None, plugin: Path = _HERE / "plugin"
) -> Result:
    """Builds the host and the plugin, and runs the plugin in the host.

    Raises:
        BuildError: the host or the plugin cannot be built.
    """
    with tempfile.TemporaryDirectory(prefix="falco-plugin-soak-") as name:
        folder = Path(name)
        libraries = [_build(plugin, folder, version) for version in _VERSIONS]
        files = folder / "files"
        files.mkdir()
        reported = run_host(["soak", str(seed), str(seconds), str(files), *map(str, libraries)], log)
        return Result(reported, QUANTITIES)


def _build(plugin: Path, folder: Path, version: str) -> Path:
    source = folder / f"source-{version}"
    shutil.copytree(plugin, source, ignore=shutil.ignore_patterns("__pycache__"))
    file = source / "version.py"
    file.write_text(file.read_text().replace('"a"', f'"{version}"'))
    library = folder / f"{version}.so"
    run_command(sys.executable, "-m", "falco_plugin", "build", "--linked", str(source), "-o", str(library))
    return library


# The report


def report(result: Result, seed: int) -> str:
    """Returns a Markdown report with tables of the checked events, the actions and the sampled quantities."""
    total, kinds = result.total, result.total["kinds"]
    events = sum(kind["events"] for kind in kinds.values())
    size = _size(sum(kind["bytes"] for kind in kinds.values()))
    lines = [
        "# Soak",
        "",
        f"`make soak`, {total['seconds'] / 60:.1f} minutes, Python {platform.python_version()}, `SEED={seed}`.",
        "One process of a host in Rust without Python. A source of each kind stays open during the whole run. At the",
        "same time, three threads load, open, read, close and reload without pause. The host computes each event in",
        "advance, and compares its order, number, size and checksum.",
        "",
        f"**{events:,} events checked, {size}: {len(result.faults)} faults.** A fault is an event that is lost,",
        "duplicated or changed, or any other unexpected result of the plugin.",
        "",
        *result.failure(),
        "| source | opened | events | bytes |",
        "|---|--:|--:|--:|",
        *(
            f"| {name} | {kind['opens']:,} | {kind['events']:,} | {_size(kind['bytes'])} |"
            for name, kind in kinds.items()
        ),
        "",
        "| | |",
        "|---|--:|",
        *(f"| {title} | {total[name]:,} |" for name, title in _COUNTS),
        "",
        "## Sampled quantities",
        "",
        f"{len(result.samples)} samples, each taken while only the permanent sources are open. The columns are medians",
        "of a fifth of the samples. A quantity is flat if the last column exceeds the second by at most the allowed",
        "growth. The host limits glibc to two arenas and returns large blocks to the system (`mallopt`), so that free",
        "memory cannot hide a leak.",
        "",
        *result.table(),
    ]
    return "\n".join(lines) + "\n"


def _size(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"


if __name__ == "__main__":
    run_for_minutes("soak", __doc__, _REPORT, soak, report)
