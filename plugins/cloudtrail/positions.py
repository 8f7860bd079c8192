"""The position in a bucket: which log files Falco has consumed."""

from __future__ import annotations

from msgspec import Struct, field

from .intervals import Interval, minutes_before
from .trails import LogName, Trail

LATE_MINUTES = 15
"""Minutes by which a log file may appear later than others with a later name."""


class TrailPosition(Struct):
    """The position in a trail."""

    minute: str = ""
    """The latest minute of the log files that were delivered."""
    names: set[str] = field(default_factory=set)
    """The log files of the last `LATE_MINUTES` that were delivered, as minute and id with ``_`` between them. Others of
    this time may still appear."""
    key: str = ""
    """The last key, in a trail without an order of times."""


class Position(Struct):
    """The position in a bucket. It is saved across restarts.

    Attributes:
        setting: the value of ``s3Interval``. Another value begins again.
        interval: of the first start, so that a duration does not begin later after a restart.
        trails: the positions by the prefixes of trails.
    """

    setting: str
    interval: Interval
    trails: dict[str, TrailPosition] = field(default_factory=dict)

    def key_before(self, trail: Trail, start: str) -> str:
        """Returns the key after which the listing of a trail begins, or an empty string.

        Args:
            trail: the trail.
            start: the first minute of the interval; empty without one.
        """
        known = self.trails.get(trail.prefix)
        if not trail.is_ordered:
            return known.key if known else ""
        minute = minutes_before(known.minute, LATE_MINUTES) if known and known.minute else ""
        return trail.key_before(max(start, minute))

    def has(self, trail: Trail, name: LogName, key: str) -> bool:
        """Returns whether a log file was delivered."""
        known = self.trails.get(trail.prefix)
        if known is None:
            return False
        return f"{name.minute}_{name.id}" in known.names if trail.is_ordered else key <= known.key

    def add(self, trail: Trail, name: LogName, key: str) -> None:
        """Adds a log file that was delivered."""
        known = self.trails.setdefault(trail.prefix, TrailPosition())
        if not trail.is_ordered:
            known.key = key
            return
        if name.minute > known.minute:
            known.minute = name.minute
            first = minutes_before(name.minute, LATE_MINUTES)
            known.names = {other for other in known.names if other >= first}
        known.names.add(f"{name.minute}_{name.id}")
