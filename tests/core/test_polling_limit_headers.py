"""Tests that rate-limit headers are read in all their forms, and never raise."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from falco_plugin.polling.limit_headers import Budget, budgets, retry_after
from falco_plugin.polling.rate_limit import LONGEST, SHORTEST, RateLimit

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, []),
        ({"X-RateLimit-Limit": "60"}, []),
        ({"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "5"}, [Budget(60, 5, None)]),
        ({"X-Rate-Limit-Reset": "30"}, [Budget(None, None, 30)]),
        ({"X-RateLimit-Reset": "1800000030"}, [Budget(None, None, 30)]),
        ({"X-RateLimit-Reset": "1800000030.5"}, [Budget(None, None, 30.5)]),
        ({"X-RateLimit-Reset": "1800000030000"}, [Budget(None, None, 30)]),
        ({"X-RateLimit-Reset": "1800000030000000"}, [Budget(None, None, 30)]),
        ({"X-RateLimit-Reset": "1800000030000000000"}, [Budget(None, None, 30)]),
        ({"X-RateLimit-Reset": "86400"}, [Budget(None, None, 86400)]),
        ({"X-RateLimit-Reset": "90000"}, [Budget(None, None, 90)]),
        ({"X-RateLimit-Reset": "Fri, 15 Jan 2027 08:00:30 GMT"}, [Budget(None, None, 30)]),
        ({"X-RateLimit-Reset": "2027-01-15T09:00:30+01:00"}, [Budget(None, None, 30)]),
        ({"X-RateLimit-Remaining": "5, 5", "X-RateLimit-Limit": " 60 , 60"}, [Budget(60, 5, None)]),
        ({"X-RateLimit-Remaining": "-1", "X-RateLimit-Limit": "-1"}, []),
        ({"X-RateLimit-Remaining": "1_0", "X-RateLimit-Limit": "1e3"}, []),
        ({"RateLimit": "limit=10, remaining=4, reset=9"}, [Budget(10, 4, 9)]),
        ({"RateLimit": '"a";r=4;t=9'}, [Budget(None, 4, 9)]),
        (
            {"RateLimit": 'a; r=4; t=9 , "b";r=1', "RateLimit-Policy": "a;q=7, b;w=5"},
            [Budget(7, 4, 9), Budget(None, 1, 5)],
        ),
        ({"RateLimit": r'"a\",;b";r=4;t=9', "RateLimit-Policy": r'"a\",;b";q=7'}, [Budget(7, 4, 9)]),
        ({"RateLimit": '"a";r=4;t=9,,;;,=,"b";r;t="', "RateLimit-Policy": '"'}, [Budget(None, 4, 9)]),
        ({"RateLimit": '"a";r=4', "RateLimit-Policy": '"a";q=7;qu="content-bytes"'}, []),
    ],
)
def test_budgets_are_read_from_each_form_of_the_headers(headers: dict[str, str], expected: list[Budget]) -> None:
    assert budgets(headers, NOW) == expected


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("5", 5),
        ("1000000", 1_000_000),
        ("1800000007", 7),
        ("Fri, 15 Jan 2027 08:00:30 GMT", 30),
        ("Fri, 15 Jan 2027 07:59:30 GMT", -30),
        ("a minute", None),
        ("-5", None),
        ("", None),
    ],
)
def test_retry_after_is_read_in_seconds_and_as_a_date(value: str, seconds: float | None) -> None:
    assert retry_after({"Retry-After": value}, NOW) == seconds


NAMES = [
    "Date",
    "Retry-After",
    *(
        f"{prefix}{end}"
        for prefix in ("X-RateLimit-", "X-Rate-Limit-", "RateLimit-")
        for end in ("Limit", "Remaining", "Reset")
    ),
    "RateLimit",
    "RateLimit-Policy",
]
VALUES = st.one_of(
    st.text(max_size=30),
    st.integers(-10, 10**25).map(str),
    st.text('"\\,;=rtqw0123456789 ', max_size=40),
    st.sampled_from(["0", "1", "59", "60", "0 0 0 0 0", "Fri, 15 Jan 2027 08:00:30 GMT", "nan", "1e999"]),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(st.sampled_from(NAMES), VALUES),
    st.sampled_from([200, 401, 403, 429, 500, 503]),
    st.floats(0, 1, exclude_min=True),
    st.binary(max_size=30),
)
def test_wait_is_bounded_whatever_the_headers_are(
    headers: dict[str, str], status: int, share: float, body: bytes
) -> None:
    limit = RateLimit(share, lambda: NOW)
    assert 0 <= limit.after_success(headers) <= LONGEST
    for _ in range(3):
        wait = limit.after_refusal(status, headers, body)
        assert wait is None or SHORTEST <= wait <= LONGEST
        assert wait is None or math.isfinite(wait)
