"""Measures the share of the processors' time that other processes take, from /proc/stat."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from typing import NamedTuple

_QUIET = 0.1
"""The share of other processes at which a machine counts as quiet: some activity never stops."""
_INTERVAL = 0.05
"""Seconds between two readings. The kernel counts in hundredths of a second."""


class Moment(NamedTuple):
    """Processor time since the machine started, in seconds, summed over all processors."""

    busy: float
    idle: float
    own: float
    """The part of `busy` that belongs to this process and to those of its children that have ended."""

    @classmethod
    def now(cls) -> Moment:
        with Path("/proc/stat").open() as file:
            ticks = [int(number) for number in file.readline().split()[1:9]]
        second = os.sysconf("SC_CLK_TCK")
        # `stolen` is the time that the hypervisor gave to other virtual machines.
        user, nice, system, idle, waiting, interrupts, soft, stolen = (count / second for count in ticks)
        usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        own = sum(usage.ru_utime + usage.ru_stime for usage in usages)
        return cls(user + nice + system + interrupts + soft + stolen, idle + waiting, own)

    def others_since(self, before: Moment) -> float:
        """Returns the share of the processors' time, 0 to 1, that other processes have taken since `before`."""
        busy, idle, own = (now - then for now, then in zip(self, before, strict=True))
        return max(busy - own, 0) / (busy + idle) if busy + idle > 0 else 0


def wait_for_quiet(most: float) -> float:
    """Waits until the machine is quiet, for at most `most` seconds.

    Returns:
        The seconds that it has waited.
    """
    start = time.monotonic()
    while time.monotonic() - start < most:
        before = Moment.now()
        time.sleep(_INTERVAL)
        if Moment.now().others_since(before) <= _QUIET:
            break
    return time.monotonic() - start
