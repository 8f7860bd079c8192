"""Loads the examples that listen in the native host, and compares answers with the events that the host has taken."""

from __future__ import annotations

import argparse
import fcntl
import itertools
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.soak.client import CONNECTIONS, NO_ANSWER, SECRET

from falco_plugin._build import host as _host

ROOT = Path(__file__).resolve().parents[2]
_REPORT = ROOT / "tests" / "soak" / "results" / "load.md"
_CLIENTS = (1, 2, 4, 8)
_PATIENCE = 30
_F_SETPIPE_SZ = 1031
_SMALL_PIPE = 4096
_PAUSE = 0.5
_MANY = 1000
_NOTHING_TAKEN = "503 Falco is behind: no event was delivered"

EXAMPLES = {"webhook": "http://127.0.0.1:0/hook", "k8saudit": "http://127.0.0.1:0/k8s-audit"}
HOSTS = {
    "fast": "takes all at once; stopped when the clients are done",
    "slow": "takes nothing for half of each second; a request waits 0.2 s for it (k8saudit: 5 s); stopped as fast",
    "closes": "fast; closes the source in the middle",
    "killed": "fast; killed (SIGKILL) in the middle",
}
_IN_THE_MIDDLE = {"closes": signal.SIGINT, "killed": signal.SIGKILL}


class Failed(Exception):
    """Why there is no result."""


@dataclass(frozen=True)
class Loaded:
    """What clients were told, and what the host has taken."""

    example: str
    clients: int
    host: str
    seconds: float
    answers: Counter[str]
    """Of requests."""
    accepted: frozenset[str]
    """Ids of events whose request was answered with 200."""
    refused: frozenset[str]
    """Of those of which nothing was taken, as the answer says."""
    unanswered: frozenset[str]
    """Of those whose connection ended first."""
    taken: Counter[str]
    """Ids of the events that the host has written."""

    @property
    def lost(self) -> int:
        return len(self.accepted - self.taken.keys())

    @property
    def twice(self) -> int:
        return sum(count > 1 for count in self.taken.values())

    @property
    def refused_but_taken(self) -> int:
        return len(self.refused & self.taken.keys())

    @property
    def taken_without_answer(self) -> int:
        return len(self.unanswered & self.taken.keys())

    @property
    def problems(self) -> list[str]:
        found = {
            "events were answered with 200 and not taken": self.lost,
            "events were taken twice": self.twice,
            "events were taken of which the answer says that they were not": self.refused_but_taken,
            # Who is killed answers nobody.
            "events were taken and got no answer": 0 if self.host == "killed" else self.taken_without_answer,
            "answers are neither 200 nor 503": self.status("200", "503", NO_ANSWER, others=True),
        }
        problems = [f"{self.name}: {count} {text}" for text, count in found.items() if count]
        return problems if self.accepted else [*problems, f"{self.name}: no answer is 200"]

    @property
    def name(self) -> str:
        return f"{self.example}, {self.clients} clients, {self.host}"

    def status(self, *wanted: str, others: bool = False) -> int:
        """How many answers have one of these statuses, or another one."""
        return sum(count for text, count in self.answers.items() if (text.split()[0] in wanted) != others)


def build(example: str, folder: Path) -> Path:
    """Builds an example as a library."""
    library = folder / f"lib{example}.so"
    command = [sys.executable, "-m", "falco_plugin", "build", str(ROOT / "plugins" / example), "-o", str(library)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(done.stderr or done.stdout)
    return library


def load(example: str, library: Path, clients: int, host: str, seconds: float) -> Loaded:
    """Runs a host of `HOSTS` with some client processes."""
    with tempfile.TemporaryDirectory(prefix="falco-plugin-load-") as name, _host.executable() as program:
        secrets = Path(name, "secrets")
        secrets.write_bytes(SECRET)
        config: dict[str, object] = {}
        if example == "webhook":
            config = {"secrets_file": str(secrets), "delivery_timeout": 0.2 if host == "slow" else 5}
        with subprocess.Popen(
            [program, "run", library, "--params", EXAMPLES[example], "--config", json.dumps(config)],
            # A checkout need not belong to root.
            env={**os.environ, "FALCO_PLUGIN_ALLOW_WRITABLE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            try:
                return _load(process, example, clients, host, seconds)
            finally:
                process.kill()


def _load(process: subprocess.Popen[bytes], example: str, clients: int, host: str, seconds: float) -> Loaded:
    assert process.stdout is not None
    assert process.stderr is not None
    port = _port(process.stderr)
    events = Events(process.stdout, slow=host == "slow")
    threading.Thread(target=process.stderr.read, daemon=True).start()
    with ExitStack() as stack:
        # A pipe that nobody reads would hold the client up.
        said = [stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(clients)]
        started = [_client(example, number, port, seconds, output) for number, output in enumerate(said)]
        events.wait_for(1)
        begin = time.monotonic()
        ending = _IN_THE_MIDDLE.get(host)
        if ending is None:
            _wait(started, seconds)
        else:
            time.sleep(seconds / 2)
            # However slow the machine is, some requests have had their answer by then.
            events.wait_for(_MANY)
            process.send_signal(ending)
        took = time.monotonic() - begin
        _wait(started, seconds)
        events.hurry()
        process.send_signal(signal.SIGINT)
        process.wait(_PATIENCE)
        for output in said:
            output.seek(0)
        return _compare(example, clients, host, took, itertools.chain.from_iterable(said), events.all())


def _client(example: str, number: int, port: int, seconds: float, output: IO[str]) -> subprocess.Popen[bytes]:
    module = Path(__file__).with_name("client.py")
    return subprocess.Popen([sys.executable, module, example, str(number), str(port), str(seconds)], stdout=output)


def _wait(clients: Iterable[subprocess.Popen[bytes]], seconds: float) -> None:
    if any(client.wait(seconds + _PATIENCE) for client in clients):
        raise Failed("a client failed")


def _compare(example: str, clients: int, host: str, seconds: float, said: Iterable[str], taken: Counter[str]) -> Loaded:
    answers, accepted, refused, unanswered = Counter[str](), set[str](), set[str](), set[str]()
    for line in said:
        ids, _, answer = line.rstrip("\n").partition(" ")
        answers[answer] += 1
        if answer.startswith("200 "):
            accepted.update(ids.split(","))
        elif answer == _NOTHING_TAKEN:
            refused.update(ids.split(","))
        elif answer == NO_ANSWER:
            unanswered.update(ids.split(","))
    return Loaded(
        example, clients, host, seconds, answers, frozenset(accepted), frozenset(refused), frozenset(unanswered), taken
    )


def _port(log: IO[bytes]) -> int:
    seen = b""
    for line in log:
        seen += line
        if found := re.search(rb"listening on \S+:(\d+)", line):
            return int(found[1])
    raise Failed(seen.decode(errors="replace"))


class Events:
    """Reads what the host writes, an event a line. A slow reader makes a slow host, which waits until it has written.

    To be made when the host has begun, which gives its output a large pipe: a slow reader makes that small.
    """

    def __init__(self, output: IO[bytes], *, slow: bool) -> None:
        self._output = output
        self._hurry = threading.Event()
        self._come = threading.Condition()
        self._data = bytearray()
        if slow:
            fcntl.fcntl(output, _F_SETPIPE_SZ, _SMALL_PIPE)
        else:
            self._hurry.set()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        pause = time.monotonic() + _PAUSE
        while part := os.read(self._output.fileno(), 1 << 16):
            with self._come:
                self._data += part
                self._come.notify()
            if time.monotonic() >= pause:
                self._hurry.wait(_PAUSE)
                pause = time.monotonic() + _PAUSE

    def wait_for(self, count: int) -> None:
        with self._come:
            if not self._come.wait_for(lambda: self._data.count(b"\n") >= count, _PATIENCE):
                raise Failed(f"{count} events did not come")

    def hurry(self) -> None:
        """From now on as fast as it goes."""
        self._hurry.set()

    def all(self) -> Counter[str]:
        """The ids of all events, once the host has ended."""
        self._thread.join()
        return Counter(found.decode() for found in re.findall(rb'\{"id":"([0-9-]+)"', self._data))


# The report


def report(rows: Sequence[Loaded], seconds: float) -> str:
    """A table of all runs."""
    lines = [
        "# Load",
        "",
        f"`make load`, {seconds:g} seconds each, Python {platform.python_version()}, on {os.cpu_count()} processors",
        f"for clients and host. A client is a process with {CONNECTIONS} connections, each of which posts the next",
        "request, of 1 to 8 events, as soon as the one before is answered. No event is sent a second time.",
        "",
        "- **lost**: events that were answered with 200, and that the host has not taken. **twice**: those that it has",
        "  taken more than once. **refused, yet taken**: those that it has taken although the answer was 503 and said",
        "  that nothing was taken, which webhook alone says. All three have to be 0.",
        "- **taken, other 503**: the answer was 503, and said that they may still be delivered.",
        "- **taken, no answer**: the connection ended first. Has to be 0, but for a host that was killed.",
        "",
        *(f"- Host **{name}**: {text}." for name, text in HOSTS.items()),
        "",
        "| example | clients | host | requests | 200 | 503 | no answer | events answered 200 | taken of these | lost "
        "| twice | refused, yet taken | taken, other 503 | taken, no answer | events/s |",
        f"|---|--:|---|{'--:|' * 12}",
        *(_row(loaded) for loaded in rows),
    ]
    return "\n".join(lines) + "\n"


def _row(loaded: Loaded) -> str:
    taken = loaded.taken.keys()
    numbers = [
        loaded.answers.total(),
        loaded.status("200"),
        loaded.status("503"),
        loaded.status(NO_ANSWER),
        len(loaded.accepted),
        len(loaded.accepted & taken),
        loaded.lost,
        loaded.twice,
        loaded.refused_but_taken,
        len(taken - loaded.accepted - loaded.refused - loaded.unanswered),
        loaded.taken_without_answer,
        round(len(loaded.accepted) / loaded.seconds),
    ]
    return (
        f"| {loaded.example} | {loaded.clients} | {loaded.host} | {' | '.join(f'{number:,}' for number in numbers)} |"
    )


def run(clients: Iterable[int], seconds: float, tell: Callable[[str], None]) -> list[Loaded]:
    """Runs all examples in all hosts, with each number of clients."""
    rows = list[Loaded]()
    with tempfile.TemporaryDirectory(prefix="falco-plugin-load-") as name:
        libraries = {example: build(example, Path(name)) for example in EXAMPLES}
        for (example, library), count, host in itertools.product(libraries.items(), list(clients), HOSTS):
            rows.append(load(example, library, count, host, seconds))
            tell(_row(rows[-1]))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="load", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--report", type=Path, default=_REPORT)
    given = parser.parse_args()
    try:
        rows = run(_CLIENTS, given.seconds, lambda text: print(text, flush=True))
    except Failed as problem:
        sys.exit(f"load: {problem}")
    given.report.parent.mkdir(parents=True, exist_ok=True)
    given.report.write_text(report(rows, given.seconds))
    problems = [problem for row in rows for problem in row.problems]
    if problems:
        sys.exit("\n".join(f"load: {problem}" for problem in problems))


if __name__ == "__main__":
    main()
