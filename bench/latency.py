"""Measures how long the host waits for the GIL while other Python code computes, by the interpreter's switch interval.

Compares Python's default interval of 5 ms, and some others, with the SDK's interval, in one run. The measured
call extracts a field by a method from each event as it arrives.
"""

from __future__ import annotations

import sys

from bench import libraries
from bench.measure import Host, MeasurementError
from bench.rows import Case

_SECONDS = 3
_ACTIVITIES = {
    "a thread that waits": ("live", ""),
    "a thread that computes": ("beside", "file-small"),
    "a generator that computes": ("busy", ""),
}
_INTERVALS = {
    "5 ms, Python's default": "0.005",
    "1 ms": "0.001",
    "0.5 ms": "0.0005",
    "0.1 ms": "0.0001",
    "the SDK's": "",
}


def main() -> None:
    try:
        host = Host.start(libraries.host(), libraries.build(["ours"]), libraries.BUILD / "workloads")
        print("| other activity | switch interval | calls/s | p50 us | p99 us | max us |\n|---|---|--:|--:|--:|--:|")
        for activity, (mode, workload) in _ACTIVITIES.items():
            for interval, config in _INTERVALS.items():
                case = Case(activity, "ours", mode, workload, config, ("bench.const",), live=True)
                raw = host.measure(case, _SECONDS)
                (calls,) = raw["live"]
                rate = calls["count"] / raw["events"]["wall_ns"] * 1e9
                times = [f"{calls['latency'][rank] / 1e3:,.1f}" for rank in ("p50_ns", "p99_ns", "max_ns")]
                cells = [activity, interval, f"{rate:,.0f}", *times]
                print(f"| {' | '.join(cells)} |", flush=True)
    except (libraries.BuildError, MeasurementError) as error:
        sys.exit(f"latency: {error}")


if __name__ == "__main__":
    main()
