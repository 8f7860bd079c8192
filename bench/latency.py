"""How long the host waits for Python beside Python code that computes, by the interpreter's switch interval.

Compares Python's usual interval of 5 ms, and some others, with the SDK's, in one run. The call is the extraction of a
field by a method, from each event as it arrives.
"""

from __future__ import annotations

import sys

from bench import libraries
from bench.measure import Failed, Host
from bench.rows import Case

_SECONDS = 3
_BESIDE = {
    "a thread that waits": ("live", ""),
    "a thread that computes": ("beside", "file-small"),
    "a generator that computes": ("busy", ""),
}
_INTERVALS = {"5 ms, Python's": "0.005", "1 ms": "0.001", "0.5 ms": "0.0005", "0.1 ms": "0.0001", "the SDK's": ""}


def main() -> None:
    try:
        host = Host.start(libraries.host(), libraries.build(["ours"]), libraries.BUILD / "works")
        print("| beside | switch interval | calls/s | p50 us | p99 us | max us |\n|---|---|--:|--:|--:|--:|")
        for beside, (mode, work) in _BESIDE.items():
            for interval, config in _INTERVALS.items():
                case = Case(beside, "ours", mode, work, config, ("bench.const",), live=True)
                raw = host.measure(case, _SECONDS)
                (calls,) = raw["live"]
                rate = calls["count"] / raw["events"]["wall_ns"] * 1e9
                times = [f"{calls['latency'][rank] / 1e3:,.1f}" for rank in ("p50_ns", "p99_ns", "max_ns")]
                cells = [beside, interval, f"{rate:,.0f}", *times]
                print(f"| {' | '.join(cells)} |", flush=True)
    except (libraries.Unbuildable, Failed) as error:
        sys.exit(f"latency: {error}")


if __name__ == "__main__":
    main()
