"""Tests which objects a message announces."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugins.cloudtrail.notifications import NotificationError, ObjectName, parse_notification

CLOUDTRAIL: dict[str, Any] = {"s3Bucket": "logs", "s3ObjectKey": ["a/1.json.gz", "a/2+3.json.gz"]}
ONE, TWO = ObjectName("logs", "a/1.json.gz"), ObjectName("logs", "a/2+3.json.gz")


def s3_record(key: str, name: str = "ObjectCreated:Put", bucket: str = "logs") -> dict[str, Any]:
    return {"eventName": name, "awsRegion": "us-east-1", "s3": {"bucket": {"name": bucket}, "object": {"key": key}}}


def s3_event(*records: dict[str, Any]) -> dict[str, Any]:
    return {"Records": list(records)}


def event_bridge(kind: str = "Object Created", source: str = "aws.s3") -> dict[str, Any]:
    detail = {"bucket": {"name": "logs"}, "object": {"key": "a/2+3.json.gz", "size": 5}}
    return {"version": "0", "detail-type": kind, "source": source, "detail": detail}


@pytest.mark.parametrize("is_wrapped", [True, False])
@pytest.mark.parametrize(
    ("message", "objects"),
    [
        (CLOUDTRAIL, [ONE, TWO]),
        ({"s3Bucket": "logs", "s3ObjectKey": []}, []),
        ({"s3Bucket": "logs", "s3ObjectKey": ["a/1.json.gz", "a/1.json.gz"]}, [ONE]),
        (s3_event(s3_record("a/1.json.gz"), s3_record("a/2%2B3.json.gz")), [ONE, TWO]),
        (s3_event(s3_record("a+b/%C3%BC.json")), [ObjectName("logs", "a b/ü.json")]),
        (s3_event(s3_record("x", bucket="one"), s3_record("x", bucket="two")),
         [ObjectName("one", "x"), ObjectName("two", "x")]),
        (s3_event(s3_record("x", "s3:ObjectCreated:CompleteMultipartUpload")), [ObjectName("logs", "x")]),
        (s3_event(s3_record("x", "ObjectRemoved:Delete"), s3_record("x", "LifecycleExpiration:Delete")), []),
        ({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "logs"}, []),
        (event_bridge(), [TWO]),
        (event_bridge("Object Deleted"), []),
    ],
)  # fmt: skip
def test_notification_announces_objects(message: Any, objects: list[ObjectName], is_wrapped: bool) -> None:
    text = json.dumps(message)
    if is_wrapped:
        text = json.dumps({"Type": "Notification", "TopicArn": "arn", "Message": text, "Signature": "x"})
    assert parse_notification(text) == objects


def test_validation_message_of_cloudtrail_announces_nothing() -> None:
    assert parse_notification(json.dumps({"Type": "Notification", "Message": "CloudTrail validation message."})) == []


@pytest.mark.parametrize(
    "body",
    [
        "",
        "secret",
        "3",
        "null",
        "[]",
        "{}",
        '"s3Bucket"',
        '{"Type": "SubscriptionConfirmation", "SubscribeURL": "https://secret"}',
        '{"Type": "Notification"}',
        '{"Type": "Notification", "Message": 3}',
        '{"Type": "Notification", "Message": "secret"}',
        '{"s3Bucket": "secret"}',
        '{"s3Bucket": 3, "s3ObjectKey": ["a"]}',
        '{"s3Bucket": "b", "s3ObjectKey": [3]}',
        '{"s3Bucket": "b", "s3ObjectKey": [""]}',
        '{"Records": 3}',
        '{"Records": [3]}',
        '{"Records": [{"eventName": "ObjectCreated:Put"}]}',
        json.dumps(event_bridge(source="aws.ec2")),
        "[" * 10_000,
    ],
)
def test_other_messages_are_an_error_without_their_content(body: str) -> None:
    with pytest.raises(NotificationError, match=r"it is (not a notification|an event)") as raised:
        parse_notification(body)
    assert "secret" not in str(raised.value)


@given(st.text())
def test_any_text_is_parsed_or_an_error(body: str) -> None:
    with suppress(NotificationError):
        parse_notification(body)


NAMES = ["Records", "s3", "bucket", "name", "object", "key", "eventName", "s3Bucket", "s3ObjectKey"]
NAMES += ["Type", "Message", "source", "detail", "detail-type", "Event"]
VALUES = st.none() | st.booleans() | st.integers() | st.text()
DOCUMENTS = st.recursive(
    VALUES, lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(NAMES) | st.text(), inner)
)


@given(DOCUMENTS)
def test_any_document_is_parsed_or_an_error(document: Any) -> None:
    with suppress(NotificationError):
        parse_notification(json.dumps(document))
