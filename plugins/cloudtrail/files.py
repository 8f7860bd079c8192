"""Reads log files of CloudTrail in a folder."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

from falco_plugin import EOF, Context, source

from .metrics import DeliveryMetrics
from .records import RecordsError, read_records

_SUFFIXES = (".json", ".json.gz")


def find_log_files(path: str) -> list[str]:
    """Returns the file, or the log files in the folder and below it: a folder's entries in the order of their names.

    Raises:
        OSError: the path or a folder below it cannot be read.
        ValueError: there are no log files.
    """
    if not os.path.isdir(path):
        try:
            # Fail when the source is opened, not later.
            open(path, "rb").close()
        except OSError as error:
            raise OSError(
                f"open_params: {path} cannot be read: {error.strerror}: set it to a log file or a folder"
            ) from None
        return [path]
    files = list(_walk(path))
    if not files:
        raise ValueError(f"open_params: {path} has no files .json or .json.gz: set it to a folder of log files")
    return files


def _walk(folder: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path)
        elif entry.name.endswith(_SUFFIXES):
            yield entry.path


class Files(source.BaseInstance):
    """Delivers the records of files, one file after the other.

    The host's thread reads them: a thread for it would wait for the GIL each time that a field is extracted.

    Args:
        path: a file, or a folder. In a folder, a file that cannot be read is logged, and does not end the source.
        event_size: bytes of the largest record.
        context: the parent of the instance's context.
        metrics: the plugin.
        log: of the plugin.

    Raises:
        OSError: the path or a folder below it cannot be read.
        ValueError: the folder has no log files.
    """

    def __init__(
        self, path: str, event_size: int, context: Context, metrics: DeliveryMetrics, log: logging.Logger
    ) -> None:
        super().__init__(context=context, event_size=event_size)
        self._paths = find_log_files(path)
        self._is_folder = os.path.isdir(path)
        self._metrics = metrics
        self._log = log
        self._begun = 0
        self._records = self._read_all()

    def next_batch(self, batch: source.EventBatch, /) -> int:
        """Appends records until the batch is full.

        Raises:
            EOF: all files were read.
            OSError: the only file cannot be read.
            RecordsError: the only file is not a log file of CloudTrail, or is damaged.
        """
        if not (appended := batch.extend(self._records)):
            raise EOF
        self._metrics.records.add(appended)
        return appended

    def progress(self) -> tuple[float, str]:
        """Returns how many of the files were begun."""
        count = len(self._paths)
        return self._begun / count, f"{self._begun} of {count} files"

    def _read_all(self) -> Iterator[tuple[bytes, int]]:
        for path in self._paths:
            self._begun += 1
            try:
                with open(path, "rb", buffering=0) as file:
                    content = file.read()
                self._metrics.bytes_read.add(len(content))
                yield from read_records(content, path, self.events.event_size)
            except (OSError, RecordsError) as error:
                self._metrics.unreadable_files.add()
                if not self._is_folder:
                    raise
                self._log.error("%s", error if isinstance(error, RecordsError) else f"{path}: {error.strerror}")
            else:
                self._metrics.files.add()
