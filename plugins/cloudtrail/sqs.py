"""Reads the log files that the messages of a queue announce."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from typing import TypeAlias

from falco_plugin import Context

from .client import Aws, ClosedError
from .config import Config
from .delivery import Delivery
from .downloads import Downloads
from .message_queue import MOST_MESSAGES, Message, Queue
from .problems import AwsError
from .receiver import Received, Receiver
from .reports import Reports

_Event: TypeAlias = tuple[bytes, int]


class SqsSource:
    """Reads the log files that messages announce. A message is deleted when Falco has consumed all its records.

    Args:
        params: the open params, ``sqs://name``.
        config: of the plugin.
        delivery: reads and counts records.
        log: of the plugin.

    Raises:
        ValueError: the open params or a setting is wrong.
        AwsError: the queue cannot be found, and another attempt would fail too.
    """

    def __init__(self, params: str, config: Config, delivery: Delivery, log: logging.Logger) -> None:
        self._config = config
        self._delivery = delivery
        self._log = log
        self._reports = Reports(log)
        self._aws = Aws(config.aws, config.s3_download_concurrency, self._reports)
        self._queue = Queue(self._aws, params, config.queue_owner, log)
        try:
            self._queue.check()
        except AwsError as error:
            if not self._aws.can_pass(error):
                raise
            log.warning("%s; trying again", error)

    def read(self, context: Context) -> Iterator[_Event | None]:
        """Yields the records of the log files, and barriers.

        Raises:
            AwsError: only an operator can make another attempt succeed.
        """
        with (
            Downloads(self._aws, context, self._config.s3_download_concurrency) as downloads,
            Receiver(self._queue, downloads, context, self._delivery.metrics, self._config) as receiver,
        ):
            delivered: list[Message] = []
            try:
                while True:
                    received = receiver.next()
                    if received is None:
                        self._delivery.metrics.lag.set(0)
                    elif (yield from self._records(received, downloads, receiver)):
                        delivered.append(received.message)
                    else:
                        receiver.settle([received.message])
                    if delivered and (len(delivered) >= MOST_MESSAGES or receiver.is_empty):
                        yield None
                        if self._config.sqs_delete:
                            self._queue.delete(context, delivered)
                        receiver.settle(delivered)
                        delivered = []
            except ClosedError:
                return

    def _records(self, received: Received, downloads: Downloads, receiver: Receiver) -> Generator[_Event, None, bool]:
        """Yields the records of a message.

        Returns:
            Whether all were read. Otherwise the message is left to the queue, which moves it to the dead-letter queue.
        """
        if received.fault:
            self._delivery.report_unreadable(
                f"the message {received.message.id} is left in the queue: {received.fault}"
            )
            receiver.mark_unreadable(received.message)
            return False
        is_whole = True
        for name, future in received.files:
            try:
                file = downloads.content(future)
            except AwsError as error:
                is_whole = False
                self._delivery.metrics.unreadable_files.add()
                text = f"{error}; its message is left in the queue, and is read again when it returns"
                self._reports.report(logging.ERROR, f"object {error.code}", text)
                continue
            if not (yield from self._delivery.records(file, f"s3://{name.bucket}/{name.key}")):
                is_whole = False
                # A log file does not change, so its message need not be read again when it returns.
                receiver.mark_unreadable(received.message)
        return is_whole
