"""Tests which log files the messages of a queue announce, and when messages are deleted."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable

import pytest
from plugins.cloudtrail.conftest import Consumer, take
from support.aws_server import ACCOUNT, REGION, Answer, AwsServer, Queue, Request, log_file, wait_until

from falco_plugin.testing import RunningPlugin

Consume = Callable[..., Consumer]


@pytest.fixture
def queue(aws: AwsServer) -> Queue:
    return aws.new_queue()


@pytest.fixture
def bucket(aws: AwsServer) -> str:
    return aws.new_bucket()


@pytest.mark.slow
def test_plugin_reads_a_queue(aws: AwsServer, queue: Queue, bucket: str, start: Callable[..., RunningPlugin]) -> None:
    plugin = start(queue.params)
    for number in range(3):
        aws.put(bucket, f"{number}.json.gz", f"{number}-1", f"{number}-2")
        queue.announce(bucket, f"{number}.json.gz")
        assert take(plugin, 2) == [f"{number}-1", f"{number}-2"]
    wait_until(lambda: not queue.count())
    assert plugin.stop().result == "interrupted"


def test_message_is_deleted_after_falco_has_consumed_its_events(
    aws: AwsServer, queue: Queue, bucket: str, consume: Consume
) -> None:
    for number in range(2):
        aws.put(bucket, f"{number}.json", number)
    queue.announce(bucket, "0.json", "1.json")
    consumer = consume(queue.params).hold().start()
    assert consumer.take(2) == ["0", "1"]
    wait_until(lambda: consumer.barriers == 1)
    assert (queue.count(), consumer.plugin.messages_in_flight.value) == (1, 1)
    assert aws.count("DeleteMessageBatch") == 0
    consumer.proceed()
    wait_until(lambda: not queue.count() and not consumer.plugin.messages_in_flight.value)
    assert (consumer.plugin.files.value, consumer.plugin.records.value) == (2, 2)
    assert consumer.plugin.bytes_read.value == len(log_file(0)) + len(log_file(1))


def test_message_returns_if_falco_has_not_consumed_its_events(
    aws: AwsServer, queue: Queue, bucket: str, consume: Consume
) -> None:
    aws.put(bucket, "a.json", "a")
    queue.announce(bucket, "a.json")
    first = consume(queue.params).hold().start()
    assert first.take(1) == ["a"]
    first.close()  # releases the message, so the next one need not wait for its visibility
    second = consume(queue.params).start()
    assert second.take(1) == ["a"]
    wait_until(lambda: not queue.count())


def test_messages_are_deleted_together_in_the_order_of_the_queue(
    aws: AwsServer, bucket: str, queue: Queue, consume: Consume
) -> None:
    for number in range(25):
        aws.put(bucket, f"{number}.json", number)
        queue.announce(bucket, f"{number}.json")
    consumer = consume(queue.params).start()
    assert sorted(map(int, consumer.take(25))) == list(range(25))
    wait_until(lambda: not queue.count())
    assert aws.count("DeleteMessageBatch") < 25
    assert consumer.rest == []


def test_messages_without_log_files_are_deleted(aws: AwsServer, bucket: str, queue: Queue, consume: Consume) -> None:
    aws.put(bucket, "read me.json", "last")
    queue.send({"Service": "Amazon S3", "Event": "s3:TestEvent"})
    queue.announce(bucket, "index.html", "a/CloudTrail-Digest/x.json.gz")
    queue.send({"Records": [{"eventName": "ObjectCreated:Put", "s3": {
        "bucket": {"name": bucket}, "object": {"key": "read+me.json"}}}]})  # fmt: skip
    consumer = consume(queue.params).start()
    assert consumer.take(1) == ["last"]
    wait_until(lambda: not queue.count())
    assert [request.path for request in aws.requests if request.operation == "GetObject"] == [
        f"/{bucket}/read%20me.json"
    ]


def test_messages_stay_if_they_must_not_be_deleted(aws: AwsServer, bucket: str, queue: Queue, consume: Consume) -> None:
    aws.put(bucket, "a.json", "a")
    queue.announce(bucket, "a.json")
    consumer = consume(queue.params, sqsDelete=False).start()
    assert consumer.take(1) == ["a"]
    wait_until(lambda: consumer.barriers == 1 and not consumer.plugin.messages_in_flight.value)
    assert (queue.count(), aws.count("DeleteMessageBatch")) == (1, 0)


@pytest.mark.parametrize(
    ("content", "ids", "report"),
    [
        (gzip.compress(log_file(1, 2, 3))[:-20], 1, "the gzip data is truncated"),
        (b"not JSON", 0, "has no readable Records"),
        (b'{"other": 1}', 0, "has no Records"),
    ],
    ids=["cut off", "not JSON", "no Records"],
)
def test_unreadable_log_file_is_reported_and_left_to_the_dead_letter_queue(
    aws: AwsServer,
    bucket: str,
    consume: Consume,
    caplog: pytest.LogCaptureFixture,
    content: bytes,
    ids: int,
    report: str,
) -> None:
    queue = aws.new_queue(1, receives=2)
    aws.put_bytes(bucket, "bad.json.gz", content)
    aws.put(bucket, "good.json", "good")
    queue.announce(bucket, "bad.json.gz")
    consumer = consume(queue.params).start()
    wait_until(lambda: aws.sqs.receive_message(QueueUrl=queue.dead).get("Messages"))
    queue.announce(bucket, "good.json")
    assert consumer.take(1 + min(ids, 1))[-1] == "good"
    reports = [line.getMessage() for line in caplog.records if line.levelname == "ERROR"]
    assert len(reports) == 1, "a message that returns is not reported again"
    assert report in reports[0]
    assert f"s3://{bucket}/bad.json.gz" in reports[0]
    assert consumer.plugin.unreadable_files.value == 1
    assert aws.count("DeleteMessageBatch") <= 1


def test_message_that_is_not_a_notification_is_reported_and_left(
    aws: AwsServer, bucket: str, queue: Queue, consume: Consume, caplog: pytest.LogCaptureFixture
) -> None:
    queue.send("hello")
    aws.put(bucket, "a.json", "a")
    queue.announce(bucket, "a.json")
    consumer = consume(queue.params).start()
    assert consumer.take(1) == ["a"]
    wait_until(lambda: queue.count() == 1)
    assert "is left in the queue: it is not a notification of CloudTrail or S3" in caplog.text
    assert "hello" not in caplog.text


def test_message_of_a_missing_object_is_left_while_others_are_read(
    aws: AwsServer, bucket: str, queue: Queue, consume: Consume, caplog: pytest.LogCaptureFixture
) -> None:
    aws.put(bucket, "a.json", "a")
    queue.announce(bucket, "missing.json", "a.json")
    consumer = consume(queue.params).start()
    assert consumer.take(1) == ["a"]
    wait_until(lambda: not consumer.plugin.messages_in_flight.value)
    assert queue.count() == 1
    assert f"cannot read s3://{bucket}/missing.json: NoSuchKey" in caplog.text
    assert "the object was deleted; its message is left in the queue" in caplog.text


def test_queue_of_another_region_and_account_is_found_by_its_arn(
    aws: AwsServer, queue: Queue, consume: Consume
) -> None:
    aws.fail("GetQueueUrl", Answer(400, "QueueDoesNotExist"))
    arn = f"arn:aws:sqs:eu-west-1:210987654321:{queue.name}"
    with pytest.raises(Exception, match=f"cannot find the queue {queue.name}: QueueDoesNotExist"):
        consume(f"sqs://{arn}")
    [request] = [request for request in aws.requests if request.operation == "GetQueueUrl"]
    assert json.loads(request.body) == {"QueueName": queue.name, "QueueOwnerAWSAccountId": "210987654321"}
    assert "/eu-west-1/sqs/" in request.headers["Authorization"]


def test_owner_of_the_queue_may_be_another_account(aws: AwsServer, queue: Queue, consume: Consume) -> None:
    consume(queue.params, sqsOwnerAccount=int(ACCOUNT))
    [request] = [request for request in aws.requests if request.operation == "GetQueueUrl"]
    assert json.loads(request.body)["QueueOwnerAWSAccountId"] == ACCOUNT
    assert f"/{REGION}/sqs/" in request.headers["Authorization"]


@pytest.mark.parametrize(
    "params", ["sqs://", "sqs://a/b", "sqs://https://sqs.example/1/queue", "sqs://arn:aws:sns:x:1:y"]
)
def test_wrong_name_of_a_queue_is_refused(consume: Consume, params: str) -> None:
    with pytest.raises(ValueError, match="write sqs:// and the name of the queue, or its ARN"):
        consume(params)


def test_settings_of_s3_are_reported_with_a_queue(
    queue: Queue, consume: Consume, caplog: pytest.LogCaptureFixture
) -> None:
    consume(queue.params, s3Interval="5d")
    assert f"s3Interval has no effect with {queue.params}: it is for s3://" in caplog.text


def test_queue_without_a_dead_letter_queue_is_reported(
    aws: AwsServer, consume: Consume, caplog: pytest.LogCaptureFixture
) -> None:
    consume(aws.new_queue(receives=3).params)
    assert "dead-letter" not in caplog.text
    consume(aws.new_queue().params)
    assert "has no dead-letter queue" in caplog.text


def test_log_files_in_memory_are_limited(aws: AwsServer, bucket: str, queue: Queue, consume: Consume) -> None:
    keys = [f"{number}.json" for number in range(20)]
    for key in keys:
        aws.put(bucket, key, key)
    queue.announce(bucket, keys[0])
    consumer = consume(queue.params, s3DownloadConcurrency=2).hold().start()
    assert consumer.take(1) == keys[:1]
    wait_until(lambda: consumer.barriers == 1)
    queue.announce(bucket, *keys[1:])
    wait_until(lambda: aws.count("GetObject") == 5)
    # Nothing consumes them, so the server gets no other request.
    with pytest.raises(AssertionError, match="the condition did not become true"):
        wait_until(lambda: aws.count("GetObject") > 5, timeout=0.3)
    consumer.proceed()
    assert consumer.take(19) == keys[1:]
    wait_until(lambda: not queue.count())


def test_message_is_deleted_if_the_queue_was_empty_meanwhile(
    aws: AwsServer, bucket: str, queue: Queue, consume: Consume, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.put(bucket, "a.json", "a")
    queue.announce(bucket, "a.json")
    consumer = consume(queue.params)
    monkeypatch.setattr("plugins.cloudtrail.message_queue.LONG_POLL", 0)

    def wait_for_empty_answers(request: Request) -> None:
        if request.operation == "GetObject":
            wait_until(lambda: aws.count("ReceiveMessage") > 4)

    aws.faults.append(wait_for_empty_answers)
    assert consumer.start().take(1) == ["a"]
    wait_until(lambda: not queue.count())
