"""Compares this SDK with the Go SDK, the Rust SDK and a plugin in C: `make bench`."""

from __future__ import annotations

import argparse
import json
import shutil
import sys

from bench import chart, libraries, machine, report
from bench.measure import Host, Measured, MeasurementError, compare, measure
from bench.rows import FULL, QUICK, UnknownRowError, select, table

_PEERS = [*libraries.PEERS, libraries.SELF_CONTAINED, libraries.OTHER_PYTHON]
_RESULTS = libraries.ROOT / "bench" / "results"


def main() -> None:
    options = _options()
    scale = QUICK if options.quick else FULL
    peers = options.peers or _PEERS
    try:
        rows = table(scale)
        if options.other_python:
            version, _, _ = machine.python_version(options.other_python, libraries.OTHER_PYTHON).partition(",")
            rows = [row.beside_other_python(f"Python {version}") for row in rows]
            peers = [*peers, libraries.OTHER_PYTHON]
        rows = select(rows, options.rows, peers)
        cases = [case for row in rows for case in row.cases()]
        needed = dict.fromkeys(name for case in cases for name in (case.library, *case.others))
        _log(f"building {', '.join(needed)}")
        built = libraries.build(needed, options.other_python)
        host = Host.start(libraries.host(), built, libraries.BUILD / "workloads", options.other_python)
        compare(host, cases, _log)
        results = measure(host, rows, scale, _log)
    except (UnknownRowError, libraries.BuildError, MeasurementError) as error:
        sys.exit(f"bench: {error}")
    # A partial or quick run gets its own file, so that it does not replace the results of a full run.
    name = ("quick" if options.quick else "full") + ("-part" if options.rows or options.peers else "")
    about = {**machine.describe(needed, options.other_python), "other processes": report.noise(results)}
    text = report.markdown(results, about)
    _write(name, results, about, text)
    print(text, end="")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--rows", type=_names, default=[], metavar="LIST", help="names of rows, or prefixes of names")
    parser.add_argument(
        "--peers", type=_peers, default=[], metavar="LIST", help=f"peers to compare with: {', '.join(_PEERS)}"
    )
    parser.add_argument(
        "--other-python", default="", metavar="PATH", help="compare with another Python, which has falco-plugin-sdk"
    )
    options = parser.parse_args()
    if options.other_python and shutil.which(options.other_python) is None:
        parser.error(f"argument --other-python: {options.other_python} is not a program")
    if libraries.OTHER_PYTHON in options.peers and not options.other_python:
        parser.error(f"the peer {libraries.OTHER_PYTHON} needs --other-python (make bench OTHER_PYTHON=python3.13)")
    return options


def _names(text: str) -> list[str]:
    return [name for name in text.replace(",", " ").split() if name]


def _peers(text: str) -> list[str]:
    names = _names(text)
    for name in names:
        if name not in _PEERS:
            raise argparse.ArgumentTypeError(f"unknown peer {name!r}: choose from {', '.join(_PEERS)}")
    return names


def _write(name: str, results: list[Measured], about: dict[str, str], text: str) -> None:
    _RESULTS.mkdir(exist_ok=True)
    path = _RESULTS / name
    raw = {
        "machine": about,
        "rows": {result.row.name: {case.title: result.runs(case) for case in result.row.cases()} for result in results},
    }
    files = {".json": json.dumps(raw) + "\n"}
    title = "# Comparison with other SDKs"
    if verdicts := report.verdicts(results):
        caption = f"Nanoseconds of this SDK divided by those of the peer: {about['date']}, {about['processor']}"
        files[".svg"] = chart.draw(verdicts, caption)
        title += f"\n\n![Ratios]({name}.svg)"
    files[".md"] = f"{title}\n\n{text}"
    for suffix, content in files.items():
        path.with_suffix(suffix).write_text(content)
    _log(f"written: {', '.join(str(path.with_suffix(suffix)) for suffix in files)}")


def _log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
