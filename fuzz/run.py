"""Runs the targets of the fuzzer, each for some seconds, and writes a report: `make fuzz`.

Useful inputs stay in `target/fuzz/corpus`, and the next run begins with them. ``--keep`` adds those that reach new code
to `fuzz/corpus`. Inputs that fail are in `target/fuzz/findings`: fix the fault, and add the input to `fuzz/corpus`
under a name that describes it.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path

FUZZ = Path(__file__).resolve().parent
BUILT = FUZZ.parent / "target" / "fuzz"
AN_HOUR = 3600
SLOWEST_SECONDS = 20
MEGABYTES = 4096
LONGEST = 4096

NUMBERS = {
    "executions": r"^stat::number_of_executed_units:\s*(\d+)",
    "instrumented": r"^INFO: Loaded \d+ modules\s+\((\d+) inline",
    "reached": r"^#\d+.*cov: (\d+)",
    "features": r"^#\d+.* ft: (\d+)",
    "inputs": r"^#\d+.* corp: (\d+)/",
}
"""The numbers that a target prints, and how to find them. The last occurrence counts."""

COVERAGE = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
]
"""The compiler options that cargo-fuzz uses for the targets, and that the extension module needs too."""

ENVIRONMENT = {
    **os.environ,
    "CARGO_TARGET_DIR": str(BUILT),
    # Files of a checkout may belong to another user than root.
    "FALCO_PLUGIN_ALLOW_WRITABLE": "1",
}
PYTHON_INSIDE = {**ENVIRONMENT, "ASAN_OPTIONS": "detect_leaks=0"}
"""The interpreter is never finalized, so its memory would be reported as a leak."""

FUNCTION = re.compile(r"^(UN)?COVERED_FUNC: .* \S*?/rust/\w+/\S+:\d+$", re.MULTILINE)
"""Matches a function of the project in the list of the coverage. Functions that are always inlined are not listed."""


@dataclass(frozen=True)
class Result:
    """The result of one target."""

    target: str
    seconds: int
    numbers: dict[str, int]
    functions: tuple[int, int]
    findings: tuple[str, ...]

    def row(self) -> str:
        numbers, (reached, functions) = self.numbers, self.functions
        executions = numbers["executions"]
        cells = [
            f"`{self.target}`",
            f"{self.seconds:,}",
            f"{executions:,}",
            f"{executions // max(self.seconds, 1):,}",
            f"{numbers['reached']:,} of {numbers['instrumented']:,}",
            f"{numbers['features']:,}",
            f"{reached} of {functions}",
            f"{numbers['inputs']:,}",
            f"{len(self.findings) or 'none'}",
        ]
        return f"| {' | '.join(cells)} |"


def main() -> int:
    names = sorted(path.stem for path in (FUZZ / "fuzz_targets").glob("*.rs"))
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("targets", nargs="*", help=f"{', '.join(names)}; all by default")
    parser.add_argument("--seconds", type=int, default=60, help="how long each target runs")
    parser.add_argument("--jobs", type=int, default=1, help="how many targets run in parallel")
    parser.add_argument("--keep", action="store_true", help="add inputs that reach new code to fuzz/corpus")
    arguments = parser.parse_args()
    targets = arguments.targets or names
    if unknown := set(targets) - set(names):
        parser.error(f"unknown target {', '.join(sorted(unknown))}: choose from {', '.join(names)}")

    build(targets)
    if arguments.keep:
        for target in targets:
            keep(target)
        return 0
    with ThreadPoolExecutor(arguments.jobs) as pool:
        results = list(pool.map(lambda target: fuzz(target, arguments.seconds), targets))
    whole = targets == names and sum(result.seconds for result in results) >= AN_HOUR
    report = (FUZZ if whole else BUILT) / "report.md"
    report.write_text(render(results))
    print(report.read_text(), f"written to {report}", sep="\n")
    return any(result.findings for result in results)


def build(targets: Sequence[str]) -> None:
    for target in targets:
        subprocess.run(["cargo", "+nightly", "fuzz", "build", target], cwd=FUZZ.parent, env=ENVIRONMENT, check=True)
    if "calls" in targets:
        asan, plugins = BUILT / "asan", BUILT / "asan" / "plugins"
        setup = FUZZ.parent / "tests" / "hosts" / "asan" / "setup"
        subprocess.run([str(setup), str(asan.relative_to(FUZZ.parent)), " ".join(COVERAGE)], check=True)
        plugins.mkdir(exist_ok=True)
        for source in (FUZZ / "plugins").glob("*.py"):
            command = [str(asan / "venv" / "bin" / "falco-plugin"), "build", "--linked", str(source)]
            subprocess.run(
                [*command, "-o", str(plugins / f"{source.stem}.so")],
                env=PYTHON_INSIDE,
                stdout=subprocess.DEVNULL,
                check=True,
            )


def folders(target: str) -> list[str]:
    """Returns the folder for new inputs, and the folder of the corpus."""
    grown = BUILT / "corpus" / target
    grown.mkdir(parents=True, exist_ok=True)
    return [str(grown), str(FUZZ / "corpus" / target)]


def fuzz(target: str, seconds: int) -> Result:
    """Runs a target until its time is up or it finds a fault."""
    findings = BUILT / "findings" / target
    findings.mkdir(parents=True, exist_ok=True)
    before = set(findings.iterdir())
    options = [
        f"-artifact_prefix={findings}/",
        f"-max_len={LONGEST}",
        f"-max_total_time={seconds}",
        f"-rss_limit_mb={MEGABYTES}",
        f"-timeout={SLOWEST_SECONDS}",
        "-print_final_stats=1",
    ]
    dictionary = FUZZ / "dictionaries" / f"{target}.dict"
    if dictionary.exists():
        options.append(f"-dict={dictionary}")
    print(f"{target} …", flush=True)
    started = time.monotonic()
    output = run(target, *options, *folders(target), log=BUILT / f"{target}.log")
    ran = round(time.monotonic() - started)
    numbers = {name: last_number(pattern, output) for name, pattern in NUMBERS.items()}
    found = sorted(path.name for path in set(findings.iterdir()) - before)
    if not found and not re.search(r"^Done \d+ runs in", output, re.MULTILINE):
        sys.exit(f"{target} ended early: see {BUILT / f'{target}.log'}")
    covered = run(target, "-runs=0", "-print_coverage=1", *folders(target), log=BUILT / f"{target}.coverage")
    functions = [match[1] is None for match in FUNCTION.finditer(covered)]
    return Result(target, ran, numbers, (sum(functions), len(functions)), tuple(found))


def keep(target: str) -> None:
    """Adds inputs to the corpus that reach new code. Reaching the same code more often does not count."""
    grown, corpus = folders(target)
    merge = ["-set_cover_merge=1", "-use_counters=0", f"-max_len={LONGEST}"]
    run(target, *merge, corpus, grown, log=BUILT / f"{target}.log")
    print(f"{target}: {len(os.listdir(corpus))} inputs")


def run(target: str, *arguments: str, log: Path) -> str:
    """Runs a target and returns its output."""
    environment = PYTHON_INSIDE if target == "calls" else ENVIRONMENT
    program = next(BUILT.glob(f"*/release/{target}"))
    with log.open("wb") as output:
        subprocess.run([program, *arguments], stdout=output, stderr=subprocess.STDOUT, env=environment, check=False)
    return log.read_text(errors="replace")


def last_number(pattern: str, text: str) -> int:
    found = re.findall(pattern, text, re.MULTILINE)
    return int(found[-1]) if found else 0


def render(results: Sequence[Result]) -> str:
    return "\n".join(lines(results)) + "\n"


def lines(results: Sequence[Result]) -> Iterator[str]:
    seconds = sum(result.seconds for result in results)
    executions = sum(result.numbers["executions"] for result in results)
    yield "# Fuzzing"
    yield ""
    yield (
        f"{seconds / 60:.0f} minutes of {len(results)} targets, {executions:,} executions, {date.today()}, under "
        f"AddressSanitizer; written by `make fuzz`."
    )
    yield ""
    yield (
        "| target | seconds | executions | a second | edges reached | features | functions of the project reached "
        "| inputs | findings |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    for result in results:
        yield result.row()
    yield ""
    yield (
        "The edges include all code in the program, also checks for overflow and paths to a panic. The functions are "
        "those of the project that are not inlined: inlined functions count with their callers."
    )
    for result in results:
        for finding in result.findings:
            yield ""
            yield f"- `{result.target}`: `target/fuzz/findings/{result.target}/{finding}`"


if __name__ == "__main__":
    sys.exit(main())
