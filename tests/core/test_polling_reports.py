"""Tests that repeated reports are counted, and logged once a minute."""

from __future__ import annotations

import logging

import pytest
from support.polled_api import ListHandler

from falco_plugin.polling.reports import Reports


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def reports(lines: list[str], clock: Clock) -> Reports:
    log = logging.Logger("test")
    log.addHandler(ListHandler(lines))
    return Reports(log, clock)


def test_reports_log_the_first_of_each_kind_in_a_minute(reports: Reports, lines: list[str], clock: Clock) -> None:
    for second in range(121):
        clock.now = float(second)
        reports.report(logging.ERROR, "a", f"a {second}")
        if second in {0, 30}:
            reports.report(logging.INFO, "b", f"b {second}")
    assert lines == [
        "a 0",
        "b 0",
        "a 60; 59 more since the last report",
        "a 120; 59 more since the last report",
    ]


def test_reports_log_what_is_pending_after_a_minute(reports: Reports, lines: list[str], clock: Clock) -> None:
    for number in range(4):
        reports.report(logging.ERROR, "a", f"a {number}")
    reports.report_pending()
    assert lines == ["a 0"]
    clock.now = 60.0
    reports.report_pending()
    reports.report_pending()
    assert lines == ["a 0", "a 3; 2 more since the last report"]


def test_reports_log_what_is_pending_at_the_end(reports: Reports, lines: list[str]) -> None:
    for number in range(4):
        reports.report(logging.ERROR, "a", f"a {number}")
    reports.report_pending(always=True)
    reports.report_pending(always=True)
    assert lines == ["a 0", "a 3; 2 more since the last report"]


def test_reports_always_log_what_must_not_be_omitted(reports: Reports, lines: list[str]) -> None:
    for number in range(3):
        reports.report(logging.ERROR, "a", f"a {number}", always=number == 2)
    assert lines == ["a 0", "a 2; 1 more since the last report"]
