"""What else the machine does: the share of its processors' time that others take, from /proc/stat."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from typing import NamedTuple

_QUIET = 0.1
"""What is always going on."""
_LOOK = 0.05
"""Seconds: the kernel counts in hundredths."""


class Moment(NamedTuple):
    """Seconds since the machine started, of all processors together."""

    busy: float
    idle: float
    own: float
    """Those of `busy` that are this process's and its children's, once these have ended."""

    @classmethod
    def now(cls) -> Moment:
        with Path("/proc/stat").open() as file:
            ticks = [int(number) for number in file.readline().split()[1:9]]
        second = os.sysconf("SC_CLK_TCK")
        # Among them is what a hypervisor gave to other machines.
        user, nice, system, idle, waiting, interrupts, soft, stolen = (count / second for count in ticks)
        usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        own = sum(usage.ru_utime + usage.ru_stime for usage in usages)
        return cls(user + nice + system + interrupts + soft + stolen, idle + waiting, own)

    def others_since(self, before: Moment) -> float:
        """The share of the processors' time that others than this process and its children have taken."""
        busy, idle, own = (now - then for now, then in zip(self, before, strict=True))
        return max(busy - own, 0) / (busy + idle) if busy + idle > 0 else 0


def wait_for_quiet(most: float) -> float:
    """Waits until others leave the processors alone, or for so many seconds.

    Returns:
        How many seconds it has waited.
    """
    start = time.monotonic()
    while time.monotonic() - start < most:
        before = Moment.now()
        time.sleep(_LOOK)
        if Moment.now().others_since(before) <= _QUIET:
            break
    return time.monotonic() - start
