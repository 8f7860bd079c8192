"""Reads 10,000 log files of 50 records with consumers that are killed, from a server that fails now and then.

``make test-cloudtrail`` runs this, and prints how long it took. It needs some minutes.
"""

from __future__ import annotations

import gzip
import json
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.aws_server import Answer, AwsServer, Request, log_file, trail_key, wait_until
from support.hosts import native_path

pytestmark = [pytest.mark.extended, pytest.mark.timeout(3000)]

FILES, RECORDS = 10_000, 50
FILES_IN_MESSAGE = 10
REGIONS = ["us-east-1", "us-west-2", "eu-west-1", "eu-central-1"]
KILLED_AFTER = FILES * RECORDS // 3
FLUSHED = 1.0
"""Seconds after which the native host has certainly written the events that it got."""


class Trail(NamedTuple):
    """The log files, and the ids of their records."""

    bucket: str
    keys: list[str]
    ids: set[str]


class Host:
    """The plugin in the native host, which writes the events into a file."""

    def __init__(self, library: Path, params: str, config: dict[str, Any], output: Path) -> None:
        self._output = output
        command = [native_path(), "run", library, "--json", "--config", json.dumps(config), "--params", params]
        with output.open("wb") as stream:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stream)

    def count(self) -> int:
        """Returns how many events were written, estimated by the size of the output."""
        with self._output.open("rb") as file:
            first = len(file.readline())
        return self._output.stat().st_size // max(first, 1)

    def end(self, sent: signal.Signals) -> None:
        self.process.send_signal(sent)
        self.process.wait(60)

    def ids(self) -> list[str]:
        found: list[str] = []
        for line in self._output.read_bytes().splitlines():
            # The last line of a host that was killed may be incomplete.
            if line.startswith(b'{"kind":"event"') and line.endswith(b"}"):
                found.append(json.loads(json.loads(line)["data"])["eventID"])
        return found


class Gate:
    """Holds requests of some operations at the proxy."""

    def __init__(self, aws: AwsServer, *operations: str) -> None:
        self._operations = operations
        self._is_open = threading.Event()
        self._is_open.set()
        self._refuses = False
        aws.faults.insert(0, self._fault)

    def hold(self) -> None:
        self._is_open.clear()

    def refuse(self) -> None:
        """Refuses the held requests, whose sender was killed, and passes later ones."""
        self._refuses = True
        self._is_open.set()
        time.sleep(0.2)
        self._refuses = False

    def _fault(self, request: Request) -> Answer | None:
        if request.operation not in self._operations:
            return None
        self._is_open.wait()
        return Answer(503, "ServiceUnavailable") if self._refuses else None


@pytest.fixture
def faults(aws: AwsServer) -> Counter[str]:
    """Lets the server fail at random. Returns the number of failures of each kind."""
    counted: Counter[str] = Counter()
    generator = random.Random(20)
    answers = [
        Answer(503, "SlowDown"),
        Answer(500, "InternalError"),
        Answer(403, "RequestTimeTooSkewed"),
        Answer(200, "cut off", cut=10),
    ]

    def fail(request: Request) -> Answer | None:
        aws.requests.clear()
        if generator.random() >= 0.02:
            return None
        answer = generator.choice(answers if request.operation in {"GetObject", "ListObjectsV2"} else answers[:3])
        counted[answer.code] += 1
        return answer

    aws.faults.append(fail)
    return counted


@pytest.fixture(scope="module")
def trail(moto: int) -> Iterator[Trail]:
    aws = AwsServer(moto)
    bucket = aws.new_bucket()
    first = datetime(2026, 1, 1, tzinfo=UTC)
    keys = [
        trail_key(f"{first + timedelta(minutes=number):%Y%m%dT%H%M}", str(number), region=REGIONS[number % 4])
        for number in range(FILES)
    ]

    def put(number: int) -> None:
        ids = [f"{number}-{record}" for record in range(RECORDS)]
        aws.put_bytes(bucket, keys[number], gzip.compress(log_file(*ids), 1))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(FILES)))
    yield Trail(bucket, keys, {f"{number}-{record}" for number in range(FILES) for record in range(RECORDS)})
    aws.close()


@pytest.fixture
def start(library: Path, aws_config: dict[str, Any], tmp_path: Path) -> Iterator[Callable[..., Host]]:
    with ExitStack() as stack:
        started: list[Host] = []

        def start(params: str, **config: Any) -> Host:
            output = tmp_path / f"output-{len(started)}"
            host = Host(library, params, {"aws": aws_config, **config}, output)
            stack.callback(host.process.kill)
            started.append(host)
            return host

        yield start


def report(title: str, began: float, seen: list[str], faults: Counter[str]) -> None:
    seconds = time.monotonic() - began
    unique = len(set(seen))
    print(
        f"\n{title}: {unique} records in {seconds:.0f} s ({unique / seconds:.0f} records a second), "
        f"{len(seen) - unique} again, injected failures: {dict(sorted(faults.items()))}"
    )


def test_bucket_loses_nothing_when_falco_is_killed(
    aws: AwsServer, trail: Trail, start: Callable[..., Host], faults: Counter[str], tmp_path: Path
) -> None:
    began = time.monotonic()
    gate = Gate(aws, "GetObject")
    settings = {"cursorFile": str(tmp_path / "cursor"), "s3Interval": "2026-01-01T00:00:00Z"}
    params = f"s3://{trail.bucket}/AWSLogs/"
    first = start(params, **settings)
    wait_until(lambda: first.count() > KILLED_AFTER, 1000)
    gate.hold()
    time.sleep(FLUSHED)
    first.end(signal.SIGKILL)
    gate.refuse()
    second = start(params, **settings)
    assert second.process.wait(1500) == 0
    seen = first.ids() + second.ids()
    report("S3, killed once", began, seen, faults)
    assert set(seen) == trail.ids
    numbers = [int(id.partition("-")[0]) for id in dict.fromkeys(seen)]
    assert numbers == sorted(numbers), "the log files have the order of their times"
    assert sum(faults.values()) > 50


def test_two_consumers_of_a_queue_lose_nothing_when_one_is_killed(
    aws: AwsServer, trail: Trail, start: Callable[..., Host], faults: Counter[str]
) -> None:
    queue = aws.new_queue(20, receives=20)
    # The server of moto searches through all messages for each one that is sent.
    for number in range(0, FILES, FILES_IN_MESSAGE):
        queue.announce(trail.bucket, *trail.keys[number : number + FILES_IN_MESSAGE])
    began = time.monotonic()
    gate = Gate(aws, "DeleteMessageBatch")
    first, second = start(queue.params), start(queue.params)
    wait_until(lambda: first.count() + second.count() > KILLED_AFTER, 1000)
    # The events of each message that is deleted must be in the output, so that the test can count them.
    gate.hold()
    time.sleep(FLUSHED)
    first.end(signal.SIGKILL)
    gate.refuse()
    wait_until(lambda: not queue.count(), 1500)
    second.end(signal.SIGINT)
    alive, killed = second.ids(), first.ids()
    report("SQS, two consumers, one killed", began, killed + alive, faults)
    assert set(killed) | set(alive) == trail.ids
    assert min(len(killed), len(alive)) > KILLED_AFTER // 10, "both consumers had their share"
    assert queue.count(queue.dead) == 0
    assert sum(faults.values()) > 50
