"""Measures cases with the native host, one process a measurement; the cases of a row take turns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import noise, workloads
from bench.libraries import OTHER_PYTHON
from bench.rows import TO_THE_END, Case, Raw, Row, Scale

_COMPARED_EVENTS = {"random": 300, "file": TO_THE_END, "file-small": TO_THE_END}
_COMPARED_DEFAULT = 10_000
_TIMEOUT = 300
"""Seconds that one process of the host may take."""
_LONGEST_WAIT = 5
"""Seconds to wait for a quiet machine before one measurement."""


class MeasurementError(Exception):
    """The host failed, or a library emitted other bytes than expected; the message names the library."""


@dataclass(frozen=True)
class Host:
    """The native host and the libraries that it loads."""

    program: Path
    libraries: Mapping[str, Path]
    workloads: Path
    """The folder with the files of the workloads."""
    bare_kib: Mapping[str, int]
    """For each library, resident memory in KiB of an idle interpreter of the same Python, started with `-I -S`."""

    @classmethod
    def start(cls, program: Path, libraries: Mapping[str, Path], folder: Path, other_python: str = "") -> Host:
        bare = dict.fromkeys(libraries, _bare_kib(sys.executable))
        if other_python:
            bare[OTHER_PYTHON] = _bare_kib(other_python)
        return cls(program, libraries, folder, bare)

    def measure(self, case: Case, seconds: float, wrapper: Sequence[str] = ()) -> Raw:
        """Runs one measurement in a new process. `wrapper` is the command of a program that runs the host, as perf."""
        options = [] if case.limit is None else ["--limit", str(case.limit)]
        if case.limit is None or case.fields:
            options += ["--seconds", str(seconds * case.times)]
        if case.fields:
            options += ["--fields", ",".join(case.fields)]
        if case.live:
            options.append("--live")
        if case.threads is not None:
            options += ["--threads", str(case.threads)]
        return self._run(case, *options, wrapper=wrapper)

    def checksum(self, case: Case) -> str:
        """Returns the checksum over the bytes of the first events, in order; for a file, of all its events."""
        count = _COMPARED_EVENTS.get(case.workload, _COMPARED_DEFAULT)
        return str(self._run(case, "--checksum", "--limit", str(count))["events"]["checksum"])

    def _run(self, case: Case, *options: str, wrapper: Sequence[str] = ()) -> Raw:
        workload = workloads.prepare(case.workload, self.workloads) if case.workload else ""
        command = [*wrapper, str(self.program), "bench", str(self.libraries[case.library]), "--json", *options]
        command += (
            ["--scap", str(self.workloads / case.workload)] if case.is_scap else ["--params", f"{case.mode} {workload}"]
        )
        if case.config:
            command += ["--config", case.config]
        for other in case.others:
            command += ["--with", str(self.libraries[other])]
        if case.contents:
            contents = self.workloads / "tables.json"
            contents.parent.mkdir(parents=True, exist_ok=True)
            contents.write_text(case.contents)
            command += ["--table-contents", str(contents)]
        # A checkout may belong to another user than root.
        env = {**os.environ, "FALCO_PLUGIN_ALLOW_WRITABLE": "1"}
        process = subprocess.run(command, env=env, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
        if process.returncode != 0:
            raise MeasurementError(
                f"{case.title} ({case.library} {case.mode} {case.workload}) failed:\n{process.stderr}"
            )
        raw: Raw = json.loads(process.stdout)
        return {**raw, "bare_kib": self.bare_kib[case.library]}


def _bare_kib(python: str) -> int:
    code = "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmRSS')))"
    process = subprocess.run([python, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    return int(process.stdout)


@dataclass(frozen=True)
class Measured:
    """The results of a row: for every round, those of each case."""

    row: Row
    rounds: Sequence[Mapping[Case, Raw]]

    def runs(self, case: Case) -> list[Raw]:
        return [measured[case] for measured in self.rounds]

    def costs(self, case: Case) -> list[float]:
        """Returns the nanoseconds of the case in each round."""
        return [self.row.metric.read(raw) for raw in self.runs(case)]

    def ratios(self, case: Case) -> list[float]:
        """Returns the nanoseconds of this SDK divided by those of the case, for each round."""
        return [ours / peer for ours, peer in zip(self.costs(self.row.ours), self.costs(case), strict=True)]


def compare(host: Host, cases: Iterable[Case], log: Callable[[str], None]) -> None:
    """Checks that all cases of the same workload emit the same bytes.

    Raises:
        MeasurementError: two of them differ.
    """
    seen: dict[str, tuple[str, Case]] = {}
    for library, mode, workload in dict.fromkeys(
        (case.library, case.mode, case.workload) for case in cases if case.workload and not case.is_scap
    ):
        case = Case(library, library, mode, workload)
        log(f"comparing bytes of {workload}: {library} {mode}")
        checksum = host.checksum(case)
        expected, first = seen.setdefault(workload, (checksum, case))
        if checksum != expected:
            other = f"{first.library} {first.mode}"
            raise MeasurementError(
                f"{library} {mode} does not emit the bytes of {other} in the workload {workload}: no ratio would count"
            )


def measure(host: Host, rows: Iterable[Row], scale: Scale, log: Callable[[str], None]) -> list[Measured]:
    """Measures all rows. The cases of a row take turns. Each waits a few seconds for a quiet machine."""
    result = []
    patience = scale.patience
    for row in rows:
        rounds = []
        for number in range(1, scale.rounds + 1):
            log(f"{row.name}: round {number} of {scale.rounds}")
            measured = {}
            for case in row.cases():
                patience -= noise.wait_for_quiet(min(patience, _LONGEST_WAIT))
                before = noise.Moment.now()
                raw = host.measure(case, scale.seconds)
                measured[case] = {**raw, "others": noise.Moment.now().others_since(before)}
            rounds.append(measured)
        result.append(Measured(row, rounds))
    return result
