"""Runs the host, one process for a measurement, and in turns what is to be compared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import noise, works
from bench.rows import TO_THE_END, Case, Raw, Row, Scale

_COMPARED = {"random": 300, "file": TO_THE_END, "file-small": TO_THE_END}
_COMPARED_ELSE = 10_000
_LONGEST = 300
_LONGEST_WAIT = 5


class Failed(Exception):
    """A library that does not do what it should, and how."""


@dataclass(frozen=True)
class Host:
    """The native host, with what it can load."""

    program: Path
    libraries: Mapping[str, Path]
    works: Path
    """The folder of their files."""
    bare_kib: int
    """Resident memory of the same Python that does nothing, without site."""

    @classmethod
    def start(cls, program: Path, libraries: Mapping[str, Path], folder: Path) -> Host:
        code = "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmRSS')))"
        done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
        return cls(program, libraries, folder, int(done.stdout))

    def measure(self, case: Case, seconds: float, under: Sequence[str] = ()) -> Raw:
        """One measurement, in a process of its own; `under` another program, such as a profiler."""
        options = [] if case.limit is None else ["--limit", str(case.limit)]
        if case.limit is None or case.fields:
            options += ["--seconds", str(seconds * case.times)]
        if case.fields:
            options += ["--fields", ",".join(case.fields)]
        if case.live:
            options.append("--live")
        return self._run(case, *options, under=under)

    def checksum(self, case: Case) -> str:
        """Of all bytes of the first events, in their order; of a file, of all events."""
        count = _COMPARED.get(case.work, _COMPARED_ELSE)
        return str(self._run(case, "--checksum", "--limit", str(count))["events"]["checksum"])

    def _run(self, case: Case, *options: str, under: Sequence[str] = ()) -> Raw:
        work = works.prepare(case.work, self.works) if case.work else ""
        command = [*under, str(self.program), "bench", str(self.libraries[case.library]), "--json", *options]
        command += ["--params", f"{case.mode} {work}"]
        if case.config:
            command += ["--config", case.config]
        # A checkout need not belong to root.
        env = {**os.environ, "FALCO_PLUGIN_ALLOW_WRITABLE": "1"}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=_LONGEST, check=False)
        if done.returncode != 0:
            raise Failed(f"{case.title} ({case.library} {case.mode} {case.work}) failed:\n{done.stderr}")
        raw: Raw = json.loads(done.stdout)
        return {**raw, "bare_kib": self.bare_kib}


@dataclass(frozen=True)
class Measured:
    """A row, and each of its cases in every round."""

    row: Row
    rounds: Sequence[Mapping[Case, Raw]]

    def runs(self, case: Case) -> list[Raw]:
        return [measured[case] for measured in self.rounds]

    def costs(self, case: Case) -> list[float]:
        """Nanoseconds in every round."""
        return [self.row.metric.read(raw) for raw in self.runs(case)]

    def ratios(self, case: Case) -> list[float]:
        """Of this SDK to the case, round by round."""
        return [ours / peer for ours, peer in zip(self.costs(self.row.ours), self.costs(case), strict=True)]


def compare(host: Host, cases: Iterable[Case], tell: Callable[[str], None]) -> None:
    """Checks that all cases of the same work emit the same bytes.

    Raises:
        Failed: they do not.
    """
    seen: dict[str, tuple[str, Case]] = {}
    for library, mode, work in dict.fromkeys((case.library, case.mode, case.work) for case in cases if case.work):
        case = Case(library, library, mode, work)
        tell(f"same bytes? {work}: {library} {mode}")
        checksum = host.checksum(case)
        expected, first = seen.setdefault(work, (checksum, case))
        if checksum != expected:
            other = f"{first.library} {first.mode}"
            raise Failed(
                f"{library} {mode} does not emit the bytes of {other} in the work {work}: no ratio would count"
            )


def measure(host: Host, rows: Iterable[Row], scale: Scale, tell: Callable[[str], None]) -> list[Measured]:
    """Measures row by row; within a row the cases take turns. Each waits some seconds for the machine to be quiet."""
    result = []
    patience = scale.patience
    for row in rows:
        rounds = []
        for number in range(1, scale.rounds + 1):
            tell(f"{row.name}: round {number} of {scale.rounds}")
            measured = {}
            for case in row.cases():
                patience -= noise.wait_for_quiet(min(patience, _LONGEST_WAIT))
                before = noise.Moment.now()
                raw = host.measure(case, scale.seconds)
                measured[case] = {**raw, "others": noise.Moment.now().others_since(before)}
            rounds.append(measured)
        result.append(Measured(row, rounds))
    return result
