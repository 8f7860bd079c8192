"""Reads records of a real broker with the plugin in one or two native hosts."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from falco_plugin.testing import Run, RunError
from falco_plugin.testing.fixtures import StartPlugin

if TYPE_CHECKING:
    from plugins.kafka.conftest import Broker, Topic

pytestmark = pytest.mark.kafka

KAFKA = Path(__file__).parent
NEVER = 3600.0
QUICK = {"session.timeout.ms": 3000, "heartbeat.interval.ms": 300, "topic.metadata.refresh.interval.ms": 500}

Record: TypeAlias = tuple[int, int]
"""The partition and the offset of a record."""


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "the condition did not become true"
        time.sleep(0.02)


def send_numbered(topic: Topic, numbers: range) -> set[Record]:
    """Sends records to each partition, with their offsets as numbers. Returns their partitions and offsets."""
    for partition in range(topic.partitions):
        topic.send(*(json.dumps([partition, number]).encode() for number in numbers), partition=partition)
    return {(partition, number) for partition in range(topic.partitions) for number in numbers}


class Falco:
    """A host with the plugin, which is a member of the topic's group."""

    def __init__(self, start_plugin: StartPlugin, broker: Broker, topic: Topic, **config: Any) -> None:
        defaults = {
            "bootstrap_servers": broker.address,
            "group": topic.group,
            "commit_interval": 0.2,
            "settings": QUICK,
        }
        self._host = start_plugin(KAFKA, topic.name, config={**defaults, **config})
        self._records: list[Record] = []

    @property
    def log(self) -> list[str]:
        return [line.text for line in self._host.log]

    @property
    def records(self) -> list[Record]:
        """All numbered records that were delivered so far."""
        with suppress(RunError):
            while True:
                partition, number = json.loads(self._host.next_event(timeout=0).data)
                self._records.append((partition, number))
        return self._records

    def next(self, count: int = 1) -> list[bytes]:
        return [self._host.next_event(timeout=60).data for _ in range(count)]

    def next_timestamp(self) -> int:
        return self._host.next_event(timeout=60).timestamp

    def wait_for_log(self, text: str) -> None:
        self._host.wait_for_log(text, timeout=60)

    def signal(self, number: int) -> None:
        os.kill(self._host.pid, number)

    def stop(self) -> Run:
        return self._host.stop()

    def kill(self) -> None:
        self._host.kill()


@pytest.fixture
def start_falco(start_plugin: StartPlugin, broker: Broker) -> Callable[..., Falco]:
    return lambda topic, **config: Falco(start_plugin, broker, topic, **config)


StartFalco: TypeAlias = Callable[..., Falco]
NewTopic: TypeAlias = "Callable[[int], Topic]"


def ends(records: list[Record]) -> dict[int, int]:
    """Returns the offset after the last record of each partition."""
    return {partition: max(n for p, n in records if p == partition) + 1 for partition in {p for p, _ in records}}


def test_killed_member_loses_no_record(
    new_topic: NewTopic, start_falco: StartFalco, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = new_topic(6)
    topic.create()
    # The output of the host is delayed by some milliseconds, so it must be killed well between two commits.
    first, second = (start_falco(topic, commit_interval=3.0, commit_records=1_000_000) for _ in range(2))
    first.wait_for_log("partitions assigned")
    second.wait_for_log("partitions assigned")
    sent: set[Record] = set()
    killed = threading.Event()

    def send() -> None:
        rounds = 0
        while not killed.is_set():
            sent.update(send_numbered(topic, range(50 * rounds, 50 * (rounds + 1))))
            rounds += 1
        sent.update(send_numbered(topic, range(50 * rounds, 50 * (rounds + 20))))

    sender = threading.Thread(target=send)
    sender.start()
    try:
        before: dict[int, int] = topic.committed()

        def is_between_commits() -> bool:
            committed, seen = topic.committed(), ends(first.records)
            return (
                any(committed.get(partition, 0) > before.get(partition, 0) for partition in seen)
                and all(committed.get(partition, 0) <= end for partition, end in seen.items())
                and any(committed.get(partition, 0) < end for partition, end in seen.items())
            )

        wait_until(is_between_commits)
        first.kill()
    finally:
        killed.set()
        sender.join()
    wait_until(lambda: sent == {*first.records, *second.records})
    wait_until(lambda: sum(topic.committed().values()) == len(sent))

    events = Counter(first.records) + Counter(second.records)
    again = set(first.records) & set(second.records)
    with capsys.disabled():
        print(f"\n\n{'consumer':<20}{'events out':>12}{'records':>12}{'partitions':>12}")
        for name, member in (("first, killed", first), ("second", second)):
            records = member.records
            print(f"{name:<20}{len(records):>12}{len(set(records)):>12}{len(ends(records)):>12}")
        print(f"{'both':<20}{events.total():>12}{len(events):>12}{topic.partitions:>12}")
        print(f"records in: {len(sent)}, seen again: {len(again)}, lost: {len(sent - set(events))}")
    assert set(ends(first.records)) < set(range(6))
    assert again
    assert second.stop().result == "interrupted"


def test_restart_after_commit_repeats_no_record(new_topic: NewTopic, start_falco: StartFalco) -> None:
    topic = new_topic(3)
    topic.create()
    sent = send_numbered(topic, range(10))
    falco = start_falco(topic)
    wait_until(lambda: set(falco.records) == sent)
    wait_until(lambda: topic.committed() == {0: 10, 1: 10, 2: 10})
    assert falco.stop().result == "interrupted"
    topic.send(b"after it")
    assert start_falco(topic).next() == [b"after it"]


def test_close_commits_only_records_before_a_barrier(new_topic: NewTopic, start_falco: StartFalco) -> None:
    topic = new_topic(1)
    topic.create()
    topic.send(b"one", b"two")
    falco = start_falco(topic, commit_interval=NEVER)
    assert falco.next(2) == [b"one", b"two"]
    falco.stop()
    assert topic.committed() == {}
    assert start_falco(topic).next(2) == [b"one", b"two"]


def test_reassigned_partition_is_not_committed(new_topic: NewTopic, start_falco: StartFalco) -> None:
    topic = new_topic(2)
    topic.create()
    sent = send_numbered(topic, range(4))
    first = start_falco(topic, commit_interval=NEVER, commit_records=10)
    wait_until(lambda: set(first.records) == sent)
    second = start_falco(topic, commit_interval=NEVER, commit_records=10)
    first.wait_for_log("partitions revoked")
    wait_until(lambda: len(second.records) == 4)
    (moved,) = ends(second.records)
    kept = 1 - moved
    topic.send(*(json.dumps([kept, number]).encode() for number in (4, 5)), partition=kept)
    wait_until(lambda: topic.committed() != {})
    assert topic.committed() == {kept: 6}
    assert sorted(second.records) == [(moved, number) for number in range(4)]


def test_suspended_member_continues_and_commits_only_its_own(new_topic: NewTopic, start_falco: StartFalco) -> None:
    topic = new_topic(2)
    topic.create()
    sent = send_numbered(topic, range(10_000))
    suspended = start_falco(topic, commit_records=50)
    wait_until(lambda: len(suspended.records) > 500)
    suspended.signal(signal.SIGSTOP)
    other = start_falco(topic)
    wait_until(lambda: topic.committed() == {0: 10_000, 1: 10_000})
    assert other.records
    suspended.signal(signal.SIGCONT)
    suspended.wait_for_log("partitions lost")
    sent |= send_numbered(topic, range(10_000, 10_100))
    wait_until(lambda: sent == {*suspended.records, *other.records})
    wait_until(lambda: topic.committed() == {0: 10_100, 1: 10_100})
    assert suspended.stop().result == "interrupted"


def test_member_continues_after_broker_restart(broker: Broker, new_topic: NewTopic, start_falco: StartFalco) -> None:
    topic = new_topic(1)
    topic.create()
    falco = start_falco(topic)
    topic.send(b"before")
    assert falco.next() == [b"before"]
    wait_until(lambda: topic.committed() == {0: 1})
    with broker.stopped():
        falco.wait_for_log("brokers are down")
        falco.wait_for_log("partitions lost")
    topic.send(b"after")
    assert falco.next() == [b"after"]
    wait_until(lambda: topic.committed() == {0: 2})
    assert len([text for text in falco.log if "refused" in text]) <= 1


def test_source_closes_while_broker_is_away(broker: Broker, new_topic: NewTopic, start_falco: StartFalco) -> None:
    topic = new_topic(1)
    topic.create()
    falco = start_falco(topic)
    topic.send(b"before")
    falco.next()
    with broker.stopped():
        falco.wait_for_log("brokers are down")
        assert falco.stop().result == "interrupted"


def test_oversized_record_is_skipped_and_committed(new_topic: NewTopic, start_falco: StartFalco) -> None:
    topic = new_topic(1)
    topic.create()
    topic.send(b"one", bytes(1001), bytes(2000), bytes(1000), b"two")
    falco = start_falco(topic, event_size=1000)
    assert falco.next(3) == [b"one", bytes(1000), b"two"]
    falco.wait_for_log(
        f"{topic.name} [0] at offset 1: a record of 1001 bytes is larger than event_size, 1000, and is skipped"
    )
    wait_until(lambda: topic.committed() == {0: 5})
    falco.stop()
    topic.send(b"three")
    assert start_falco(topic).next() == [b"three"]


def test_tombstone_is_not_an_event_but_empty_value_is(new_topic: NewTopic, start_falco: StartFalco) -> None:
    topic = new_topic(1)
    topic.create()
    topic.send(b"", None, b"\xff", None)
    falco = start_falco(topic)
    assert falco.next(2) == [b"", b"\xff"]
    wait_until(lambda: topic.committed() == {0: 4})


def test_event_has_the_timestamp_of_its_record(new_topic: NewTopic, start_falco: StartFalco) -> None:
    topic = new_topic(1)
    topic.create()
    topic.send(b"dated", timestamp=1_700_000_000_123)
    assert start_falco(topic).next_timestamp() == 1_700_000_000_123_000_000


def test_offset_reset_selects_the_first_record(new_topic: NewTopic, start_falco: StartFalco) -> None:
    topic = new_topic(1)
    topic.create()
    topic.send(b"before")
    falco = start_falco(topic, offset_reset="latest")
    falco.wait_for_log("partitions assigned")

    def has_committed() -> bool:
        # After the assignment, the position is not yet set.
        topic.send(b"after")
        time.sleep(0.1)
        return topic.committed() != {}

    wait_until(has_committed)
    assert falco.next() == [b"after"]


def test_member_waits_for_a_missing_topic(new_topic: NewTopic, start_falco: StartFalco) -> None:
    topic = new_topic(1)
    falco = start_falco(topic)
    falco.wait_for_log("Unknown topic")
    topic.create()
    topic.send(b"one")
    assert falco.next() == [b"one"]


def test_members_share_a_topic_with_the_newer_group_protocol(new_topic: NewTopic, start_falco: StartFalco) -> None:
    topic = new_topic(2)
    topic.create()
    settings = {"group.protocol": "consumer"}
    sent = send_numbered(topic, range(5))
    first = start_falco(topic, settings=settings)
    wait_until(lambda: set(first.records) == sent)
    wait_until(lambda: topic.committed() == {0: 5, 1: 5})
    second = start_falco(topic, settings=settings)
    second.wait_for_log("partitions assigned")
    more = send_numbered(topic, range(5, 10))
    wait_until(lambda: {*first.records, *second.records} == sent | more)
    wait_until(lambda: topic.committed() == {0: 10, 1: 10})
    assert second.records


def test_wrong_password_is_read_again(
    broker: Broker, new_topic: NewTopic, start_falco: StartFalco, tmp_path: Path
) -> None:
    topic = new_topic(1)
    topic.create()
    topic.send(b"one")
    password_file = tmp_path / "password"
    password_file.write_text("a wrong one\n")
    falco = start_falco(
        topic,
        bootstrap_servers=broker.password_address,
        settings={"security.protocol": "sasl_plaintext", "sasl.mechanism": "PLAIN", "sasl.username": broker.user},
        secrets={"sasl.password": f"file:{password_file}"},
    )
    falco.wait_for_log("SASL authentication error")
    password_file.write_text(f"{broker.password}\n")
    assert falco.next() == [b"one"]
    log = str(falco.stop())
    assert "a wrong one" not in log
    assert broker.password not in log
