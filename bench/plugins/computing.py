"""Computes in Python for a while, and reports when."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from falco_plugin import Plugin


class Computing(Plugin):
    """A source that computes"""

    name = "computing"
    id = 1_734_560_092
    event_source = "computing"

    def open(self, params: str) -> Iterator[bytes]:
        """Computes `params` rounds. Each event has the times of a round in seconds of the monotonic clock."""
        for _ in range(int(params)):
            begin = time.monotonic()
            total = 0
            for number in range(2_000_000):
                total += number * number % 7
            yield json.dumps({"begin": begin, "end": time.monotonic(), "total": total}).encode()
