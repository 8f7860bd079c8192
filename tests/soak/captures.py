"""Captures with plugins that parse events, share tables, send async events and have routines, for a long time.

The host is `rust/host/examples/endurance`. It feeds system calls to both plugins of `tests/soak/captured`, reads
metrics and tables from another thread, and reloads the plugins after each capture.
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
_REPORT = _HERE / "results" / "captures.md"
_PLUGINS = ("owner", "reader")
"""The plugins in load order."""

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
"""The sampled quantities, and the growth allowed for each. The host keeps some kilobytes of each capture itself."""

_COUNTS = (
    ("captures", "captures, each with new states in reloaded libraries"),
    ("parsed", "calls of `parse_event`"),
    ("fields", "extracted fields"),
    ("async_events", "async events that the host received"),
    ("state_events", "events of `dump_state`"),
    ("metrics", "readings of all metrics of a plugin, on another thread"),
    ("rows", "entries of a plugin's table that the host read, on another thread"),
)


@dataclass(frozen=True)
class CapturesResult:
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
        return problems

    @property
    def grown(self) -> list[str]:
        """Describes the quantities that have grown by more than their limit."""
        return describe_growth(self.series) if self.total else []


def capture(seconds: int, seed: int, log: Callable[[str], None] = lambda text: None) -> CapturesResult:
    """Builds the host and the plugins, and captures with them.

    Raises:
        BuildError: the host or a plugin cannot be built.
    """
    with tempfile.TemporaryDirectory(prefix="falco-plugin-captures-") as name:
        libraries = [_build(plugin, Path(name)) for plugin in _PLUGINS]
        reported = run_host(["captures", str(seed), str(seconds), *map(str, libraries)], log)
        return CapturesResult(seed, reported.faults, reported.samples, reported.total, reported.status)


def _build(plugin: str, folder: Path) -> Path:
    source = folder / plugin
    source.mkdir()
    shutil.copy(_HERE / "captured" / f"{plugin}.py", source / "plugin.py")
    shutil.copy(_HERE / "plugin" / "state.py", source)
    library = folder / f"{plugin}.so"
    run_command(sys.executable, "-m", "falco_plugin", "build", "--linked", str(source), "-o", str(library))
    return library


def report(result: CapturesResult) -> str:
    """Returns a Markdown report with tables of the actions and the sampled quantities."""
    total, problems = result.total, [*result.problems, *result.grown]
    failed = ["**The run failed:**", "", *(f"- {problem}" for problem in problems), ""] if problems else []
    lines = [
        "# Captures",
        "",
        f"`make captures`, {total['seconds'] / 60:.1f} minutes, Python {platform.python_version()}, "
        f"`SEED={result.seed}`.",
        "One process of a host in Rust without Python, with two plugins. Both parse system calls, read and change the",
        "same table, and send async events; one of them also uses the table `threads`, has two routines, and raises",
        "exceptions on purpose. While a capture runs, another thread reads the metrics of both and all entries of the",
        "table. After each capture the plugins are destroyed and unloaded.",
        "",
        f"**{len(result.faults)} faults.**",
        "",
        *failed,
        "| | |",
        "|---|--:|",
        *(f"| {title} | {total[name]:,} |" for name, title in _COUNTS),
        "",
        "## Sampled quantities",
        "",
        f"{len(result.samples)} samples, each taken after `init` of both plugins. The columns are medians of a fifth",
        "of the samples. A quantity is flat if the last column exceeds the second by at most the allowed growth.",
        "The host itself keeps about 15 KiB of each capture, because it never frees the owner of a plugin.",
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


def main() -> None:
    parser = argparse.ArgumentParser(prog="captures", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, help="seed of a run to repeat")
    parser.add_argument("--report", type=Path, default=_REPORT)
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(2**32) if options.seed is None else options.seed
    print(f"SEED={seed}", flush=True)
    try:
        result = capture(round(options.minutes * 60), seed, lambda text: print(text, flush=True))
    except BuildError as problem:
        sys.exit(f"captures: {problem}")
    if result.total:
        options.report.parent.mkdir(parents=True, exist_ok=True)
        options.report.write_text(report(result))
        print(report(result))
    if problems := [*result.problems, *result.grown]:
        sys.exit("\n".join(f"captures: {problem}" for problem in problems))


if __name__ == "__main__":
    main()
