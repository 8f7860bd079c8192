"""Downloads objects of S3 at the same time, while the caller consumes them in order."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import datetime
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from falco_plugin import Context

from .client import Aws, ClosedError
from .problems import AwsError, Kind

_T = TypeVar("_T")

LARGEST_OBJECT = 256 << 20
"""Bytes of the largest object. Files of CloudTrail have some megabytes at most."""
_SLOT_SECONDS = 0.5
"""Seconds between two checks whether the source is closed, while the memory is full."""
_CHUNK = 256 << 10
"""Bytes that are read between two checks whether the source is closed."""


class Downloaded(NamedTuple):
    """The content of an object."""

    data: bytes
    modified: datetime
    """The time at which the object was written."""


class Downloads:
    """A pool of threads for requests. Use it as a context manager: leaving it abandons the pending requests.

    Args:
        aws: makes the requests.
        context: of the source. Its cancellation ends all requests and waits.
        concurrency: number of requests at the same time. Twice as many objects are in memory at most.
    """

    def __init__(self, aws: Aws, context: Context, concurrency: int) -> None:
        self._aws = aws
        self._context = context
        self._pool = ThreadPoolExecutor(concurrency, "cloudtrail-download")
        # The caller takes the contents in the order in which the downloads began, so the next one always has a slot.
        self._slots = threading.Semaphore(2 * concurrency)
        self._closed: Future[None] = Future()
        context.on_cancel(lambda: self._closed.set_result(None))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def start(self, bucket: str, key: str) -> Future[Downloaded]:
        """Begins to download an object. Call `content` for each one, in the same order."""
        return self._pool.submit(self._download, bucket, key)

    def content(self, future: Future[Downloaded]) -> Downloaded:
        """Waits for a download, and returns its result.

        Raises:
            AwsError: the object cannot be read.
            ClosedError: the source was closed.
        """
        try:
            return self.result(future)
        finally:
            self._slots.release()

    def submit(self, function: Callable[[], _T]) -> Future[_T]:
        """Calls a function on a thread of the pool."""
        return self._pool.submit(function)

    def result(self, future: Future[_T]) -> _T:
        """Waits for the result of a future, and returns it.

        Raises:
            AwsError: the request failed.
            ClosedError: the source was closed.
        """
        either: list[Future[Any]] = [future, self._closed]
        wait(either, return_when=FIRST_COMPLETED)
        if self._context.cancelled:
            raise ClosedError
        return future.result()

    def _download(self, bucket: str, key: str) -> Downloaded:
        action = f"read s3://{bucket}/{key}"
        while not self._slots.acquire(timeout=_SLOT_SECONDS):
            if self._context.cancelled:
                raise ClosedError

        def read(client: Any) -> Downloaded:
            answer = client.get_object(Bucket=bucket, Key=key)
            body = answer["Body"]
            try:
                if answer["ContentLength"] > LARGEST_OBJECT:
                    raise AwsError(
                        f"cannot {action}: it is larger than {LARGEST_OBJECT} bytes", Kind.OBJECT, "TooLarge"
                    )
                chunks: list[bytes] = []
                while chunk := body.read(_CHUNK):
                    chunks.append(chunk)
                    if self._context.cancelled:
                        raise ClosedError
                return Downloaded(b"".join(chunks), answer["LastModified"])
            finally:
                body.close()

        return self._aws.persist(self._context, "s3", action, read)
