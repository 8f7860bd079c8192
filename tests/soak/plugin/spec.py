"""The specification of a source, which the host passes as open parameters."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from .plan import event


class RequestedError(Exception):
    """An exception that the host has requested and expects."""

    def __init__(self) -> None:
        super().__init__("requested failure")


@dataclass
class SourceSpec:
    """The open parameters. Each producer delivers `count` events. Then the source ends, or raises if `fails` is set."""

    kind: str
    key: int
    count: int
    producers: int
    fails: bool
    open_fails: bool
    """Whether `open` raises an exception."""
    longest_pause: int
    """The longest pause, in microseconds. On average, one in 16 events is preceded by a pause."""
    path: str

    @classmethod
    def parse(cls, params: str) -> SourceSpec:
        return cls(**json.loads(params))

    @cached_property
    def dice(self) -> random.Random:
        """The pseudo-random numbers of the source, which are equal in all runs with the same seed."""
        return random.Random(self.key)

    def events(self, producer: int = 0, first: int = 0) -> Iterator[bytes]:
        """Yields the events of a producer, and pauses before some of them."""
        for number in range(first, self.count):
            if self.dice.random() < 1 / 16:
                time.sleep(self.pause())
            yield event(self.key, producer, number)

    def pause(self) -> float:
        return self.dice.random() * self.longest_pause / 1e6

    def batches(self, producer: int = 0) -> Iterator[list[bytes]]:
        events = self.events(producer)
        while batch := list(itertools.islice(events, self.dice.randint(1, 200))):
            yield batch

    def end(self) -> None:
        """Raises the requested exception, if any. Sources call this after their last event."""
        if self.fails:
            raise RequestedError


class Countdown:
    """Counts the producers that have finished, so that the last one can end the source."""

    def __init__(self, count: int) -> None:
        self._remaining = count
        self._lock = threading.Lock()

    def is_last(self) -> bool:
        with self._lock:
            self._remaining -= 1
            return self._remaining == 0
