"""A real broker for the tests: Kafka in KRaft mode, in its own process and folder."""

from __future__ import annotations

import base64
import itertools
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

LIBRARIES = Path(__file__).parents[2] / "target/kafka"

_JAVA_OPTIONS = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
_START_TIMEOUT = 60.0


def pytest_pycollect_makemodule() -> None:
    """Skips all tests of this folder if the client library is missing, so this file imports it late, too."""
    pytest.importorskip("confluent_kafka", reason="confluent-kafka is missing: it has no wheels for Python 3.15")


def wait_until(condition: Callable[[], bool], timeout: float = 60) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "the condition did not become true"
        time.sleep(0.02)


class Broker:
    """A single node, both broker and controller, that can be stopped and started again."""

    user = "falco"
    password = "the password of the test"

    def __init__(self, folder: Path) -> None:
        self._log = folder / "broker.log"
        self._settings = folder / "server.properties"
        self._process: subprocess.Popen[bytes] | None = None
        self._port, password_port, controller_port = _free_ports(3)
        self.address = f"127.0.0.1:{self._port}"
        self.password_address = f"127.0.0.1:{password_port}"
        self._settings.write_text(
            f"""
            process.roles=broker,controller
            node.id=1
            controller.quorum.voters=1@127.0.0.1:{controller_port}
            controller.listener.names=CONTROLLER
            inter.broker.listener.name=PLAIN
            listeners=PLAIN://{self.address},PASSWORD://{self.password_address},CONTROLLER://127.0.0.1:{controller_port}
            listener.security.protocol.map=PLAIN:PLAINTEXT,PASSWORD:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
            listener.name.password.sasl.enabled.mechanisms=PLAIN
            listener.name.password.plain.sasl.jaas.config=\\
                org.apache.kafka.common.security.plain.PlainLoginModule required user_{self.user}="{self.password}";
            log.dirs={folder / "data"}
            auto.create.topics.enable=false
            offsets.topic.num.partitions=1
            offsets.topic.replication.factor=1
            group.initial.rebalance.delay.ms=0
            group.min.session.timeout.ms=1000
            """
        )
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        formatted = self._java("kafka.tools.StorageTool", "format", "--cluster-id", cluster, "--config")
        assert formatted.wait(_START_TIMEOUT) == 0, self._log.read_text()

    def start(self) -> None:
        """Starts the broker, and returns when clients can connect."""
        from confluent_kafka.admin import AdminClient

        self._process = process = self._java("kafka.Kafka")
        wait_until(lambda: process.poll() is not None or self._listens(), _START_TIMEOUT)
        assert process.poll() is None, self._log.read_text()
        self.admin = AdminClient({"bootstrap.servers": self.address})
        self.admin.list_topics(timeout=_START_TIMEOUT)

    def stop(self) -> None:
        """Stops the broker. Its data stays on the disk."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stops the broker during the block."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0

    def _java(self, *command: str) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                ["java", *_JAVA_OPTIONS, "-cp", f"{LIBRARIES}/*", *command, str(self._settings)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )


class Topic:
    """A topic, and the offsets that the plugin's group has committed."""

    def __init__(self, broker: Broker, name: str, partitions: int) -> None:
        from confluent_kafka import Producer

        self._broker = broker
        self.name = name
        self.group = f"group-of-{name}"
        self.partitions = partitions
        self._producer = Producer({"bootstrap.servers": broker.address, "linger.ms": 0})

    def create(self) -> None:
        from confluent_kafka.admin import NewTopic

        new = NewTopic(self.name, self.partitions, 1)
        self._broker.admin.create_topics([new])[self.name].result()

    def send(self, *values: bytes | None, partition: int = 0, timestamp: int = 0) -> None:
        """Sends records, and returns when the broker has stored them. The timestamp is in milliseconds."""
        failures: list[KafkaError] = []

        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                failures.append(error)

        for value in values:
            self._producer.produce(self.name, value, partition=partition, timestamp=timestamp, on_delivery=delivered)
        assert self._producer.flush(30) == 0
        assert not failures

    def committed(self) -> dict[int, int]:
        """Returns the committed offset of each partition."""
        from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

        query = ConsumerGroupTopicPartitions(self.group)
        answer = self._broker.admin.list_consumer_group_offsets([query])[self.group].result()
        return {
            position.partition: position.offset
            for position in answer.topic_partitions or ()
            if isinstance(position, TopicPartition) and position.topic == self.name and position.offset >= 0
        }


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """The broker that all tests share."""
    if shutil.which("java") is None or not LIBRARIES.is_dir():
        pytest.fail("Java or Kafka is missing: `make test-kafka` fetches Kafka with Maven, and needs Java 17 or newer")
    broker = Broker(tmp_path_factory.mktemp("kafka"))
    with ExitStack() as stack:
        stack.callback(broker.stop)
        broker.start()
        yield broker


_numbers = itertools.count(1)


@pytest.fixture
def new_topic(broker: Broker) -> Callable[[int], Topic]:
    """Returns a topic with a unique name and so many partitions. The test creates it."""
    return lambda partitions: Topic(broker, f"topic-{next(_numbers)}", partitions)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
