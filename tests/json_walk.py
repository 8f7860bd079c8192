"""What a `json_field` has to give, in plain Python: slow, and with nothing in common with what it checks.

Values come from `json.loads` made strict, places from tokens found by a regular expression.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

MAX_DEPTH = 128
MAX_UINT64 = 2**64 - 1
NANOS = 10**9

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}:,]|[^\[\]{}:,"\s]+', re.DOTALL)
_SPACE_OR_STRING = re.compile(rb'("(?:[^"\\]|\\.)*")|\s+', re.DOTALL)
_NUMBER = re.compile(r"(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?", re.ASCII)
# Any one byte may stand between date and time: RFC 3339 itself allows "(say) a space character".
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[\x00-\x7f](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
_NETWORK = re.compile(r"([^/]*)(?:/([0-9]+))?")


class Number(str):
    """A number, as its text."""


@dataclass(frozen=True)
class Found:
    """A value, and where it stands in the payload."""

    value: Any
    start: int
    length: int


# Documents


def _first_counts(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(reversed(pairs))


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_first_counts, parse_int=Number, parse_float=Number, parse_constant=_refuse
)


def depth(tree: Any) -> int:
    """How many containers deep a value is."""
    if isinstance(tree, dict):
        tree = list(tree.values())
    return 1 + max(map(depth, tree), default=0) if isinstance(tree, list) else 0


def loads(text: str) -> Any:
    """`json.loads`, with numbers as text, the first of duplicate keys, and no more than JSON is.

    Raises:
        ValueError: it is no JSON, or too deep.
    """
    try:
        tree = _DECODER.decode(text)
        if depth(tree) <= MAX_DEPTH:
            return tree
    except RecursionError:
        pass
    raise ValueError("the text is too deep")


def before_fault(text: str) -> str:
    """What stands before the fault in a text that is no JSON: the members or elements of the outermost container that
    are complete and followed by what must follow, closed behind the last of them.

    Raises:
        ValueError: the text does not begin with a container.
    """

    def space(pos: int) -> int:
        while text[pos : pos + 1] in (" ", "\t", "\r", "\n"):
            pos += 1
        return pos

    start = space(0)
    close = {"{": "}", "[": "]"}.get(text[start : start + 1])
    if close is None:
        raise ValueError("no container")
    good, pos = start + 1, space(start + 1)
    try:
        while True:
            if close == "}":
                key, pos = _DECODER.raw_decode(text, pos)
                pos = space(pos)
                if type(key) is not str or text[pos] != ":":
                    break
                pos = space(pos + 1)
            value, end = _DECODER.raw_decode(text, pos)
            behind = space(end)
            if depth(value) >= MAX_DEPTH or text[behind] not in (",", close):
                break
            good = end
            if text[behind] == close:
                break
            pos = space(behind + 1)
    except (ValueError, IndexError, RecursionError):
        pass
    return text[:good] + close


@dataclass(frozen=True)
class _Spot:
    start: int
    end: int
    children: Any = None


def _spot(first: re.Match[bytes], tokens: Iterator[re.Match[bytes]]) -> _Spot:
    """The place of the value that begins with a token."""
    children: Any = None
    last = first
    if first[0] == b"[":
        children = []
        while (last := next(tokens))[0] != b"]":
            if last[0] != b",":
                children.append(_spot(last, tokens))
    elif first[0] == b"{":
        children = {}
        while (last := next(tokens))[0] != b"}":
            if last[0] != b",":
                key = json.loads(last[0])
                assert next(tokens)[0] == b":"
                children.setdefault(key, _spot(next(tokens), tokens))
    return _Spot(first.start(), last.end(), children)


class Document:
    """A payload; of one that is no JSON, what stands before the fault."""

    def __init__(self, payload: bytes) -> None:
        self.root: Any = None
        self.spot: _Spot | None = None
        self.whole = True
        try:
            text = payload.decode()
            try:
                self.root = loads(text)
            except ValueError:
                self.whole = False
                text = before_fault(text)
                self.root = loads(text)
        except ValueError:
            return
        self.payload = text.encode()
        tokens = _TOKEN.finditer(self.payload)
        self.spot = _spot(next(tokens), tokens)

    def values(self, pattern: str, kind: str, index: int | None = None, key: str | None = None) -> list[Found]:
        """The values of a field; none where it is absent."""
        if self.spot is None:
            return []
        if pattern == "{pointer}":
            if re.search("~(?![01])", key):
                return []
            # The first "/" of an argument may be missing.
            steps = [("token", token) for token in _tokens(key if key[:1] in ("", "/") else f"/{key}")]
        else:
            steps = [_step(token, index, key) for token in _tokens(pattern)]
        if not steps and not self.whole:
            return []
        found = (self._convert(*node, kind) for node in _walk(self.root, self.spot, steps))
        return [value for value in found if value is not None]

    def _convert(self, tree: Any, spot: _Spot, kind: str) -> Found | None:
        start, end = spot.start, spot.end
        if type(tree) is str:
            tree = re.sub("[\ud800-\udfff]", "\ufffd", tree)  # halves of surrogate pairs
            start, end = start + 1, end - 1
            value = _of_string(tree, kind)
        elif kind == "string" and isinstance(tree, (dict, list)):
            value = _SPACE_OR_STRING.sub(rb"\1", self.payload[start:end]).decode()
        else:
            value = _of_scalar(tree, kind)
        return None if value is None else Found(value, start, end - start)


# Pointers


def _tokens(pointer: str) -> list[str]:
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]


def _step(token: str, index: int | None, key: str | None) -> tuple[str, Any]:
    match token:
        case "*":
            return ("each", None)
        case "{index|*}" if index is None:
            return ("each", None)
        case "{index}" | "{index|*}":
            return ("element", index)
        case "{key}":
            return ("token", key)
        case _:
            return ("token", token)


def _walk(tree: Any, spot: _Spot, steps: list[tuple[str, Any]]) -> Iterator[tuple[Any, _Spot]]:
    """The nodes that steps lead to."""
    if not steps:
        yield tree, spot
        return
    (kind, token), *rest = steps
    if isinstance(tree, dict):
        names = [token] if kind == "token" and token in tree else []
    elif isinstance(tree, list):
        names = list(range(len(tree)))
        if kind == "element":
            names = names[token : token + 1]
        elif kind == "token":
            names = [name for name in names if str(name) == token]
    else:
        names = []
    for name in names:
        yield from _walk(tree[name], spot.children[name], rest)


# Values


def _of_string(text: str, kind: str) -> Any:
    match kind:
        case "string":
            return text.replace("\0", "\ufffd")
        case "abstime":
            return _rfc3339(text)
        case "ipaddr":
            return _address(text)
        case "ipnet":
            return _network(text)


def _of_scalar(tree: Any, kind: str) -> Any:
    match kind, tree:
        case "string", bool():
            return str(tree).lower()
        case "string", Number():
            return str(tree)
        case "bool", bool():
            return tree
        case "uint64", Number():
            is_integer = re.fullmatch(r"-0|\d{1,20}", tree, re.ASCII) and int(tree) <= MAX_UINT64
            return int(tree) if is_integer else None
        case "abstime" | "reltime", Number():
            return _seconds(tree)


def _seconds(text: str) -> int | None:
    """Nanoseconds of a number of seconds, by moving its point."""
    sign, whole, fraction, exponent = _NUMBER.fullmatch(text).groups("")
    digits = whole + fraction
    zeros = len(digits) - len(digits.lstrip("0"))
    if zeros == len(digits):
        return 0
    point = len(whole) - zeros + int(exponent or 0) + 9
    if sign or point > len(str(MAX_UINT64)):
        return None
    if point <= 0:
        return 0
    nanos = int(digits[zeros:][:point].ljust(point, "0"))
    return nanos if nanos <= MAX_UINT64 else None


def _rfc3339(text: str) -> int | None:
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
