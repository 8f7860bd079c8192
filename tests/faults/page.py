"""The page of the documentation that the table makes: ``python -m faults.page`` writes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from support.paths import REPOSITORY

from faults.playing import EVENTS, Cell
from faults.table import CALLBACKS, CAUSES, FAULTS, TABLE

PATH = REPOSITORY / "docs" / "guide" / "faults.md"

SAME_EVERYWHERE = ("blocks", "starts_threads", "forks")
LONGEST = 150

INTRODUCTION = """\
# Faults

What your code can do wrong in each of its callbacks, and what comes of it in Falco. This page is written by the tests:
each cell is what a host process of its own was told through the plugin API, and nothing else differed from a run
without a fault. No cell is a crash, a hang or a lost event.

In each run the host asks for suggestions, opens a source with the events `one`, `two` and `three`, asks for the text
and a field of each, closes the source, opens it again, destroys the plugin and initialises it anew. Code that is called
for each event misbehaves at the second, all other code at its first call. Whatever happened, **the second open and the
second init bring all events**.

## At a glance

| | |
|---|---|
| · | all is as without the fault |
| log | the log says so, and all goes on |
| error | the call of the host fails with a text; a source has then ended, after the events that were made before |
| ends | the source ends in good order, after the events that were made before |
| again | the source is called again |
| absent | this one event has no text, or not this field; or there is no progress |
| other | the host gets something else, see below |
"""

EXPLANATION = """\
## Callback by callback

*The exception* is its class, its text and the line of your code, such as `ValueError: broken (faulty.py:62 in read)`.
It is cut at 3,000 characters, NULs and lone surrogates are shown as `\ufffd`, and where its `__str__` raises, that is
what is said. The traceback goes to the log. Falco treats an error of `open` or `next_batch` as fatal, and starts with
none of `init`: see [Errors and retry](errors.md). Long texts are cut on this page only.

The same everywhere:

- A callback that blocks holds up its own caller, and no event is lost. Falco looks at signals between two batches.
- Threads may be started, log, and be left behind; they do not keep Falco from ending.
- A child made by `fork` must not return from your code. It is ended there, with a line on stderr that says so. What
  `subprocess` starts, and workers of `multiprocessing`, are let alone.
"""


def text() -> str:
    """All of the page."""
    parts = [
        INTRODUCTION,
        _grid(),
        EXPLANATION,
        *(_section(callback, TABLE[callback]) for callback in CALLBACKS),
    ]
    return "\n".join(parts)


def _grid() -> str:
    names = [f"[{callback}](#{_anchor(callback)})" for callback in CALLBACKS]
    rows = [
        [FAULTS[fault], *(_glance(callback, fault, TABLE[callback][fault]) for callback in CALLBACKS)]
        for fault in FAULTS
    ]
    return _table(["your code", *names], rows)


def _glance(callback: str, fault: str, cell: Cell) -> str:
    if cell.fails:
        return "error"
    if callback == "retry" and len(cell.events) > len(EVENTS):
        return "again"
    if cell.text is None or cell.field is None or (callback == "progress" and cell.progress == (0, "")):
        return "absent"
    if tuple(cell.events) == EVENTS[: len(cell.events)] != EVENTS:
        return "ends"
    good = Cell()
    if any(getattr(cell, name) != getattr(good, name) for name in ("events", "text", "field", "progress", "suggested")):
        return "other"
    return "log" if cell.log else "·"


def _section(callback: str, cells: Mapping[str, Cell]) -> str:
    groups: list[tuple[list[str], Cell]] = []
    for fault, cell in cells.items():
        if fault in SAME_EVERYWHERE:
            continue
        same = next((faults for faults, other in groups if other == cell), None)
        if same is None:
            groups.append(([fault], cell))
        else:
            same.append(fault)
    rows = [[_faults(faults), _host(callback, cell), _log(cell), _then(cell)] for faults, cell in groups]
    title = f"### {CALLBACKS[callback]} {{#{_anchor(callback)}}}\n"
    return f"{title}\n{_table(['your code', 'the host gets', 'the log says', 'then'], rows)}"


def _anchor(callback: str) -> str:
    return callback.replace(" ", "-").replace("_", "-")


def _faults(faults: list[str]) -> str:
    if set(faults) == set(CAUSES):
        return "raises, whatever it is"
    return ",<br>".join(FAULTS[fault] for fault in faults)


def _host(callback: str, cell: Cell) -> str:
    told = []
    calls = {"suggest": "list_open_params", "take": "next_batch"}
    if cell.fails:
        told.append(f"{calls.get(cell.fails, cell.fails)} fails: {_told(cell.error or '')}")
    if tuple(cell.events) != EVENTS:
        events = [f"`{event}`" if event else "an empty event" for event in cell.events]
        told.insert(0, ", ".join(events) or "no event")
    if tuple(cell.events[:2]) == EVENTS[:2]:
        if cell.text != Cell.text:
            told.append(f"as the text of `two` {_value(cell.text)}")
        if cell.field != Cell.field:
            told.append(f"as the field of `two` {_value(cell.field)}")
    if cell.progress != Cell.progress:
        told.append(f"{cell.progress[0] / 10_000:.0%}, {_value(cell.progress[1])}")
    if not cell.fails and cell.suggested != Cell.suggested:
        told.append(_value(cell.suggested))
    return ";<br>".join(told) or "all as it should be"


def _value(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "all 100 MB"
    if isinstance(value, tuple):
        (value,) = value
    return _code(value.replace("{kind}", "…")).replace("\0", "\\0") if value else "no text"


def _code(text: str) -> str:
    """As code, which may have a backquote in it."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def _log(cell: Cell) -> str:
    told = [_line(line, cell.error) for line in cell.log]
    told += [f"perhaps {_told(line)}" for line in cell.may_log]
    told += [f"your code finds: {_told(line.partition(': ')[2] or line)}" for line in cell.found]
    return ";<br>".join(told) or "nothing"


def _line(line: str, error: str | None) -> str:
    """A line of the log, without the text that the host got too."""
    if error and line.endswith(error):
        return f"{_told(line.removesuffix(error))} and the same"
    return _told(line)


def _then(cell: Cell) -> str:
    then = "all events come"
    if cell.fails == "init":
        then = "the state only tells why"
    elif cell.fails == "open":
        then = "there is no source"
    elif cell.fails == "take" or EVENTS[-1] not in cell.events:
        then = "the source has ended"
    elif len(cell.events) < len(EVENTS):
        then = "all others come"
    return f"{then}; {cell.note}" if cell.note else then


def _told(line: str) -> str:
    """As code, but for the exception that each fault has of its own."""
    before, cause, after = line.partition("{cause}")
    parts = [_code(_cut(part.strip())) for part in (before, after) if part.strip()]
    return " ".join([*parts, "*the exception*"]) if cause else parts[0]


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST].rsplit(' ', 1)[0]} …"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    PATH.write_text(text())
