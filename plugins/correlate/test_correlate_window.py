"""Tests the windows that rules write."""

from __future__ import annotations

import pytest
from plugins.correlate import window

VALID = {"1s": 1, "30s": 30, "5m": 300, "2h": 7200, "7d": 604_800}
INVALID = ("", "5", "m", "0m", "-5m", "5 m", "5M", "5.5m", "05m", "5m5s", "\u0665m", "9999999999s")


@pytest.mark.parametrize(("text", "seconds"), VALID.items())
def test_window_has_nanoseconds(text: str, seconds: int) -> None:
    assert window.parse(text, 604_800) == seconds * 10**9


@pytest.mark.parametrize("text", INVALID)
def test_other_text_is_refused_with_form(text: str) -> None:
    with pytest.raises(ValueError, match="must be a number and one of s, m, h and d, such as 5m"):
        window.parse(text, 604_800)


def test_window_longer_than_longest_names_setting() -> None:
    with pytest.raises(ValueError, match="is longer than max_window, 3600 s: set max_window to at least 7200"):
        window.parse("2h", 3600)
