"""Writes ``rust/schema/src/table.rs``, the table of event types, from the sources of Falco's libs.

``python tools/event_schema.py LIBS`` takes the path of a checkout of https://github.com/falcosecurity/libs, whose files
in ``driver`` define the event schema. Choose the newest release: event types are never removed, and existing ones only
get more parameters. The tests of the crate compare the table with the crate ``falco_event_schema``.
"""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

_OUTPUT = Path(__file__).parent.parent / "rust/schema/src/table.rs"
_WIDTH = 116
_KINDS = {"EC_SYSCALL": 0, "EC_TRACEPOINT": 1, "EC_PLUGIN": 2, "EC_METAEVENT": 3, "EC_ITER": 4, "EC_UNKNOWN": 5}
"""The categories of events, as ``rust/schema/src/event_type.rs`` numbers them."""
_LARGE, _OLD = 0x10, 0x20
"""The bits beside the category: lengths of 4 bytes, and an event type that current drivers do not send."""
_STRINGS = 64
"""The type of a byte buffer that contains strings. Falco's own types are smaller."""
_DYNAMIC = 65
"""The first of the types whose first byte chooses one of several types."""
_PROCESS = ("execve", "execveat", "clone", "clone3", "fork", "vfork")
_LISTS = ("args", "env", "cgroups")
"""The byte buffers of these events that contain strings, each with a NUL at its end."""
_NOT_SYSCALLS = frozenset({"unknown", "uprobe", "uretprobe"})


class Param(NamedTuple):
    name: str
    type: str
    info: str


class EventType(NamedTuple):
    name: str
    category: str
    flags: frozenset[str]
    params: list[Param]


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the table of event types from the sources of Falco's libs.")
    parser.add_argument("libs", type=Path, help="a checkout of https://github.com/falcosecurity/libs")
    driver = parser.parse_args().libs / "driver"
    header = _without_comments((driver / "ppm_events_public.h").read_text())
    events = dict(_events(_without_comments((driver / "event_table.c").read_text())))
    codes = {name: int(code) for name, code in re.findall(r"\b(PPME_\w+)\s*=\s*(\d+)", header)}
    types = {name: int(code) for name, code in re.findall(r"\b(PT_\w+)\s*=\s*(\d+)", header)}
    syscalls = {int(code): name.lower() for name, code in re.findall(r"PPM_SC_X\((\w+),\s*(\d+)\)", header)}
    dynamic = list(_dynamic_types(_without_comments((driver / "dynamic_params_table.c").read_text()), types))
    rows = [event for _, event in sorted((codes[name], event) for name, event in events.items())]
    if sorted(codes[name] for name in events) != list(range(len(rows))):
        raise SystemExit("the codes of the events have gaps")
    version = (driver / "SCHEMA_VERSION").read_text().strip()
    _OUTPUT.write_text(_table(version, rows, types, syscalls, dynamic))


def _without_comments(text: str) -> str:
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)


def _events(text: str) -> Iterator[tuple[str, EventType]]:
    """Yields the entries of the table of events, in its syntax of C."""
    for entry in re.finditer(r"\[(PPME_\w+)\]\s*=\s*\{", text):
        body = text[entry.end() : _end_of_braces(text, entry.end())]
        head = re.match(r'\s*"([^"]*)",\s*([\w\s|]+),\s*([\w\s|]+),\s*(\d+)', body)
        if head is None:
            raise SystemExit(f"cannot read {entry[1]}")
        params = [
            Param(name, type_, info)
            for name, type_, info in re.findall(r'\{\s*"([^"]+)",\s*(\w+),\s*\w+\s*(?:,\s*(\w+)[^}]*)?\}', body)
        ]
        if len(params) != int(head[4]):
            raise SystemExit(f"cannot read the parameters of {entry[1]}")
        categories = re.findall(r"\w+", head[2])
        category = next(category for category in categories if category in _KINDS)
        yield entry[1], EventType(head[1], category, frozenset(re.findall(r"\w+", head[3])), params)


def _end_of_braces(text: str, position: int) -> int:
    """Returns the position of the brace that closes the one before ``position``."""
    depth = 1
    while depth:
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        position += 1
    return position - 1


def _dynamic_types(text: str, types: dict[str, int]) -> Iterator[tuple[str, list[int]]]:
    """Yields the names of the dynamic types, and the types that each can be."""
    for table in re.finditer(r"(\w+_dynamic_param)\[\w+\]\s*=\s*\{", text):
        body = text[table.end() : _end_of_braces(text, table.end())]
        yield table[1], [types[name] for name in re.findall(r"\b(PT_\w+)", body)]


def _type(event: EventType, param: Param, types: dict[str, int], dynamic: list[tuple[str, list[int]]]) -> int:
    if param.type == "PT_DYN":
        return _DYNAMIC + [name for name, _ in dynamic].index(param.info)
    if param.type == "PT_BYTEBUF" and event.name in _PROCESS and param.name in _LISTS:
        return _STRINGS
    return types[param.type]


def _table(
    version: str,
    rows: list[EventType],
    types: dict[str, int],
    syscalls: dict[int, str],
    dynamic: list[tuple[str, list[int]]],
) -> str:
    names = _Names()
    params: list[tuple[int, int]] = []
    events = []
    for row in rows:
        repeated = {param.name for param in row.params if [p.name for p in row.params].count(param.name) > 1}
        if repeated:
            raise SystemExit(f"{row.name} has several parameters {', '.join(sorted(repeated))}")
        own = [(names.index(param.name), _type(row, param, types, dynamic)) for param in row.params]
        start = _position(params, own)
        if start is None:
            start = len(params)
            params += own
        bits = _KINDS[row.category]
        bits |= _LARGE * ("EF_LARGE_PAYLOAD" in row.flags) | _OLD * ("EF_OLD_VERSION" in row.flags)
        events.append((names.index(row.name), bits, start, len(own)))
    numbers = range(max(syscalls) + 1)
    calls = ["" if syscalls.get(number, "unknown") in _NOT_SYSCALLS else syscalls[number] for number in numbers]
    ids = [names.index(name) for name in calls]
    width = max(len(kinds) for _, kinds in dynamic)
    variants = [f"&{kinds}" for _, kinds in dynamic]
    assert width < 256
    return "\n".join(
        [
            f"//! The event types of Falco's event schema {version}. `tools/event_schema.py` writes this file.",
            "",
            "/// The version of the event schema.",
            f'pub const SCHEMA_VERSION: &str = "{version}";',
            "",
            "/// All names, one after the other.",
            f"pub(crate) static NAMES: &str = {names.literal()}",
            "",
            "/// The end of each name in `NAMES`. It begins at the end of the preceding one.",
            _array("NAME_ENDS", "u16", map(str, names.ends())),
            "",
            "/// For each event type by its code: name, category and flags, first parameter, number of parameters.",
            _array("EVENTS", "(u16, u8, u16, u8)", (f"({a},{b},{c},{d})" for a, b, c, d in events)),
            "",
            "/// For each parameter: name and type.",
            _array("PARAMS", "(u16, u8)", (f"({name},{kind})" for name, kind in params)),
            "",
            "/// The name of each system call by the id that generic events have.",
            _array("SYSCALLS", "u16", map(str, ids)),
            "",
            "/// The types that a parameter of a dynamic type can have. Its first byte is the index.",
            _array("DYNAMIC", "&[u8]", variants),
            "",
        ]
    )


def _position(params: list[tuple[int, int]], own: list[tuple[int, int]]) -> int | None:
    """Returns where `params` contains `own`."""
    starts = range(len(params) - len(own) + 1)
    return next((start for start in starts if params[start : start + len(own)] == own), None)


class _Names:
    """Different names, in the order of their first use."""

    def __init__(self) -> None:
        self._names: dict[str, int] = {}

    def index(self, name: str) -> int:
        return self._names.setdefault(name, len(self._names))

    def ends(self) -> Iterator[int]:
        end = 0
        for name in self._names:
            end += len(name)
            yield end

    def literal(self) -> str:
        text = "".join(self._names)
        lines = [text[start : start + _WIDTH - 8] for start in range(0, len(text), _WIDTH - 8)]
        return "concat!(\n" + "".join(f'    "{line}",\n' for line in lines) + ");"


def _array(name: str, type_: str, items: Iterable[str]) -> str:
    values = list(items)
    lines = textwrap.fill(
        " ".join(f"{value.replace(' ', '')}," for value in values),
        _WIDTH,
        break_long_words=False,
        break_on_hyphens=False,
    )
    body = textwrap.indent(lines, "    ")
    return f"pub(crate) static {name}: [{type_}; {len(values)}] = [\n{body}\n];"


if __name__ == "__main__":
    main()
