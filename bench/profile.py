"""Shows by row where this SDK spends its time: `make profile`. Requires perf and the permission to use it.

Times are processor time of all threads, for one event. Rows of fields extract each field once from each event. They
include the creation of the event, and the clock that the host reads before and after each extraction.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench import libraries
from bench.measure import Host, MeasurementError
from bench.rows import QUICK, SPAN, THREADS, Case, Row, UnknownRowError, select, table

_SECONDS = 3
_START_MS = "500"
"""The delay before the first sample, which leaves out the start of the interpreter."""

PARTS = ("Python code", "GIL", "copying", "SDK", "waking threads", "clock, memory", "host")
_GIL = re.compile(r"gil|pthread_(mutex|cond)|ThreadState|RestoreThread|SaveThread|pthread_getspecific", re.IGNORECASE)
_COPYING = re.compile(r"mem(move|cpy)|copy_user|rep_movs")
_LINE = re.compile(r"\s*(?P<share>[\d.]+)%\s+(?P<object>\S+)\s+\[.\] (?P<symbol>.*\S)")


def part(binary: str, symbol: str) -> str:
    """Returns the element of `PARTS` that a sample belongs to."""
    if _COPYING.search(symbol):
        return "copying"
    if _GIL.search(symbol):
        return "GIL"
    if binary.startswith(("libpython", "python")):
        return "Python code"
    if binary.startswith(("_core", "libours")):
        return "SDK"
    if binary.startswith("falco-plugin"):
        return "host"
    return "waking threads" if binary.startswith("[kernel") else "clock, memory"


def profile(host: Host, case: Case) -> dict[str, float]:
    """Returns the nanoseconds of one event, by part."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "perf.data")
        recorded = ["perf", "record", "--quiet", "--delay", _START_MS, "--freq", "5000", "--output", str(data), "--"]
        raw = host.measure(case, _SECONDS, recorded)
        report = ["perf", "report", "--stdio", "--no-children", "--input", str(data), "--fields", "overhead,dso,sym"]
        text = subprocess.run(report, capture_output=True, text=True, check=True).stdout
    shares: dict[str, float] = dict.fromkeys(PARTS, 0.0)
    for line in text.splitlines():
        if found := _LINE.match(line):
            shares[part(found["object"], found["symbol"])] += float(found["share"])
    cost = raw["events"]["cpu_ns"] / raw["events"]["count"]
    return {name: share / max(sum(shares.values()), 1) * cost for name, share in shares.items()}


def _profiled(row: Row) -> Case | None:
    """Returns the case to profile, or None for rows that end by themselves, have limits or use several host threads."""
    if row.metric in (SPAN, THREADS) or row.limits:
        return None
    return replace(row.ours, limit=None, live=bool(row.ours.fields))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description=__doc__)
    parser.add_argument("--rows", default="", metavar="LIST", help="names of rows, or prefixes of names")
    names = parser.parse_args().rows.replace(",", " ").split()
    if shutil.which("perf") is None:
        sys.exit("profile: perf is missing: install linux-perf (Debian) or linux-tools (Ubuntu)")
    try:
        rows = select(table(QUICK), names, list(libraries.PEERS))
        host = Host.start(libraries.host(), libraries.build(["ours"]), libraries.BUILD / "workloads")
        _print(host, rows)
    except (UnknownRowError, libraries.BuildError, MeasurementError) as error:
        sys.exit(f"profile: {error}")


def _print(host: Host, rows: Sequence[Row]) -> None:
    print(f"| ns per event | total | {' | '.join(PARTS)} |\n|---|{'--:|' * (len(PARTS) + 1)}")
    for row in rows:
        if case := _profiled(row):
            parts = profile(host, case)
            cells = [f"{cost:.0f}" for cost in (sum(parts.values()), *parts.values())]
            print(f"| {row.title} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
