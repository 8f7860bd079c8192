"""Requests for fields, and the values that a host gets."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.events import SUCCESS
from support.hosts import c_host_lines, static_answers

FIELD_TYPES = {"uint64": 8, "string": 9, "reltime": 20, "abstime": 21, "bool": 25, "ipaddr": 40, "ipnet": 41}
NO_INDEX = 2**64 - 1


@dataclass(frozen=True)
class FieldRequest:
    """A field and its argument, in the form of the plugin API."""

    name: str
    id: int
    type: int
    is_list: bool
    present: bool = False
    index: int = NO_INDEX
    key: str | None = None

    def __str__(self) -> str:
        line = f"{self.id} {self.type} {self.is_list:d} {self.present:d} {self.index} {self.name}"
        return line if self.key is None else f"{line} {self.key}"


def field_request(fields: Sequence[Mapping[str, Any]], text: str) -> FieldRequest:
    """Converts ``name`` or ``name[argument]`` to a request.

    If a field takes both an index and a key, a number is passed as both, and any other argument as the key.
    """
    name, bracket, rest = text.partition("[")
    place, field = next((place, field) for place, field in enumerate(fields) if field["name"] == name)
    argument = rest[:-1]
    takes = field.get("arg", {})
    is_number = re.fullmatch("0|[1-9][0-9]*", argument) and int(argument) < 2**64
    return FieldRequest(
        name,
        place,
        FIELD_TYPES[field["type"]],
        field.get("isList", False),
        bool(bracket),
        int(argument) if takes.get("isIndex") and is_number else NO_INDEX,
        argument if takes.get("isKey") and bracket else None,
    )


@dataclass(frozen=True)
class Extraction:
    """The values of a field. Times are nanoseconds, addresses are strings."""

    values: list[Any] | None
    """None if the field is absent."""
    places: list[tuple[int, int]] | None = None
    """Start and length of each value within the event; None if the plugin reported none."""
    code: int = SUCCESS
    error: str | None = None


def _extraction(field: Mapping[str, Any], call: Mapping[str, Any]) -> Extraction:
    told = field["starts"] is not None and field["lengths"] is not None
    places = list(zip(field["starts"], field["lengths"], strict=True)) if told else None
    return Extraction(field["values"], places, call["rc"], call["error"])


def extractions_by_call(line: Mapping[str, Any]) -> list[Extraction]:
    """The fields of an event that were requested in separate calls."""
    return [_extraction(*call["fields"], call) for call in line["calls"]]


def request_lines(library: Path, fields: Sequence[str]) -> str:
    """Fields in the form of the C host's arguments."""
    known = static_answers(library)["fields"]
    return "\n".join(str(field_request(known, field)) for field in fields)


def join_payloads(payloads: Sequence[bytes]) -> str:
    """Payloads in the form of the C host's arguments."""
    return ",".join(payload.hex() for payload in payloads)


def replay(
    library: Path, fields: Sequence[str], payloads: Sequence[bytes], config: str = ""
) -> list[dict[str, Extraction]]:
    """Extracts fields of each event in the C host, one field a call, without an open source."""
    lines = c_host_lines("replay", library, config, request_lines(library, fields), join_payloads(payloads))
    return [dict(zip(fields, extractions_by_call(line), strict=True)) for line in lines if "event" in line]


def replay_together(
    library: Path, fields: Sequence[str], payloads: Sequence[bytes], config: str = ""
) -> list[dict[str, Extraction]]:
    """Like `replay`, but with all fields in one call."""
    lines = c_host_lines("together", library, config, request_lines(library, fields), join_payloads(payloads))
    return [
        dict(zip(fields, [_extraction(field, line) for field in line["fields"]], strict=True))
        for line in lines
        if "event" in line
    ]
