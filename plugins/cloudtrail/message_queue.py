"""A queue of SQS."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from falco_plugin import Context

from .client import LONG_POLL, Aws
from .problems import AwsError, Kind

SCHEME = "sqs://"
MOST_MESSAGES = 10
"""Messages of one request."""

_ARN = re.compile(r"arn:[a-z-]+:sqs:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):(?P<name>.+)")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}(\.fifo)?")
_DEFAULT_VISIBILITY = 30
"""Seconds of a queue whose attributes cannot be read. It is the default of SQS."""


class Message(NamedTuple):
    """A message that was received. It is invisible to other consumers until its visibility ends."""

    id: str
    receipt: str
    body: str


class Queue:
    """A queue of SQS, which may belong to another account or region.

    Args:
        aws: makes the requests.
        params: the open params: ``sqs://name``, or ``sqs://`` and the ARN of the queue.
        owner: id of the account that owns the queue, if it is another one; empty otherwise.
        log: of the plugin.

    Raises:
        ValueError: the open params are wrong.
    """

    def __init__(self, aws: Aws, params: str, owner: str, log: logging.Logger) -> None:
        self._aws = aws
        self._log = log
        self._region, self._owner = "", owner
        self.name = params.removeprefix(SCHEME)
        if arn := _ARN.fullmatch(self.name):
            self._region, self._owner, self.name = arn["region"], arn["account"], arn["name"]
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"open_params: {params} is not a queue: write sqs:// and the name of the queue, or its ARN if it is in "
                "another region"
            )
        self._url = ""
        self.visibility = _DEFAULT_VISIBILITY
        """Seconds for which a received message is invisible to other consumers."""

    def check(self) -> None:
        """Finds the queue, to report mistakes when the source is opened.

        Raises:
            AwsError: the queue cannot be found.
        """
        self._url = self._aws.call("sqs", f"find the queue {self.name}", self._find, self._region)
        self._read_attributes()

    def receive(self, context: Context, count: int) -> list[Message]:
        """Waits for messages, at most `LONG_POLL` seconds.

        Args:
            context: of the source.
            count: the most messages, up to `MOST_MESSAGES`.

        Raises:
            AwsError: another attempt would fail too.
            ClosedError: the source was closed.
        """

        def receive(client: Any) -> list[dict[str, str]]:
            answer = client.receive_message(QueueUrl=self._url, MaxNumberOfMessages=count, WaitTimeSeconds=LONG_POLL)
            found: list[dict[str, str]] = answer.get("Messages", [])
            return found

        if not self._url:
            # It was not found when the source was opened.
            self._url = self._aws.persist(context, "sqs", f"find the queue {self.name}", self._find, self._region)
            self._read_attributes()
        found = self._aws.persist(context, "sqs", f"read the queue {self.name}", receive, self._region)
        return [Message(message["MessageId"], message["ReceiptHandle"], message["Body"]) for message in found]

    def delete(self, context: Context, messages: Sequence[Message]) -> None:
        """Deletes messages. Those that cannot be deleted are logged, because they are delivered again.

        Raises:
            ClosedError: the source was closed before.
        """
        self._change(context, "delete messages of", "delete_message_batch", messages)

    def extend(self, context: Context, messages: Sequence[Message]) -> None:
        """Makes messages invisible for `visibility` seconds from now.

        Raises:
            ClosedError: the source was closed before.
        """
        action, seconds = "extend the visibility of messages in", self.visibility
        self._change(context, action, "change_message_visibility_batch", messages, VisibilityTimeout=seconds)

    def release(self, message: Message) -> None:
        """Makes a message visible immediately, for other consumers. A failure has no consequence but a delay."""
        with suppress(AwsError):
            self._aws.call(
                "sqs",
                f"release a message of the queue {self.name}",
                lambda client: client.change_message_visibility(
                    QueueUrl=self._url, ReceiptHandle=message.receipt, VisibilityTimeout=0
                ),
                self._region,
            )

    def _change(self, context: Context, action: str, method: str, messages: Sequence[Message], **options: Any) -> None:
        action = f"{action} the queue {self.name}"
        for start in range(0, len(messages), MOST_MESSAGES):
            entries = [
                {"Id": str(number), "ReceiptHandle": message.receipt, **options}
                for number, message in enumerate(messages[start : start + MOST_MESSAGES])
            ]

            def change(client: Any, entries: list[dict[str, Any]] = entries) -> list[dict[str, Any]]:
                answer = getattr(client, method)(QueueUrl=self._url, Entries=entries)
                failed: list[dict[str, Any]] = answer.get("Failed", [])
                return failed

            try:
                failed = self._aws.persist(context, "sqs", action, change, self._region)
            except AwsError as error:
                self._aws.reports.report(logging.ERROR, f"{method} {error.code}", str(error))
                continue
            for entry in failed:
                text = f"cannot {action}: {entry.get('Code')} ({entry.get('Message', '')}): they are delivered again"
                self._aws.reports.report(logging.WARNING, f"{method} {entry.get('Code')}", text)

    def _find(self, client: Any) -> str:
        owner = {"QueueOwnerAWSAccountId": self._owner} if self._owner else {}
        url: str = client.get_queue_url(QueueName=self.name, **owner)["QueueUrl"]
        return url

    def _read_attributes(self) -> None:
        names = ["VisibilityTimeout", "RedrivePolicy"]

        def read(client: Any) -> dict[str, str]:
            answer = client.get_queue_attributes(QueueUrl=self._url, AttributeNames=names)
            attributes: dict[str, str] = answer.get("Attributes", {})
            return attributes

        try:
            attributes = self._aws.call("sqs", f"read the attributes of the queue {self.name}", read, self._region)
        except AwsError as error:
            if error.kind is not Kind.DENIED:
                raise
            self._log.warning("%s; its visibility timeout is assumed to be %d s", error, _DEFAULT_VISIBILITY)
            return
        self.visibility = int(attributes["VisibilityTimeout"]) or _DEFAULT_VISIBILITY
        if "RedrivePolicy" not in attributes:
            self._log.warning(
                "the queue %s has no dead-letter queue: messages of unreadable log files are received again and again, "
                "until the queue drops them: set its redrive policy",
                self.name,
            )
