"""What the host wishes of a source, and how far the source has come."""

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


class Meant(Exception):
    """An exception that the host expects."""

    def __init__(self) -> None:
        super().__init__("meant to fail")


@dataclass
class Wish:
    """The open parameters: a source of `count` events of each producer, and then its end, or an exception."""

    kind: str
    key: int
    count: int
    producers: int
    fails: bool
    refused: bool
    """Whether `open` itself raises."""
    pace: int
    """Microseconds that a pause takes at most; there is one in 16 events."""
    path: str

    @classmethod
    def read(cls, params: str) -> Wish:
        return cls(**json.loads(params))

    @cached_property
    def dice(self) -> random.Random:
        """The source's chance: the same in every run of the same plan."""
        return random.Random(self.key)

    def events(self, producer: int = 0, first: int = 0) -> Iterator[bytes]:
        """What a producer has to send, with its pauses."""
        for number in range(first, self.count):
            if self.dice.random() < 1 / 16:
                time.sleep(self.pause())
            yield event(self.key, producer, number)

    def pause(self) -> float:
        return self.dice.random() * self.pace / 1e6

    def batches(self, producer: int = 0) -> Iterator[list[bytes]]:
        events = self.events(producer)
        while batch := list(itertools.islice(events, self.dice.randint(1, 200))):
            yield batch

    def end(self) -> None:
        """Called behind the last event."""
        if self.fails:
            raise Meant


class Countdown:
    """Tells the last of several producers that it is the last."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._lock = threading.Lock()

    def is_last(self) -> bool:
        with self._lock:
            self._left -= 1
            return self._left == 0
