"""The interval of the log files to read, in the forms of ``s3Interval``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

_END = re.compile(r"(?P<start>.*?)\s*-\s*(?P<end>\d+[wdhms]|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)")
_DURATION = re.compile(r"(\d+)([wdhms])")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_MINUTE = "%Y%m%dT%H%M"
"""The form of minutes for ``strptime``. ``strftime`` would write the year 999 with three digits."""
_FORMS = "write a duration such as 5d, a time such as 2026-01-31T18:00:00Z, or a range such as 5d-2d"


class Interval(NamedTuple):
    """The minutes in the names of log files, as ``20260131T1800``. Both ends belong to the interval."""

    start: str = ""
    """The first minute; empty without a limit."""
    end: str = ""
    """The last minute; empty without a limit."""

    def contains(self, minute: str) -> bool:
        """Returns whether a minute is in the interval."""
        return self.start <= minute and (not self.end or minute <= self.end)


def parse_interval(text: str, now: datetime | None = None) -> Interval:
    """Reads the setting ``s3Interval``.

    Args:
        text: a start, or a start and an end separated by ``-``. Each is a time in UTC, or a duration before now: an
            integer with ``w``, ``d``, ``h``, ``m`` or ``s``. An empty string is an interval without limits.
        now: the current time; read from the clock without it.

    Raises:
        ValueError: the text has another form, or the end is before the start.
    """
    if not text:
        return Interval()
    now = now or datetime.now(UTC)
    found = _END.fullmatch(text)
    start, end = (found["start"], found["end"]) if found else (text, "")
    interval = Interval(_minute(start, text, now), _minute(end, text, now) if end else "")
    if interval.end and interval.end < interval.start:
        raise ValueError(f"s3Interval {text!r}: the end is before the start: exchange them")
    return interval


def minute_of(time: datetime) -> str:
    """Returns a time as the names of log files have it."""
    time = time.astimezone(UTC)
    return f"{time.year:04}{time:%m%dT%H%M}"


def minutes_before(minute: str, count: int) -> str:
    """Returns the minute that is ``count`` minutes earlier."""
    return minute_of(datetime.strptime(minute, _MINUTE).replace(tzinfo=UTC) - timedelta(minutes=count))


def _minute(point: str, text: str, now: datetime) -> str:
    try:
        if duration := _DURATION.fullmatch(point):
            return minute_of(now - timedelta(**{_UNITS[duration[2]]: int(duration[1])}))
        if _TIME.fullmatch(point):
            return minute_of(datetime.fromisoformat(point))
    except (ValueError, OverflowError):
        raise ValueError(f"s3Interval {text!r}: {point!r} is not a time since the year 1: correct it") from None
    raise ValueError(f"s3Interval {text!r}: {point!r} is neither a duration nor a time: {_FORMS}")
