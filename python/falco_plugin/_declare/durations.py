"""Durations in declarations."""

from __future__ import annotations

import math
from datetime import timedelta


def seconds_of(name: str, value: object) -> float:
    """Returns a duration in seconds, which is more than 0.

    Args:
        name: the name of the option, for errors.
        value: a number of seconds, or a ``timedelta``.

    Raises:
        TypeError: the value is neither a number nor a ``timedelta``.
        ValueError: the duration is not more than 0 seconds, or not a number.
    """
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    else:
        raise TypeError(f"{name} must be a number of seconds or a timedelta, got {type(value).__name__}")
    if math.isnan(seconds) or seconds <= 0:
        raise ValueError(f"{name} must be more than 0 seconds, got {value}")
    return seconds
