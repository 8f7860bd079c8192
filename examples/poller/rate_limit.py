"""How long an API asks to wait."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

SHORTEST, LONGEST = 1.0, 3600.0
"""Seconds. The windows of the APIs are an hour at most; what asks for more is tried after this one."""

_UNKNOWN = 60.0
_RESETS = "X-RateLimit-Reset", "X-Rate-Limit-Reset"


def seconds_to_wait(status: int, headers: Mapping[str, str]) -> float | None:
    """Returns how long to wait, or ``None`` where the answer has nothing to do with a limit.

    Args:
        status: of the answer.
        headers: of the answer, by names in any case.
    """
    if status not in {403, 429, 503}:
        return None
    now = _date(headers.get("Date")) or time.time()
    wait = _retry_after(headers.get("Retry-After"), now)
    is_used_up = headers.get("X-RateLimit-Remaining") == "0" or headers.get("X-Rate-Limit-Remaining") == "0"
    if wait is None and (status == 429 or (status == 403 and is_used_up)):
        # By the clock of the API, since the one here may be wrong.
        resets = [reset - now for name in _RESETS if (reset := _number(headers.get(name))) is not None]
        wait = max(resets, default=_UNKNOWN)
    return None if wait is None else min(max(wait, SHORTEST), LONGEST)


def _retry_after(value: str | None, now: float) -> float | None:
    seconds = _number(value)
    if seconds is not None:
        return seconds
    date = _date(value)
    return None if date is None else date - now


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _date(value: str | None) -> float | None:
    try:
        date = parsedate_to_datetime(value or "")
    except ValueError:
        return None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


def describe(seconds: float) -> str:
    """When this wait ends."""
    end = datetime.fromtimestamp(time.time() + seconds, UTC)
    return f"{seconds:.0f} s, until {end:%H:%M:%S} UTC"
