"""Where this SDK stands against others: `make bench`."""

from __future__ import annotations

import argparse
import json
import sys

from bench import chart, libraries, machine, report
from bench.measure import Failed, Host, Measured, compare, measure
from bench.rows import FULL, QUICK, UnknownRow, select, table

_RESULTS = libraries.ROOT / "bench" / "results"


def main() -> None:
    options = _options()
    scale = QUICK if options.quick else FULL
    peers = options.peers or list(libraries.PEERS)
    try:
        rows = select(table(scale), options.rows, peers)
        cases = [case for row in rows for case in row.cases()]
        needed = dict.fromkeys(case.library for case in cases)
        _tell(f"building {', '.join(needed)}")
        host = Host.start(libraries.host(), libraries.build(needed), libraries.BUILD / "works")
        compare(host, cases, _tell)
        results = measure(host, rows, scale, _tell)
    except (UnknownRow, libraries.Unbuildable, Failed) as error:
        sys.exit(f"bench: {error}")
    # What is not the whole table does not replace it.
    name = ("quick" if options.quick else "full") + ("-part" if options.rows or options.peers else "")
    about = {**machine.describe(needed), "other processes": report.noise(results)}
    text = report.markdown(results, about)
    _write(name, results, about, text)
    print(text, end="")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--rows", type=_names, default=[], metavar="LIST", help="rows, by name or how it begins")
    parser.add_argument("--peers", type=_peers, default=[], metavar="LIST", help=f"of {', '.join(libraries.PEERS)}")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    return [name for name in text.replace(",", " ").split() if name]


def _peers(text: str) -> list[str]:
    names = _names(text)
    for name in names:
        if name not in libraries.PEERS:
            raise argparse.ArgumentTypeError(f"no peer is called {name}; there are {', '.join(libraries.PEERS)}")
    return names


def _write(name: str, results: list[Measured], about: dict[str, str], text: str) -> None:
    _RESULTS.mkdir(exist_ok=True)
    path = _RESULTS / name
    raw = {
        "machine": about,
        "rows": {result.row.name: {case.title: result.runs(case) for case in result.row.cases()} for result in results},
    }
    files = {".json": json.dumps(raw) + "\n"}
    title = "# Beside other SDKs"
    if verdicts := report.verdicts(results):
        caption = f"Nanoseconds, this SDK's to a peer's: {about['date']}, {about['processor']}"
        files[".svg"] = chart.draw(verdicts, caption)
        title += f"\n\n![The ratios]({name}.svg)"
    files[".md"] = f"{title}\n\n{text}"
    for suffix, content in files.items():
        path.with_suffix(suffix).write_text(content)
    _tell(f"written: {', '.join(str(path.with_suffix(suffix)) for suffix in files)}")


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
