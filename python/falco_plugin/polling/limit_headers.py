"""Reads rate-limit headers: ``Retry-After``, ``X-RateLimit-*``, ``X-Rate-Limit-*`` and those of the IETF draft.

The IETF draft "RateLimit header fields for HTTP" has had two forms. The older one has ``RateLimit-Limit``,
``RateLimit-Remaining`` and ``RateLimit-Reset``. The newer one has ``RateLimit`` and ``RateLimit-Policy``, which are
structured fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

_PREFIXES = "X-RateLimit-", "X-Rate-Limit-", "RateLimit-"
_NUMBER = re.compile(r"[0-9]{1,20}(?:\.[0-9]{0,20})?")
# A quoted string, whose closing quote may be missing, or a run of other characters, or a separator.
_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"?|[^",;]+|[,;]')

_EPOCH = 1_000_000_000
"""The smallest number of seconds that is read as a time since the epoch (2001)."""
_DAY = 86_400


class Budget(NamedTuple):
    """The part of one limit that is still available. A value that the API does not report is ``None``."""

    limit: float | None
    """Requests in a window."""
    remaining: float | None
    """Requests that the API still accepts in this window."""
    reset: float | None
    """Seconds until the window ends; 0 or less if it has ended."""


def api_time(headers: Mapping[str, str], default: float) -> float:
    """Returns the API's time in seconds since the epoch, or ``default`` if the answer has no valid ``Date``.

    Times in headers are compared with the API's own clock because the clock of this machine may be wrong.
    """
    date = _date(headers.get("Date"))
    return default if date is None else date


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Returns the seconds that ``Retry-After`` asks for, or ``None`` if it is missing or cannot be read."""
    value = headers.get("Retry-After")
    number = _number(value)
    if number is None:
        date = _date(value)
        return None if date is None else date - now
    return number if number < _EPOCH else _epoch_seconds(number) - now


def budgets(headers: Mapping[str, str], now: float) -> list[Budget]:
    """Returns the budgets whose remaining requests or reset the headers report.

    Args:
        headers: of an answer, by names in any case.
        now: the API's time, as :func:`api_time` returns it.
    """
    found = [_read_three_headers(prefix, headers, now) for prefix in _PREFIXES]
    found += _read_structured_fields(headers, now)
    return [budget for budget in found if budget.remaining is not None or budget.reset is not None]


def _read_three_headers(prefix: str, headers: Mapping[str, str], now: float) -> Budget:
    return Budget(
        _number(_first(headers.get(f"{prefix}Limit"))),
        _number(_first(headers.get(f"{prefix}Remaining"))),
        _reset(headers.get(f"{prefix}Reset"), now),
    )


def _read_structured_fields(headers: Mapping[str, str], now: float) -> Iterator[Budget]:
    policies = dict(_items(headers.get("RateLimit-Policy", "")))
    dictionary: dict[str, str] = {}
    for name, parameters in _items(headers.get("RateLimit", "")):
        key, is_dictionary, value = name.partition("=")
        if is_dictionary:
            # Draft 07: "limit=100, remaining=50, reset=5".
            dictionary[key.strip()] = value.strip()
            continue
        policy = policies.get(name, {})
        # Other units are bytes of content, or requests at the same time.
        if policy.get("qu", "requests") == "requests":
            reset = parameters.get("t", policy.get("w"))
            yield Budget(_number(policy.get("q")), _number(parameters.get("r")), _reset(reset, now))
    yield Budget(
        _number(dictionary.get("limit")), _number(dictionary.get("remaining")), _reset(dictionary.get("reset"), now)
    )


def _items(field: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yields the items of a list with their parameters. Faults are tolerated; they cost the item that they are in."""
    items = [[""]]
    for piece in _PIECE.findall(field):
        if piece == ",":
            items.append([""])
        elif piece == ";":
            items[-1].append("")
        else:
            items[-1][-1] += piece
    for name, *parameters in items:
        pairs = (parameter.partition("=") for parameter in parameters)
        yield _unquote(name), {key.strip(): _unquote(value) for key, _, value in pairs}


def _unquote(text: str) -> str:
    return text.strip().strip('"')


def _first(value: str | None) -> str | None:
    """Returns the first item of a list: a header that was sent twice, or a limit with its policies."""
    return None if value is None else re.split("[,;]", value, maxsplit=1)[0]


def _number(value: str | None) -> float | None:
    # Negative numbers, which some APIs send for "unlimited", are not read.
    return float(value) if value is not None and _NUMBER.fullmatch(value := value.strip()) else None


def _reset(value: str | None, now: float) -> float | None:
    """Returns the seconds until a reset, whose unit is recognised by its size."""
    number = _number(_first(value))
    if number is None:
        date = _date(value)
        return None if date is None else date - now
    if number >= _EPOCH:
        return _epoch_seconds(number) - now
    # No window of seconds is longer than a day.
    return number if number <= _DAY else number / 1000


def _epoch_seconds(number: float) -> float:
    """Converts seconds, milliseconds, microseconds or nanoseconds since the epoch."""
    while number >= 100 * _EPOCH:
        number /= 1000
    return number


def _date(value: str | None) -> float | None:
    """Reads an HTTP date, or a time of RFC 3339."""
    if not value:
        return None
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            date = read(value.strip())
            return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            continue
    return None
