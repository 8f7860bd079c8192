"""Converts the bytes of a JSON string, bare value or container to a field's value, in plain Python."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from datetime import date
from typing import Any

MAX_UINT64 = 2**64 - 1
NO_TIME = MAX_UINT64
"""The plugin API uses this number for events without a time, so it is not a valid time."""
NANOS = 10**9
MAX_DIGITS_OF_INT = 4000
"""`Event.json` returns longer integers as floats, because Python refuses to parse them."""

_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_ESCAPED = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_HALF = re.compile("[\ud800-\udfff]")
_STRING_OR_SPACE = re.compile(rb'("[^"\\]*(?:\\.[^"\\]*)*")|[\x00-\x20]+', re.DOTALL)
_NUMBER = re.compile(r"([+-]?)(?:(\d+)(?:\.(\d*))?|\.(\d+))(?:[eE]([+-]?\d+))?", re.ASCII)
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt _](\d\d):(\d\d):(\d\d)(?:[.,](\d+))? ?(?:[Zz]|([+-])(\d\d)(?::?(\d\d))?)?", re.ASCII
)
_NETWORK = re.compile(r"([^/]*)(?:/([0-9]+))?")
_VERSIONS = {"ipaddr": (4, 6), "ipv4addr": (4,), "ipv6addr": (6,), "ipnet": (4, 6), "ipv4net": (4,), "ipv6net": (6,)}


# Strings


def decode_utf8(raw: bytes) -> str:
    """Decodes bytes. Each byte that is not part of a valid UTF-8 sequence becomes one U+FFFD."""
    return _HALF.sub("\ufffd", raw.decode("utf-8", "surrogateescape"))


def decode_string(raw: bytes) -> str:
    """Decodes a string without its quotes. Malformed escapes are kept; lone surrogates become U+FFFD."""

    def decode_escape(escape: re.Match[str]) -> str:
        if len(escape[1]) > 1:
            return chr(int(escape[1][1:], 16))
        return _ESCAPED.get(escape[1], escape[0])

    text = _ESCAPE.sub(decode_escape, decode_utf8(raw))
    text = _PAIR.sub(lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), text)
    return _HALF.sub("\ufffd", text)


def compact(raw: bytes) -> str:
    """Decodes a container, and removes white space outside of its strings."""
    return decode_utf8(_STRING_OR_SPACE.sub(rb"\1", raw))


# Fields


def convert(form: str, raw: bytes, kind: str) -> Any:
    """Converts a value to the type of a field; returns None if the field is absent.

    Args:
        form: the kind of value: ``string``, ``bare``, ``object`` or ``array``.
        raw: the bytes; of a string those between the quotes.
        kind: the type of the field.
    """
    if form in ("object", "array"):
        return compact(raw).replace("\0", "\ufffd") if kind == "string" else None
    text = decode_string(raw) if form == "string" else decode_utf8(raw)
    if form == "bare" and text in ("", "null"):
        return None
    match kind:
        case "string":
            return text.replace("\0", "\ufffd")
        case "uint64":
            return _whole_number(text)
        case "bool":
            return {"true": True, "false": False}.get(text)
        case "reltime":
            return _duration(text)
        case "abstime":
            return _time(text)
    if form == "bare":
        return None
    value = _network(text) if kind.endswith("net") else _address(text)
    return value if value is not None and value.version in _VERSIONS[kind] else None


@dataclass(frozen=True)
class Number:
    """A decimal number: ``0.<digits> * 10**point``, with no zeros around the digits."""

    is_negative: bool
    digits: str
    point: int

    def shifted(self, places: int) -> tuple[int, bool]:
        """Returns the whole part of the absolute number times ``10**places``, and whether a fraction remains.

        A whole part that is too large for every type is returned as ``2**64``.
        """
        point = self.point + places
        if not self.digits or point <= 0:
            return 0, bool(self.digits)
        if point > len(str(MAX_UINT64)):
            return MAX_UINT64 + 1, False
        return int(self.digits[:point].ljust(point, "0")), len(self.digits) > point


def _read_number(text: str) -> Number | None:
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    sign, whole, fraction, only_fraction, exponent = match.groups("")
    fraction += only_fraction
    digits = (whole + fraction).lstrip("0")
    zeros = len(whole + fraction) - len(digits)
    # No payload is long enough to make up for a larger exponent.
    if len(exponent.lstrip("+-0")) > 15:
        exponent = exponent[:1].strip("+0123456789") + "1" + "0" * 15
    is_negative = sign == "-" and digits != ""
    return Number(is_negative, digits.rstrip("0"), len(whole) - zeros + int(exponent or 0))


def _whole_number(text: str) -> int | None:
    number = _read_number(text)
    if number is None or number.is_negative:
        return None
    value, has_fraction = number.shifted(0)
    return None if has_fraction or value > MAX_UINT64 else value


def _scaled(number: Number, places: int) -> int | None:
    value, _ = number.shifted(places)
    return None if number.is_negative or value > MAX_UINT64 else value


def _duration(text: str) -> int | None:
    """Converts a number of seconds to nanoseconds."""
    number = _read_number(text)
    return None if number is None else _scaled(number, 9)


def _time(text: str) -> int | None:
    number = _read_number(text)
    nanos = _read_time(text) if number is None else _epoch_time(number)
    return None if nanos == NO_TIME else nanos


def _epoch_time(number: Number) -> int | None:
    """Converts a number to nanoseconds. Its size decides between seconds, milliseconds, microseconds, nanoseconds."""
    places = next((places for limit, places in [(11, 9), (14, 6), (17, 3)] if number.point <= limit), 0)
    return _scaled(number, places)


def _read_time(text: str) -> int | None:
    """Converts a date and time to nanoseconds since the epoch. Without a zone, it is UTC."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    nanos = int((match[7] or "")[:9].ljust(9, "0"))
    offset_hour, offset_minute = int(match[9] or 0), int(match[10] or 0)
    leaps = second == 60
    if leaps:
        # The nanosecond before it.
        second, nanos = 59, NANOS - 1
    if max(hour, offset_hour) > 23 or max(minute, second, offset_minute) > 59:
        return None
    try:
        days = date(year, month, day).toordinal() - date(1970, 1, 1).toordinal()
    except ValueError:
        return None
    offset = (offset_hour * 60 + offset_minute) * (-60 if match[8] == "-" else 60)
    seconds = ((days * 24 + hour) * 60 + minute) * 60 + second - offset
    total = seconds * NANOS + nanos
    if not 0 <= total <= MAX_UINT64:
        return None
    if leaps:
        # It ends the last day of a month, in UTC.
        next_day, rest = divmod(seconds + 1, 24 * 3600)
        if rest or date.fromordinal(next_day + date(1970, 1, 1).toordinal()).day != 1:
            return None
    return total


def _address(text: str) -> Any:
    try:
        return None if "%" in text else ipaddress.ip_address(text)
    except ValueError:
        return None


def _network(text: str) -> Any:
    match = _NETWORK.fullmatch(text)
    address = _address(match[1]) if match else None
    if address is None:
        return None
    try:
        return ipaddress.ip_network((address, address.max_prefixlen if match[2] is None else int(match[2])))
    except ValueError:
        return None


# Event.json


def bare_object(raw: bytes) -> Any:
    """Converts a bare value as Python's json does; else returns its text, or None if it is empty."""
    text = decode_utf8(raw)
    words = {"": None, "null": None, "true": True, "false": False}
    words |= {name: float(name) for name in ("NaN", "Infinity", "-Infinity")}
    if text in words:
        return words[text]
    number = _JSON_NUMBER.fullmatch(text)
    if number is None:
        return text
    is_integer = number[1] is None and number[2] is None
    return int(text) if is_integer and len(text.lstrip("-")) <= MAX_DIGITS_OF_INT else float(text)
