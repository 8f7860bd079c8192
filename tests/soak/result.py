"""The result of a long run of the host: faults, sampled quantities, and the parts that all reports have."""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.soak.host import BuildError, HostReport
from tests.soak.series import FIFTHS, Limit, Series, describe_growth

Quantity = tuple[str, str, str, Limit]
"""A sampled quantity: its name in a sample, a title, a unit, and the allowed growth."""
Quantities = Sequence[Quantity]
QUANTITIES: Quantities = (
    ("rss_kib", "resident memory", "KiB", Limit(0.10, 16384)),
    ("heap_kib", "resident memory in use by malloc", "KiB", Limit(0.10, 8192)),
    ("descriptors", "open descriptors", "", Limit(0, 0)),
    ("threads", "threads", "", Limit(0, 1)),
    ("states", "Python thread states", "", Limit(0, 1)),
    ("objects", "Python objects", "", Limit(0, 100)),
    ("blocks", "Python memory blocks", "", Limit(0, 5000)),
    ("modules", "Python modules", "", Limit(0, 0)),
)
"""The quantities of runs that last minutes. Growth is not always a leak: sources hold some events at any time, and a
thread may be about to end. Python also caches the source lines of each module in the first traceback."""


@dataclass(frozen=True)
class Result:
    """The report of the host, and the quantities that were sampled."""

    reported: HostReport
    quantities: Quantities

    @property
    def faults(self) -> Sequence[str]:
        return self.reported.faults

    @property
    def samples(self) -> Sequence[Mapping[str, float]]:
        return self.reported.samples

    @property
    def total(self) -> Mapping[str, Any]:
        return self.reported.total

    @property
    def series(self) -> list[Series]:
        return [
            Series(title, unit, [sample[name] for sample in self.samples], limit)
            for name, title, unit, limit in self.quantities
        ]

    @property
    def problems(self) -> list[str]:
        """Describes faults, and an exit status that does not fit them."""
        problems = [*self.faults]
        if self.reported.status != bool(self.faults):
            problems.append(f"the host ended with status {self.reported.status}")
        return problems

    @property
    def grown(self) -> list[str]:
        """Describes the quantities that have grown by more than their limit."""
        return describe_growth(self.series) if self.total else []

    def failure(self) -> list[str]:
        """Returns the lines of a report that describe what is wrong."""
        problems = [*self.problems, *self.grown]
        return ["**The run failed:**", "", *(f"- {problem}" for problem in problems), ""] if problems else []

    def table(self) -> list[str]:
        """Returns the lines of a table of the sampled quantities."""
        return [
            "| | 1st | 2nd | 3rd | 4th | 5th | allowed | |",
            "|---|--:|--:|--:|--:|--:|--:|---|",
            *(_row(series) for series in self.series),
        ]

    def finish(self, program: str, path: Path, report: Callable[[], str]) -> None:
        """Writes and prints the report if the run was complete, and ends the program if something is wrong."""
        if self.total:
            text = report()
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(text)
        if problems := [*self.problems, *self.grown]:
            sys.exit("\n".join(f"{program}: {problem}" for problem in problems))


def run_for_minutes(
    program: str,
    description: str | None,
    path: Path,
    run: Callable[[int, int, Callable[[str], None]], Result],
    report: Callable[[Result, int], str],
) -> None:
    """Runs the command line of a program whose options are a duration and a seed.

    Args:
        program: its name in messages.
        description: the text of its help.
        path: the default path of the report.
        run: runs for a number of seconds with a seed, and passes lines to a function as they come.
        report: returns the text of the report for a result and a seed.
    """
    parser = argparse.ArgumentParser(prog=program, description=description)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, help="seed of a run to repeat")
    parser.add_argument("--report", type=Path, default=path)
    options = parser.parse_args()
    seed: int = random.SystemRandom().randrange(2**32) if options.seed is None else options.seed
    print(f"SEED={seed}", flush=True)
    try:
        result = run(round(options.minutes * 60), seed, lambda text: print(text, flush=True))
    except BuildError as problem:
        sys.exit(f"{program}: {problem}")
    result.finish(program, options.report, lambda: report(result, seed))


def _row(series: Series) -> str:
    title = f"{series.title}, {series.unit}" if series.unit else series.title
    fifths = [f"{series.fifth(index):,.0f}" for index in range(FIFTHS)]
    verdict = "flat" if series.is_flat else "**grows**"
    return f"| {title} | {' | '.join(fifths)} | +{series.allowed:,.0f} | {verdict} |"
