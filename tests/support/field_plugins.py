"""Plugins with fields: their source, their values and their log lines."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from support.embedded import Library
from support.fields import replay


def fields_plugin(body: str, before: str = "") -> str:
    """The source of a plugin whose class has this body."""
    return (
        f"{textwrap.dedent(before)}\n"
        "from datetime import UTC, date, datetime, timedelta, timezone\n"
        "from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network\n\n"
        "from falco_plugin import EOF, Event, Located, Plugin, Timeout, field, json_field\n\n\n"
        "class Fields(Plugin):\n"
        '    name = "fields"\n\n' + textwrap.indent(textwrap.dedent(body), "    ")
    )


def field_log_lines(library: Library, field: str) -> list[str]:
    """The log lines about a field, without tracebacks."""
    return [text.partition("\n")[0] for _, text in library.logs if f"field {field} " in text]


def extract_values(library: Path, *fields: str, payload: bytes = b'{"a": "of JSON"}') -> list[Any]:
    """Extracts fields of one event."""
    (extracted,) = replay(library, fields, [payload])
    return [found.values for found in extracted.values()]
