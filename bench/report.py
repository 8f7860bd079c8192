"""Formats the results as Markdown tables that are readable in a terminal too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.measure import Measured
from bench.rows import Limit, Metric, Raw


@dataclass(frozen=True)
class Verdict:
    """The comparison of this SDK with one peer in one row."""

    row: str
    workload: str
    peer: str
    ours_ns: Sequence[float]
    peer_ns: Sequence[float]
    ratios: Sequence[float]
    at_most: float | None
    at_least: float

    @property
    def ratio(self) -> float:
        return median(self.ratios)

    @property
    def met(self) -> bool | None:
        """Whether the median ratio is within its bounds; None without bounds."""
        return None if self.at_most is None else self.at_least <= self.ratio <= self.at_most


def ratio_text(ratio: float) -> str:
    """Formats a ratio with at least two significant digits."""
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.3f}"


def verdicts(results: Iterable[Measured]) -> list[Verdict]:
    return [
        Verdict(
            result.row.name,
            result.row.title,
            against.case.title,
            result.costs(result.row.ours),
            result.costs(against.case),
            result.ratios(against.case),
            against.at_most,
            against.at_least,
        )
        for result in results
        for against in result.row.against
    ]


def noise(results: Sequence[Measured]) -> str:
    """Describes the share of processor time that other processes took: the median, and the maximum with its row."""
    shares = [(raw["others"], result.row.name) for result in results for run in result.rounds for raw in run.values()]
    most, row = max(shares)
    middle = median(share for share, _ in shares)
    return f"took {middle:.0%} of the processors' time during the measurement (median), at most {most:.0%} ({row})"


def markdown(results: Sequence[Measured], machine: Mapping[str, str]) -> str:
    """Returns all tables, each with an explanation of its columns."""
    parts = [_list(machine)]
    if any(result.row.against for result in results):
        parts += [_RATIOS, _ratios(results), _COSTS, _costs(results)]
    if any(result.row.limits for result in results):
        parts += [_LIMITS, _limits(results)]
    return "\n\n".join(parts) + "\n"


_RATIOS = """## Ratios

Nanoseconds per event or field: minimum and median of all rounds. A ratio is the nanoseconds of this SDK divided by
those of the peer in the same round: minimum and median. The median must not exceed the column "at most"."""

_COSTS = """## Costs

Memory is the peak of the process, including the interpreter. A peer that appears in several rows was measured for each
row."""

_LIMITS = """## Limits

Median of all rounds, with minimum and maximum. Bounds apply to the plugin `ours`."""


def _list(machine: Mapping[str, str]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in machine.items())


def _ratios(results: Iterable[Measured]) -> str:
    head = ["row", "workload", "ns", "peer", "peer ns", "ratio", "at most", "met"]
    lines = [
        [
            one.row,
            one.workload,
            _pair(one.ours_ns),
            one.peer,
            _pair(one.peer_ns),
            f"{ratio_text(min(one.ratios))} / **{ratio_text(one.ratio)}**",
            _most(one),
            _met(one.met),
        ]
        for one in verdicts(results)
    ]
    return _table(head, lines)


def _costs(results: Iterable[Measured]) -> str:
    head = ["row", "plugin", "ns", "GB/s", "CPU ns", "memory, MB"]
    lines = [
        [
            result.row.name,
            case.title,
            _pair(result.costs(case)),
            _throughput(result.runs(case), result.costs(case)) if result.row.metric.per_event else "",
            _processor(result.row.metric, result.runs(case)),
            _memory(result.runs(case)),
        ]
        for result in results
        if result.row.against
        for case in result.row.cases()
    ]
    return _table(head, lines)


def _limits(results: Iterable[Measured]) -> str:
    head = ["row", "workload", "plugin", "quantity", "measured", "bound", "met"]
    lines = []
    for result in results:
        row = result.row
        for limit in row.limits:
            for case in (row.ours, *row.unlimited):
                values = [limit.read(raw) for raw in result.runs(case)]
                middle = median(values)
                measured = f"**{_number(middle)}** {limit.unit} ({_number(min(values))} to {_number(max(values))})"
                is_met = limit.at_least <= middle <= limit.at_most
                verdict = [_bound(limit), _met(is_met)] if case is row.ours else ["", ""]
                lines.append([row.name, row.title, case.title, limit.title, measured, *verdict])
    return _table(head, lines)


def _most(verdict: Verdict) -> str:
    if verdict.at_most is None:
        return ""
    return f"{verdict.at_most:g}" + (f", at least {verdict.at_least:.2g}" if verdict.at_least > 0 else "")


def _bound(limit: Limit) -> str:
    if limit.at_least > 0:
        return f"at least {limit.at_least:,g} {limit.unit}"
    return f"at most {limit.at_most:,g} {limit.unit}"


def _throughput(runs: Iterable[Raw], costs: Iterable[float]) -> str:
    fastest = max(raw["events"]["bytes"] / raw["events"]["count"] / ns for raw, ns in zip(runs, costs, strict=True))
    return f"{fastest:.2f}" if fastest > 0 else ""


def _memory(runs: Iterable[Raw]) -> str:
    peaks = [raw["memory"]["peak_kib"] for raw in runs if "memory" in raw]
    return f"{max(peaks) * 1024 / 1e6:.0f}" if peaks else ""


def _processor(metric: Metric, runs: Iterable[Raw]) -> str:
    return _pair([metric.cpu(raw) for raw in runs]) if metric.cpu else ""


def _pair(values: Sequence[float]) -> str:
    return f"{_number(min(values))} / {_number(median(values))}"


def _number(value: float) -> str:
    """Formats a number with three significant digits, or all digits before the decimal point."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def _met(met: bool | None) -> str:
    return {None: "", True: "yes", False: "**no**"}[met]


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    rule = ["-" * width for width in widths]
    padded = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in (head, rule, *lines)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in padded)
