"""Tests the framing before a record's JSON, with a fake consumer and with the mock broker of the client library."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, Producer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plugins.kafka import member
from plugins.kafka.config import Config
from plugins.kafka.plugin import Kafka

from falco_plugin import Context, Event
from falco_plugin.source import EventTooLargeError
from falco_plugin.testing.fixtures import StartPlugin

KAFKA = Path(__file__).parent

RECORD = b'{"user":{"name":"carol"}}'
SCHEMA = b"\x00\x00\x00\x30\x39"


class Record:
    """A message of the fake consumer."""

    def __init__(self, value: bytes | None, topic: str = "audit", offset: int = 0) -> None:
        self._value = value
        self._topic = topic
        self._offset = offset

    def error(self) -> None:
        return None

    def value(self) -> bytes | None:
        return self._value

    def topic(self) -> str:
        return self._topic

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset

    def timestamp(self) -> tuple[int, int]:
        return TIMESTAMP_CREATE_TIME, 1_700_000_000_123

    def leader_epoch(self) -> None:
        return None


class FakeConsumer:
    """Delivers records, and then cancels the context."""

    def __init__(self, records: list[Record], context: Context) -> None:
        self._records = list(records)
        self._context = context
        self._sent: list[Any] = []
        self.on_commit: Callable[..., None]
        self.committed: dict[str, int] = {}

    def subscribe(self, topics: list[str], **callbacks: Callable[..., None]) -> None:
        pass

    def poll(self, timeout: float) -> Record | None:
        sent, self._sent = self._sent, []
        if sent:
            self.committed.update({offset.topic: offset.offset for offset in sent})
            self.on_commit(None, sent)
        if self._records:
            return self._records.pop(0)
        self._context.cancel()
        return None

    def commit(self, offsets: list[Any], *, asynchronous: bool) -> None:
        self._sent = offsets

    def close(self) -> None:
        pass


class Reading:
    """The events, log lines and commits of a member."""

    def __init__(self) -> None:
        self.events: list[bytes] = []
        self.log: list[str] = []
        self.committed: dict[str, int] = {}
        self.now = 0.0


class ListHandler(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, line: logging.LogRecord) -> None:
        self._lines.append(line.getMessage())


Read = Callable[..., Reading]


@pytest.fixture(scope="module")
def read() -> Read:
    def read(*records: Record, seconds: float = 0, largest: int = 1 << 20, **config: Any) -> Reading:
        """Reads records. Between two of them so many seconds pass."""
        reading, context = Reading(), Context()
        log = logging.Logger("kafka")
        log.addHandler(ListHandler(reading.log))
        settings = Config("localhost:9092", commit_records=1, **config)
        consumer = FakeConsumer(list(records), context)
        with pytest.MonkeyPatch.context() as patch:

            def connect(settings: dict[str, Any], logger: logging.Logger) -> FakeConsumer:
                consumer.on_commit = settings["on_commit"]
                return consumer

            patch.setattr(member, "Consumer", connect)
            items = member.Member(["audit"], settings, log, lambda: reading.now).consume(context)
            item = next(items, ...)
            while item is not ...:
                if item is not None and len(item[0]) > largest:
                    item = items.throw(EventTooLargeError(len(item[0]), largest))
                    continue
                if item is not None:
                    assert item[1] == 1_700_000_000_123_000_000
                    reading.events.append(item[0])
                    reading.now += seconds
                item = next(items, ...)
        reading.committed = consumer.committed
        return reading

    return read


@pytest.mark.parametrize(
    ("framing", "value", "payload"),
    [
        ("none", RECORD, RECORD),
        ("none", SCHEMA + RECORD, SCHEMA + RECORD),
        ("none", b"", b""),
        ("confluent", SCHEMA + RECORD, RECORD),
        ("confluent", SCHEMA + SCHEMA + RECORD, SCHEMA + RECORD),
        ("confluent", SCHEMA, b""),
        ("confluent", SCHEMA + b"\xff", b"\xff"),
        ("confluent", b"\x00\xff\xff\xff\xff[1]", b"[1]"),
        ("confluent", RECORD, RECORD),
        ("confluent", b"", b""),
        ("confluent", SCHEMA[:4], SCHEMA[:4]),
        ("confluent", b"\x01" + SCHEMA[1:] + RECORD, b"\x01" + SCHEMA[1:] + RECORD),
    ],
)
def test_framing_is_removed_only_if_present(framing: str, value: bytes, payload: bytes, read: Read) -> None:
    assert read(Record(value), framing=framing).events == [payload]


def test_framing_makes_the_values_of_a_record_visible_to_rules(read: Read) -> None:
    plugin = Kafka()
    (event,) = read(Record(SCHEMA + RECORD), framing="confluent").events
    assert plugin.value(Event(event), key="/user/name") == "carol"
    assert plugin.value(Event(SCHEMA + RECORD), key="/user/name") is None


def test_missing_framing_is_logged_once_a_minute_with_count(read: Read) -> None:
    records = [Record(RECORD, offset=number) for number in range(7)]
    reading = read(*records, Record(SCHEMA + RECORD), Record(b"x", "other", 5), seconds=20, framing="confluent")
    text = (
        "{} [0] at offset {}: the record does not begin with a 0 byte and a schema id, and is delivered unchanged: "
        "set framing to none if no record of the topic does (such records so far: {})"
    )
    assert reading.log == [
        text.format("audit", 0, 1),
        text.format("audit", 3, 4),
        text.format("audit", 6, 7),
        text.format("other", 5, 1),
    ]
    assert len(reading.events) == 9


def test_uncounted_records_are_reported_at_close(read: Read) -> None:
    plain = [Record(RECORD), Record(RECORD), Record(RECORD, "other")]
    assert read(*plain, framing="confluent").log[2:] == [
        "records of audit that do not begin with a 0 byte and a schema id: 1 more since the last report, 2 in all"
    ]
    framed = [Record(SCHEMA + RECORD)] * 4
    assert read(*framed).log[1:] == [
        "records of audit with a 0 byte and a schema id before JSON: 3 more since the last report, 4 in all"
    ]


def test_unexpected_framing_is_logged_once_a_minute_with_count(read: Read) -> None:
    records = [Record(SCHEMA + RECORD, offset=number) for number in range(4)]
    reading = read(*records, Record(RECORD), Record(SCHEMA + b"[1]", "other", 5), seconds=20)
    text = (
        "{} [0] at offset {}: the record is not JSON, but would be without the 0 byte and the schema id before "
        "it: set framing to confluent (such records so far: {})"
    )
    assert reading.log == [text.format("audit", 0, 1), text.format("audit", 3, 4), text.format("other", 5, 1)]
    assert len(reading.events) == 6


@pytest.mark.parametrize(
    ("value", "is_logged"),
    [
        (SCHEMA + RECORD, True),
        (SCHEMA + b' \n{"a":"\xff"}\n', True),
        (SCHEMA + b"[]", True),
        (SCHEMA + b'{"a":NaN}\x00', True),
        (RECORD, False),
        (SCHEMA, False),
        (SCHEMA + b"{", False),
        (SCHEMA + b"{]", False),
        (SCHEMA + b"\x02\x06bob", False),
        (b"\x01" + SCHEMA[1:] + RECORD, False),
        (b"\x00", False),
        (b"", False),
    ],
)
def test_framing_is_suggested_only_for_json(value: bytes, is_logged: bool, read: Read) -> None:
    assert [("set framing to confluent" in line) for line in read(Record(value)).log] == [True] * is_logged


def test_framing_does_not_change_what_is_committed(read: Read) -> None:
    records = [Record(value, offset=number) for number, value in enumerate([SCHEMA + RECORD, RECORD, None, SCHEMA])]
    reading = read(*records, framing="confluent")
    assert reading.events == [RECORD, RECORD, b""]
    assert reading.committed == {"audit": 4}


def test_event_size_applies_without_framing(read: Read) -> None:
    reading = read(
        Record(SCHEMA + bytes(20)), Record(SCHEMA + bytes(10)), framing="confluent", largest=10, event_size=10
    )
    assert reading.events == [bytes(10)]
    assert reading.log == [
        "audit [0] at offset 0: a record of 20 bytes is larger than event_size, 10, and is skipped (skipped so far: 1)"
    ]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(value=st.binary(max_size=40), is_framed=st.booleans(), framing=st.sampled_from(["none", "confluent"]))
def test_remove_keeps_each_byte_after_the_framing(value: bytes, is_framed: bool, framing: str, read: Read) -> None:
    sent = SCHEMA + value if is_framed else value
    (event,) = read(Record(sent), framing=framing).events
    assert event in (sent, sent[5:])
    assert sent.endswith(event)
    if is_framed:
        assert event == (value if framing == "confluent" else sent)


@pytest.fixture
def mock_broker() -> Iterator[tuple[Producer, str]]:
    """Yields a producer that runs a mock broker, and the address of the broker."""
    producer = Producer({"bootstrap.servers": "replaced", "test.mock.num.brokers": 1, "log_level": 0})
    (broker,) = producer.list_topics(timeout=30).brokers.values()
    yield producer, f"{broker.host}:{broker.port}"
    producer.purge()
    producer.flush(30)


@pytest.mark.parametrize(("framing", "name"), [("confluent", "carol"), ("none", None)])
def test_plugin_removes_framing_of_a_mock_topic(
    framing: str, name: str | None, mock_broker: tuple[Producer, str], start_plugin: StartPlugin
) -> None:
    producer, address = mock_broker
    for value in (SCHEMA + RECORD, RECORD):
        producer.produce("audit", value, partition=0)
    assert producer.flush(30) == 0
    config = {"bootstrap_servers": address, "framing": framing}
    falco = start_plugin(KAFKA, "audit", config=config, fields=["kafka.value[/user/name]"])
    names = [falco.next_event(timeout=60).fields["kafka.value[/user/name]"] for _ in range(2)]
    assert names == [name, "carol"]
    falco.wait_for_log("set framing to none if" if framing == "confluent" else "set framing to confluent", timeout=60)
