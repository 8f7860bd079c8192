"""A window: a span of time before an event, as rules write it."""

from __future__ import annotations

import re

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600}
_FORM = re.compile(r"([1-9][0-9]{0,8})([smhd])")


def parse(text: str, longest: int) -> int:
    """Returns the nanoseconds of a window such as ``5m``.

    Args:
        text: a number with the unit ``s``, ``m``, ``h`` or ``d``.
        longest: the seconds of the longest window.

    Raises:
        ValueError: the text has another form, or the window is longer than the longest one.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError(f"the window {text!r} must be a number and one of s, m, h and d, such as 5m")
    seconds = int(match[1]) * SECONDS[match[2]]
    if seconds > longest:
        raise ValueError(
            f"the window {text} is longer than max_window, {longest} s: set max_window to at least {seconds}"
        )
    return seconds * 1_000_000_000
