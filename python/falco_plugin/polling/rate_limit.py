"""Decides how long to wait before the next request, so that the API's rate limit is not reached."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus

from falco_plugin.polling.limit_headers import Budget, api_time, budgets, retry_after

SHORTEST, LONGEST = 1.0, 3600.0
"""Bounds of a wait in seconds. Most APIs have windows of at most an hour, so a request is tried after an hour."""

_UNKNOWN = 60.0
"""Seconds to wait if the API does not report how long."""

_MOST_DOUBLINGS = 12

_NAMES_LIMIT = re.compile(rb"rate[ _-]?limit|too many requests|throttl|abuse detection|quota", re.IGNORECASE)
_NAMES_PERMISSION = re.compile(
    rb"permission|not accessible|not allowed|not authori[sz]ed|admin|scope|allow list|saml", re.IGNORECASE
)


class RateLimit:
    """The rate limit of one API.

    Args:
        share: of the limit that is used; the rest is left to other clients. More than 0, up to 1.
        now: returns the time in seconds since the epoch. It is used if an answer has no ``Date``.
    """

    def __init__(self, share: float, now: Callable[[], float] = time.time) -> None:
        self._share = share
        self._now = now
        self._refusals = 0

    def after_success(self, headers: Mapping[str, str]) -> float:
        """Returns the seconds to wait after an answer with a page, by its headers. 0 without a limit."""
        self._refusals = 0
        now = api_time(headers, self._now())
        return max((self._pause(budget) for budget in budgets(headers, now)), default=0.0)

    def after_refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> float | None:
        """Returns the seconds to wait after an answer without a page, or ``None`` if a limit is not the cause.

        The wait doubles with each refusal in a row.

        Args:
            status: of the answer.
            headers: of the answer, by names in any case.
            body: the beginning of the answer's body. It is checked if the status is 403.
        """
        now = api_time(headers, self._now())
        requested = retry_after(headers, now)
        found = budgets(headers, now)
        if not _is_limit(status, requested, found, body):
            return None
        if requested is None:
            # A budget that is not used up did not cause the refusal.
            resets = [budget.reset for budget in found if budget.reset is not None and _is_used_up(budget) is not False]
            requested = max(resets, default=_UNKNOWN)
        wait = max(requested, SHORTEST) * 2.0 ** min(self._refusals, _MOST_DOUBLINGS)
        self._refusals += 1
        return min(wait, LONGEST)

    def _pause(self, budget: Budget) -> float:
        """Spreads the requests that are left for this client evenly over the time until the reset."""
        if budget.remaining is None:
            return 0.0
        if budget.limit is None or budget.limit < budget.remaining:
            own = budget.remaining * self._share
        else:
            own = budget.remaining - budget.limit * (1 - self._share)
        if own >= 1:
            return min(max(budget.reset or 0.0, 0.0), LONGEST) / own
        return min(max(_UNKNOWN if budget.reset is None else budget.reset, SHORTEST), LONGEST)


def _is_used_up(budget: Budget) -> bool | None:
    return None if budget.remaining is None else budget.remaining < 1


def _is_limit(status: int, requested: float | None, found: list[Budget], body: bytes) -> bool:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return True
    if status >= 500:
        return requested is not None
    if status != HTTPStatus.FORBIDDEN:
        return False
    if requested is not None or any(map(_is_used_up, found)) or _NAMES_LIMIT.search(body):
        return True
    # GitHub sends its rate headers with each answer, with those to a token without permission too.
    return bool(found) and not _NAMES_PERMISSION.search(body)


def describe(seconds: float) -> str:
    """Returns the length of a wait and its end, such as "60 s, until 07:29:00 UTC"."""
    end = datetime.fromtimestamp(time.time() + seconds, UTC)
    return f"{seconds:.0f} s, until {end:%H:%M:%S} UTC"
