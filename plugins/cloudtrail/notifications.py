"""Notifications of new log files, in the forms in which a queue gets them."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import unquote_plus

import msgspec

_CREATED = "ObjectCreated:"
_TEST_EVENT = "s3:TestEvent"
_VALIDATION = "CloudTrail validation message."


class NotificationError(ValueError):
    """A message is not a notification of CloudTrail or S3."""


class ObjectName(NamedTuple):
    """An object of S3."""

    bucket: str
    key: str


def parse_notification(body: str) -> list[ObjectName]:
    """Returns the objects that the message of a queue announces.

    The message is one of CloudTrail (``s3Bucket``, ``s3ObjectKey``), of S3 (``Records``) or of EventBridge
    (``detail``), in an envelope of SNS or without one. Messages by which AWS tests a configuration, and those of
    deleted objects, announce nothing.

    Raises:
        NotificationError: the message has none of these forms. The text does not contain the message.
    """
    text = body
    try:
        message = msgspec.json.decode(text)
        if isinstance(message, dict) and message.get("Type") == "Notification":
            text = message["Message"]
            if text == _VALIDATION:
                return []
            message = msgspec.json.decode(text)
        return list(dict.fromkeys(_objects(message)))
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise NotificationError(f"it is not a notification of CloudTrail or S3 ({_cause(error)})") from None


def _objects(message: Any) -> list[ObjectName]:
    if "s3Bucket" in message:
        return [_name(message["s3Bucket"], key) for key in message["s3ObjectKey"]]
    if "Records" in message:
        return [
            # S3 encodes the keys in its notifications as those in URLs.
            _name(record["s3"]["bucket"]["name"], unquote_plus(record["s3"]["object"]["key"]))
            for record in message["Records"]
            if record["eventName"].removeprefix("s3:").startswith(_CREATED)
        ]
    if message.get("Event") == _TEST_EVENT:
        return []
    if message["source"] == "aws.s3":
        detail = message["detail"]
        is_created = message["detail-type"] == "Object Created"
        return [_name(detail["bucket"]["name"], detail["object"]["key"])] if is_created else []
    raise NotificationError(f"it is an event of {message['source']!r:.100}")


def _name(bucket: Any, key: Any) -> ObjectName:
    if not (isinstance(bucket, str) and isinstance(key, str) and bucket and key):
        raise TypeError("a bucket and a key must be strings")
    return ObjectName(bucket, key)


def _cause(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)
