"""Posts to listening examples in the native host, and compares the answers with the events that the host received."""

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

from falco_plugin._build import embedded

ROOT = Path(__file__).resolve().parents[2]
_REPORT = ROOT / "tests" / "soak" / "results" / "load.md"
_CLIENTS = (1, 2, 4, 8)
_PATIENCE = 30
_F_SETPIPE_SZ = 1031
_SMALL_PIPE = 4096
_PAUSE = 0.5
_EVENTS_BEFORE_SIGNAL = 1000
_NOT_DELIVERED = "503 Falco is behind: no event was delivered"

EXAMPLES = {"webhook": "http://127.0.0.1:0/hook", "k8saudit": "http://127.0.0.1:0/k8s-audit"}
HOSTS = {
    "fast": "reads without pause; is stopped when the clients have finished",
    "slow": "pauses for half of each second; a request waits at most 0.2 s (k8saudit: 5 s); is stopped like fast",
    "closes": "like fast; closes the source halfway",
    "killed": "like fast; is killed (SIGKILL) halfway",
}
_SIGNAL_HALFWAY = {"closes": signal.SIGINT, "killed": signal.SIGKILL}


class Failed(Exception):
    """The load test could not run."""


@dataclass(frozen=True)
class LoadResult:
    """The answers to the clients, and the events that the host received, in one run."""

    example: str
    clients: int
    host: str
    seconds: float
    answers: Counter[str]
    """Number of requests with each answer."""
    accepted: frozenset[str]
    """Ids of events whose request was answered with 200."""
    rejected: frozenset[str]
    """Ids of events whose answer reports that no event was delivered."""
    unanswered: frozenset[str]
    """Ids of events whose connection ended before an answer."""
    received: Counter[str]
    """How often the host has written each event, by id."""

    @property
    def lost(self) -> int:
        return len(self.accepted - self.received.keys())

    @property
    def twice(self) -> int:
        return sum(count > 1 for count in self.received.values())

    @property
    def rejected_but_received(self) -> int:
        return len(self.rejected & self.received.keys())

    @property
    def received_without_answer(self) -> int:
        return len(self.unanswered & self.received.keys())

    @property
    def problems(self) -> list[str]:
        found = {
            "events were answered with 200 but not received": self.lost,
            "events were received twice": self.twice,
            "events were received although the answer reports no delivery": self.rejected_but_received,
            # A killed host cannot answer.
            "events were received but not answered": 0 if self.host == "killed" else self.received_without_answer,
            "answers are neither 200 nor 503": self.status("200", "503", NO_ANSWER, others=True),
        }
        problems = [f"{self.name}: {count} {text}" for text, count in found.items() if count]
        return problems if self.accepted else [*problems, f"{self.name}: no request was answered with 200"]

    @property
    def name(self) -> str:
        return f"{self.example}, {self.clients} clients, {self.host}"

    def status(self, *wanted: str, others: bool = False) -> int:
        """Returns the number of answers with one of the statuses `wanted`, or with `others`, of all other answers."""
        return sum(count for text, count in self.answers.items() if (text.split()[0] in wanted) != others)


def build(example: str, folder: Path) -> Path:
    """Builds an example as a library. Returns its path."""
    library = folder / f"lib{example}.so"
    command = [
        sys.executable,
        "-m",
        "falco_plugin",
        "build",
        "--linked",
        str(ROOT / "plugins" / example),
        "-o",
        str(library),
    ]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode:
        raise Failed(process.stderr or process.stdout)
    return library


def load(example: str, library: Path, clients: int, host: str, seconds: float) -> LoadResult:
    """Runs one of the hosts in `HOSTS` with `clients` client processes."""
    with tempfile.TemporaryDirectory(prefix="falco-plugin-load-") as name, embedded.executable("host") as program:
        secrets = Path(name, "secrets")
        secrets.write_bytes(SECRET)
        config: dict[str, object] = {}
        if example == "webhook":
            config = {"secret": f"file:{secrets}", "delivery_timeout": 0.2 if host == "slow" else 5}
        with subprocess.Popen(
            [program, "run", library, "--params", EXAMPLES[example], "--config", json.dumps(config)],
            # Allow a checkout that does not belong to root.
            env={**os.environ, "FALCO_PLUGIN_ALLOW_WRITABLE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            try:
                return _load(process, example, clients, host, seconds)
            finally:
                process.kill()


def _load(process: subprocess.Popen[bytes], example: str, clients: int, host: str, seconds: float) -> LoadResult:
    assert process.stdout is not None
    assert process.stderr is not None
    port = _port(process.stderr)
    events = Events(process.stdout, slow=host == "slow")
    threading.Thread(target=process.stderr.read, daemon=True).start()
    with ExitStack() as stack:
        # Write to files: a client would block on a full pipe.
        outputs = [stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(clients)]
        started = [_client(example, number, port, seconds, output) for number, output in enumerate(outputs)]
        events.wait_for(1)
        start = time.monotonic()
        signal_halfway = _SIGNAL_HALFWAY.get(host)
        if signal_halfway is None:
            _wait(started, seconds)
        else:
            time.sleep(seconds / 2)
            # Ensure that some requests were answered before the end, even on a slow machine.
            events.wait_for(_EVENTS_BEFORE_SIGNAL)
            process.send_signal(signal_halfway)
        elapsed = time.monotonic() - start
        _wait(started, seconds)
        events.read_fast()
        process.send_signal(signal.SIGINT)
        process.wait(_PATIENCE)
        for output in outputs:
            output.seek(0)
        return _compare(example, clients, host, elapsed, itertools.chain.from_iterable(outputs), events.read_all())


def _client(example: str, number: int, port: int, seconds: float, output: IO[str]) -> subprocess.Popen[bytes]:
    module = Path(__file__).with_name("client.py")
    return subprocess.Popen([sys.executable, module, example, str(number), str(port), str(seconds)], stdout=output)


def _wait(clients: Iterable[subprocess.Popen[bytes]], seconds: float) -> None:
    if any(client.wait(seconds + _PATIENCE) for client in clients):
        raise Failed("a client failed")


def _compare(
    example: str, clients: int, host: str, seconds: float, outputs: Iterable[str], received: Counter[str]
) -> LoadResult:
    answers, accepted, rejected, unanswered = Counter[str](), set[str](), set[str](), set[str]()
    for line in outputs:
        ids, _, answer = line.rstrip("\n").partition(" ")
        answers[answer] += 1
        if answer.startswith("200 "):
            accepted.update(ids.split(","))
        elif answer == _NOT_DELIVERED:
            rejected.update(ids.split(","))
        elif answer == NO_ANSWER:
            unanswered.update(ids.split(","))
    return LoadResult(
        example,
        clients,
        host,
        seconds,
        answers,
        frozenset(accepted),
        frozenset(rejected),
        frozenset(unanswered),
        received,
    )


def _port(log: IO[bytes]) -> int:
    seen = b""
    for line in log:
        seen += line
        if found := re.search(rb"listening on \S+:(\d+)", line):
            return int(found[1])
    raise Failed(seen.decode(errors="replace"))


class Events:
    """Reads the output of the host, one event per line. A slow reader slows the host, which waits for its output.

    Create it after the host has started: the host makes its output pipe large, and a slow reader makes it small again.
    """

    def __init__(self, output: IO[bytes], *, slow: bool) -> None:
        self._output = output
        self._is_fast = threading.Event()
        self._arrived = threading.Condition()
        self._data = bytearray()
        if slow:
            fcntl.fcntl(output, _F_SETPIPE_SZ, _SMALL_PIPE)
        else:
            self._is_fast.set()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        pause = time.monotonic() + _PAUSE
        while part := os.read(self._output.fileno(), 1 << 16):
            with self._arrived:
                self._data += part
                self._arrived.notify()
            if time.monotonic() >= pause:
                self._is_fast.wait(_PAUSE)
                pause = time.monotonic() + _PAUSE

    def wait_for(self, count: int) -> None:
        with self._arrived:
            if not self._arrived.wait_for(lambda: self._data.count(b"\n") >= count, _PATIENCE):
                raise Failed(f"the host did not write {count} events within {_PATIENCE} seconds")

    def read_fast(self) -> None:
        """Makes a slow reader read without pauses from now on."""
        self._is_fast.set()

    def read_all(self) -> Counter[str]:
        """Waits for the end of the host. Returns how often it has written each event, by id."""
        self._thread.join()
        return Counter(found.decode() for found in re.findall(rb'\{"id":"([0-9-]+)"', self._data))


# The report


def report(rows: Sequence[LoadResult], seconds: float) -> str:
    """Returns a Markdown report with a table of all runs."""
    lines = [
        "# Load",
        "",
        f"`make load`, {seconds:g} seconds each, Python {platform.python_version()}, on {os.cpu_count()} processors",
        f"for clients and host. A client is a process with {CONNECTIONS} connections. Each connection posts its next",
        "request, of 1 to 8 events, as soon as the previous one is answered. No event is sent twice.",
        "",
        "- **lost**: events that were answered with 200 but not received by the host. Must be 0.",
        "- **twice**: events that the host received more than once. Must be 0.",
        "- **rejected, yet received**: events that the host received although the answer 503 reported that no event",
        "  was delivered. Must be 0.",
        "- **received, other 503**: events that the host received, and whose answer 503 reported that this is",
        "  possible.",
        "- **received, no answer**: events that the host received, and whose connection ended before an answer. Must",
        "  be 0, except for a killed host.",
        "",
        *(f"- Host **{name}**: {text}." for name, text in HOSTS.items()),
        "",
        "| example | clients | host | requests | 200 | 503 | no answer | events answered 200 | received of these "
        "| lost | twice | rejected, yet received | received, other 503 | received, no answer | events/s |",
        f"|---|--:|---|{'--:|' * 12}",
        *(_row(result) for result in rows),
    ]
    return "\n".join(lines) + "\n"


def _row(result: LoadResult) -> str:
    received = result.received.keys()
    numbers = [
        result.answers.total(),
        result.status("200"),
        result.status("503"),
        result.status(NO_ANSWER),
        len(result.accepted),
        len(result.accepted & received),
        result.lost,
        result.twice,
        result.rejected_but_received,
        len(received - result.accepted - result.rejected - result.unanswered),
        result.received_without_answer,
        round(len(result.accepted) / result.seconds),
    ]
    return (
        f"| {result.example} | {result.clients} | {result.host} | {' | '.join(f'{number:,}' for number in numbers)} |"
    )


def run(clients: Iterable[int], seconds: float, log: Callable[[str], None]) -> list[LoadResult]:
    """Runs each example in each host with each number of clients. Passes each row of the table to `log`."""
    rows = list[LoadResult]()
    with tempfile.TemporaryDirectory(prefix="falco-plugin-load-") as name:
        libraries = {example: build(example, Path(name)) for example in EXAMPLES}
        for (example, library), count, host in itertools.product(libraries.items(), list(clients), HOSTS):
            rows.append(load(example, library, count, host, seconds))
            log(_row(rows[-1]))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="load", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--report", type=Path, default=_REPORT)
    options = parser.parse_args()
    try:
        rows = run(_CLIENTS, options.seconds, lambda text: print(text, flush=True))
    except Failed as problem:
        sys.exit(f"load: {problem}")
    options.report.parent.mkdir(parents=True, exist_ok=True)
    options.report.write_text(report(rows, options.seconds))
    problems = [problem for row in rows for problem in row.problems]
    if problems:
        sys.exit("\n".join(f"load: {problem}" for problem in problems))


if __name__ == "__main__":
    main()
