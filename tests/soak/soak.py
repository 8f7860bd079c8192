"""Opens, reads, closes and reloads plugins for a long time, and checks each event and that no resource leaks.

The host is `rust/host/examples/endurance`. It runs without Python, and computes each expected event in advance. The
sources are in `tests/soak/plugin`.
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

from tests.soak.host import ROOT, BuildError, run_command, run_host
from tests.soak.series import FIFTHS, Limit, Series, describe_growth

_HERE = ROOT / "tests" / "soak"
_REPORT = _HERE / "results" / "soak.md"
_VERSIONS = "abc"

_SERIES: Sequence[tuple[str, str, str, Limit]] = (
    ("rss_kib", "resident memory", "KiB", Limit(0.10, 16384)),
    ("heap_kib", "resident memory in use by malloc", "KiB", Limit(0.10, 8192)),
    ("descriptors", "open descriptors", "", Limit(0, 0)),
    ("threads", "threads", "", Limit(0, 1)),
    ("states", "Python thread states", "", Limit(0, 1)),
    ("objects", "Python objects", "", Limit(0, 100)),
    ("blocks", "Python memory blocks", "", Limit(0, 5000)),
    ("modules", "Python modules", "", Limit(0, 0)),
)
"""The sampled quantities, and the growth allowed for each. Growth is not always a leak: sources hold some events at any
time, and a thread may be about to end. Python also caches the source lines of each module in the first traceback."""

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


@dataclass(frozen=True)
class SoakResult:
    """The report of the host."""

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
        return problems + describe_growth(self.series)


def soak(
    seconds: int, seed: int, log: Callable[[str], None] = lambda text: None, plugin: Path = _HERE / "plugin"
) -> SoakResult:
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
        return SoakResult(seed, reported.faults, reported.samples, reported.total, reported.status)


def _build(plugin: Path, folder: Path, version: str) -> Path:
    source = folder / f"source-{version}"
    shutil.copytree(plugin, source, ignore=shutil.ignore_patterns("__pycache__"))
    file = source / "version.py"
    file.write_text(file.read_text().replace('"a"', f'"{version}"'))
    library = folder / f"{version}.so"
    run_command(sys.executable, "-m", "falco_plugin", "build", "--linked", str(source), "-o", str(library))
    return library


# The report


def report(result: SoakResult) -> str:
    """Returns a Markdown report with tables of the checked events, the actions and the sampled quantities."""
    total, kinds = result.total, result.total["kinds"]
    events = sum(kind["events"] for kind in kinds.values())
    size = _size(sum(kind["bytes"] for kind in kinds.values()))
    failed = (
        ["**The run failed:**", "", *(f"- {problem}" for problem in result.problems), ""] if result.problems else []
    )
    lines = [
        "# Soak",
        "",
        f"`make soak`, {total['seconds'] / 60:.1f} minutes, Python {platform.python_version()}, `SEED={result.seed}`.",
        "One process of a host in Rust without Python. A source of each kind stays open during the whole run. At the",
        "same time, three threads load, open, read, close and reload without pause. The host computes each event in",
        "advance, and compares its order, number, size and checksum.",
        "",
        f"**{events:,} events checked, {size}: {len(result.faults)} faults.** A fault is an event that is lost,",
        "duplicated or changed, or any other unexpected result of the plugin.",
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
        "## Sampled quantities",
        "",
        f"{len(result.samples)} samples, each taken while only the permanent sources are open. The columns are medians",
        "of a fifth of the samples. A quantity is flat if the last column exceeds the second by at most the allowed",
        "growth. The host limits glibc to two arenas and returns large blocks to the system (`mallopt`), so that free",
        "memory cannot hide a leak.",
        "",
        "| | 1st | 2nd | 3rd | 4th | 5th | allowed | |",
        "|---|--:|--:|--:|--:|--:|--:|---|",
        *(_row(series) for series in result.series),
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
    parser.add_argument("--seed", type=int, help="seed of a run to repeat")
    parser.add_argument("--report", type=Path, default=_REPORT)
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(2**32) if options.seed is None else options.seed
    print(f"SEED={seed}", flush=True)
    try:
        result = soak(round(options.minutes * 60), seed, lambda text: print(text, flush=True))
    except BuildError as problem:
        sys.exit(f"soak: {problem}")
    if result.total:
        options.report.parent.mkdir(parents=True, exist_ok=True)
        options.report.write_text(report(result))
        print(report(result))
    if result.problems:
        sys.exit("\n".join(f"soak: {problem}" for problem in result.problems))


if __name__ == "__main__":
    main()
