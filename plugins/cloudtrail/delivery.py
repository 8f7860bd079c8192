"""The records of downloaded log files as events, with metrics."""

from __future__ import annotations

import logging
from collections.abc import Generator
from datetime import UTC, datetime

from .downloads import Downloaded
from .metrics import DeliveryMetrics
from .records import RecordsError, read_records


class Delivery:
    """Yields the records of log files, and counts them.

    Args:
        event_size: bytes of the largest record.
        metrics: the plugin.
        log: of the plugin.
    """

    def __init__(self, event_size: int, metrics: DeliveryMetrics, log: logging.Logger) -> None:
        self._event_size = event_size
        self._log = log
        self.metrics = metrics

    def records(self, file: Downloaded, name: str) -> Generator[tuple[bytes, int], None, bool]:
        """Yields the records of a log file. A file that cannot be read to its end is reported.

        Returns:
            Whether the whole file was read.
        """
        count = 0
        try:
            for record in read_records(file.data, name, self._event_size):
                count += 1
                yield record
        except RecordsError as error:
            self.report_unreadable(str(error))
            return False
        else:
            self.metrics.files.add()
            return True
        finally:
            self.metrics.records.add(count)
            self.metrics.bytes_read.add(len(file.data))
            age = (datetime.now(UTC) - file.modified).total_seconds()
            self.metrics.lag.set(max(round(age), 0))

    def report_unreadable(self, text: str) -> None:
        """Logs and counts a log file that cannot be read."""
        self.metrics.unreadable_files.add()
        self._log.error("%s", text)
