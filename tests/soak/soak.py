"""Opens, reads, closes and reloads plugins in a host without Python for a long time, and checks that nothing grows.

`rust/host/examples/endurance` is the host, which knows each event in advance; `tests/soak/plugin` has the sources.
"""

from __future__ import annotations

import argparse
import platform
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.soak.flat import FIFTHS, Limit, Series
from tests.soak.host import ROOT, Failed, run_command, run_host

_HERE = ROOT / "tests" / "soak"
_REPORT = _HERE / "results" / "soak.md"
_VERSIONS = "abc"

_SERIES: Sequence[tuple[str, str, str, Limit]] = (
    ("rss_kib", "resident memory", "KiB", Limit(0.10, 16384)),
    ("heap_kib", "of it, in use by malloc", "KiB", Limit(0.10, 8192)),
    ("descriptors", "open descriptors", "", Limit(0, 0)),
    ("threads", "threads", "", Limit(0, 1)),
    ("states", "Python's thread states", "", Limit(0, 1)),
    ("objects", "Python's objects", "", Limit(0, 100)),
    ("blocks", "Python's blocks of memory", "", Limit(0, 5000)),
    ("modules", "Python's modules", "", Limit(0, 0)),
)
"""What is sampled, and how much more of it there may be at the end. Sources hold some events at any moment, a thread
may just be about to end, and the first traceback through a module of Python's keeps its lines, thousands of blocks."""

_COUNTS = (
    ("loads", "libraries loaded"),
    ("unloads", "of them unloaded, and the next version put at the same path"),
    ("inits", "inits"),
    ("threads", "threads of the host"),
    ("ends", "sources that ended by themselves, with all their events"),
    ("closes_midway", "sources closed in mid-flow"),
    ("empty_events", "empty events"),
    ("rotations", "rotations of files"),
    ("fields", "fields asked for"),
    ("thrown_by_init", "exceptions thrown by `init`"),
    ("thrown_by_open", "exceptions thrown by `open`"),
    ("thrown_by_sources", "exceptions that ended a source"),
    ("retries", "exceptions after which a source was called again"),
    ("thrown_by_fields", "exceptions thrown by fields' methods"),
)


@dataclass(frozen=True)
class Soaked:
    """What the host said."""

    seed: int
    faults: Sequence[str]
    samples: Sequence[Mapping[str, float]]
    total: Mapping[str, Any]
    status: int

    @property
    def series(self) -> list[Series]:
        return [
            Series(title, unit, [sample[name] for sample in self.samples], limit)
            for name, title, unit, limit in _SERIES
        ]

    @property
    def problems(self) -> list[str]:
        problems = [*self.faults]
        if self.status != bool(self.faults):
            problems.append(f"the host ended with status {self.status}")
        if not self.total:
            return problems
        return problems + [
            f"{series.title}: {series.growth:,.0f} {series.unit} more, {series.allowed:,.0f} are allowed"
            for series in self.series
            if not series.is_flat
        ]


def soak(
    seconds: int, seed: int, tell: Callable[[str], None] = lambda text: None, plugin: Path = _HERE / "plugin"
) -> Soaked:
    """Builds host and plugin, and runs the one with the other.

    Raises:
        Failed: something cannot be built.
    """
    with tempfile.TemporaryDirectory(prefix="falco-plugin-soak-") as name:
        folder = Path(name)
        libraries = [_build(plugin, folder, version) for version in _VERSIONS]
        files = folder / "files"
        files.mkdir()
        reported = run_host(["soak", str(seed), str(seconds), str(files), *map(str, libraries)], tell)
        return Soaked(seed, reported.faults, reported.samples, reported.total, reported.status)


def _build(plugin: Path, folder: Path, version: str) -> Path:
    source = folder / f"source-{version}"
    shutil.copytree(plugin, source, ignore=shutil.ignore_patterns("__pycache__"))
    file = source / "version.py"
    file.write_text(file.read_text().replace('"a"', f'"{version}"'))
    library = folder / f"{version}.so"
    run_command(sys.executable, "-m", "falco_plugin", "build", str(source), "-o", str(library))
    return library


# The report


def report(soaked: Soaked) -> str:
    """Tables of what was done, and of what there was at its beginning, in its middle and at its end."""
    total, kinds = soaked.total, soaked.total["kinds"]
    events = sum(kind["events"] for kind in kinds.values())
    size = _size(sum(kind["bytes"] for kind in kinds.values()))
    failed = ["**It failed:**", "", *(f"- {problem}" for problem in soaked.problems), ""] if soaked.problems else []
    lines = [
        "# Soak",
        "",
        f"`make soak`, {total['seconds'] / 60:.1f} minutes, Python {platform.python_version()}, `SEED={soaked.seed}`.",
        "One process of a host in Rust without Python. A source of each kind stays open all the time; beside these,",
        "three threads load, open, read, close and reload without pause. The host knows each event in advance, and",
        "compares its order, number, size and checksum.",
        "",
        f"**{events:,} events checked, {size}: {len(soaked.faults)} faults.** A fault is an event that is lost, that",
        "comes twice or has other bytes, and any answer of the plugin that is not the one that is due.",
        "",
        *failed,
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
        "## What must not grow",
        "",
        f"{len(soaked.samples)} samples, each while only the sources are open that always are. The columns are medians",
        "of a fifth of the samples. Flat: the last is not above the second by more than is allowed. The host limits",
        "glibc to two arenas and has large blocks given back (`mallopt`), so that free memory hides nothing.",
        "",
        "| | 1st | 2nd | 3rd | 4th | 5th | allowed | |",
        "|---|--:|--:|--:|--:|--:|--:|---|",
        *(_row(series) for series in soaked.series),
    ]
    return "\n".join(lines) + "\n"


def _row(series: Series) -> str:
    title = f"{series.title}, {series.unit}" if series.unit else series.title
    fifths = [f"{series.fifth(index):,.0f}" for index in range(FIFTHS)]
    verdict = "flat" if series.is_flat else "**grows**"
    return f"| {title} | {' | '.join(fifths)} | +{series.allowed:,.0f} | {verdict} |"


def _size(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, help="repeats the plan of another run")
    parser.add_argument("--report", type=Path, default=_REPORT)
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(2**32) if given.seed is None else given.seed
    print(f"SEED={seed}", flush=True)
    try:
        soaked = soak(round(given.minutes * 60), seed, lambda text: print(text, flush=True))
    except Failed as problem:
        sys.exit(f"soak: {problem}")
    if soaked.total:
        given.report.parent.mkdir(parents=True, exist_ok=True)
        given.report.write_text(report(soaked))
        print(report(soaked))
    if soaked.problems:
        sys.exit("\n".join(f"soak: {problem}" for problem in soaked.problems))


if __name__ == "__main__":
    main()
