"""Writes docs/explanation/faults.md from the table: ``python -m faults.page``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from support.paths import REPOSITORY

from faults.host_table import CALL_ROWS, INIT_ROWS
from faults.playing import EVENTS, Cell
from faults.table import CALLBACKS, CAUSES, FAULTS, TABLE

PATH = REPOSITORY / "docs" / "explanation" / "faults.md"

SAME_EVERYWHERE = ("blocks", "starts_threads", "forks")
LONGEST = 150

INTRODUCTION = """\
# Faults

This page is for those who want to know the exact effect of a mistake in a plugin. After it you know the result of
each fault in each callback: for Falco, for the log, and for the following events. A test writes this page. Each cell
was observed by a host through the plugin API, and nothing else differed from a run without a fault.
No cell is a crash, a hang or a lost event.

In each run the host requests suggestions for open params and opens a source with the events `one`, `two` and `three`.
It requests the text and a field of each event, closes the source, and opens it again. Then it destroys the plugin and
initialises it again. Code that is called for each event has its fault at the second event, all other code at its
first call. **The second open and the second init always deliver all events.**

For the callbacks of a capture, the host also sets its handler of async events, and opens a capture without a thread
pool. The plugin sends the async events `one`, `two` and `three`, and returns the same as its state.

## At a glance

| | |
|---|---|
| · | the same as without the fault |
| log | the fault is logged, and everything continues |
| error | the call of the host fails with a message; a source has then ended, after the preceding events |
| ends | the source ends normally, after the preceding events |
| again | the source is called again |
| absent | this one event has no text, or not this field; or there is no progress |
| other | the host gets another value, see below |
"""

EXPLANATION = """\
## Callback by callback

*The exception* is its class, its message and the line of your code, such as
`ValueError: broken (faulty.py:62 in read)`. It is cut at 3,000 characters. NULs and lone surrogates are shown as
`\ufffd`. If its `__str__` raises, the message reports that. The traceback goes to the log. Falco treats an error of
`open` or `next_batch` as fatal, and does not start after an error of `init`: see
[Errors and retry](errors-and-retry.md). Only this page cuts long messages further.

These faults have the same effect in every callback:

- A callback that blocks delays its own caller, and no event is lost. Falco handles signals between two batches.
- A plugin may start threads that log and are left behind. They do not keep Falco from ending.
- A child made by `fork` must not return from your code. The SDK ends it, with a line on stderr that names the reason.
  Children of `subprocess` and workers of `multiprocessing` are not affected.
"""


HOST_FAULTS = """\
## Faults of the host

The host, and other plugins whose tables it passes on, can fail too. Here the plugin has a method with `@parse` that
uses the table `threads`, and the host fails in one function. An exception is raised where your code uses the table or
yields the event, so your code can catch it. **After each of these faults the next call succeeds, and the plugin has
released all entries that the host lets it release.**
"""


def text() -> str:
    """Returns the text of the whole page."""
    parts = [
        INTRODUCTION,
        _grid(),
        EXPLANATION,
        *(_section(callback, TABLE[callback]) for callback in CALLBACKS),
        HOST_FAULTS,
        _host_faults(),
    ]
    return "\n".join(parts)


def _host_faults() -> str:
    during_init = [
        [f"{host} to init" if "passes" in host else host, f"init fails: {_quoted(error)}", "the same"]
        for host, _, _, error in INIT_ROWS
    ]
    calls = [
        [
            f"{row.host}; {row.note}" if row.note else row.host,
            ";<br>".join(f"the call fails: {_quoted(error)}" for error in row.errors if error) or "success",
            ";<br>".join(_quoted(line) for line in dict.fromkeys(row.log)) or "nothing",
        ]
        for row in CALL_ROWS
    ]
    return _table(["the host", "it gets", "your code finds, and the log has"], [*during_init, *calls])


def _grid() -> str:
    names = [f"[{callback}](#{_anchor(callback)})" for callback in CALLBACKS]
    rows = [
        [FAULTS[fault], *(_summarize(callback, fault, TABLE[callback][fault]) for callback in CALLBACKS)]
        for fault in FAULTS
    ]
    return _table(["your code", *names], rows)


def _summarize(callback: str, fault: str, cell: Cell) -> str:
    if cell.fails:
        return "error"
    if callback == "retry" and len(cell.events) > len(EVENTS):
        return "again"
    if cell.text is None or cell.field is None or (callback == "progress" and cell.progress == (0, "")):
        return "absent"
    if tuple(cell.events) == EVENTS[: len(cell.events)] != EVENTS:
        return "ends"
    without_fault = Cell()
    if any(
        getattr(cell, name) != getattr(without_fault, name)
        for name in ("events", "text", "field", "progress", "suggested", "sent", "dumped")
    ):
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
    rows = [[_faults(faults), _host(callback, cell), _log(cell), _afterwards(cell)] for faults, cell in groups]
    title = f"### {CALLBACKS[callback]} {{#{_anchor(callback)}}}\n"
    return f"{title}\n{_table(['your code', 'the host gets', 'the log has', 'afterwards'], rows)}"


def _anchor(callback: str) -> str:
    return callback.replace(" ", "-").replace("_", "-")


def _faults(faults: list[str]) -> str:
    if set(faults) == set(CAUSES):
        return "raises any of the exceptions"
    return ",<br>".join(FAULTS[fault] for fault in faults)


def _host(callback: str, cell: Cell) -> str:
    parts = []
    calls = {"suggest": "list_open_params", "configure": "set_config", "take": "next_batch"}
    if cell.fails:
        parts.append(f"{calls.get(cell.fails, cell.fails)} fails: {_quoted(cell.error or '')}")
    if tuple(cell.events) != EVENTS:
        events = [f"`{event}`" if event else "an empty event" for event in cell.events]
        parts.insert(0, ", ".join(events) or "no event")
    if tuple(cell.events[:2]) == EVENTS[:2]:
        if cell.text != Cell.text:
            parts.append(f"as the text of `two` {_value(cell.text)}")
        if cell.field != Cell.field:
            parts.append(f"as the field of `two` {_value(cell.field)}")
    if cell.progress != Cell.progress:
        parts.append(f"{cell.progress[0] / 10_000:.0%}, {_value(cell.progress[1])}")
    if not cell.fails and cell.suggested != Cell.suggested:
        parts.append(_value(cell.suggested))
    for kind, events in (("async events", cell.sent), ("events of the state", cell.dumped)):
        if tuple(events) != EVENTS:
            parts.append(f"as {kind} {', '.join(map(_value, events))}")
    return ";<br>".join(parts) or "the same as without the fault"


def _value(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "all 100 MB"
    if isinstance(value, tuple):
        (value,) = value
    return _code(value.replace("{kind}", "…")).replace("\0", "\\0") if value else "no text"


def _code(text: str) -> str:
    """Returns the text as a code span of a table, also if it contains a backquote or a bar."""
    text = text.replace("|", "\\|")
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def _log(cell: Cell) -> str:
    parts = [_line(line, cell.error) for line in cell.log]
    parts += [f"perhaps {_quoted(line)}" for line in cell.may_log]
    parts += [f"your code finds: {_quoted(line.partition(': ')[2] or line)}" for line in cell.found]
    return ";<br>".join(parts) or "nothing"


def _line(line: str, error: str | None) -> str:
    """Returns a line of the log, without the message that the host also got."""
    if error and line.endswith(error):
        return f"{_quoted(line.removesuffix(error))} and the same message"
    return _quoted(line)


def _afterwards(cell: Cell) -> str:
    then = "all events follow"
    if len(cell.sent) < len(EVENTS):
        then = "this method has ended, and everything else continues"
    elif cell.fails == "init":
        then = "the state only contains the reason"
    elif cell.fails == "open":
        then = "there is no source"
    elif cell.fails == "take" or EVENTS[-1] not in cell.events:
        then = "the source has ended"
    elif len(cell.events) < len(EVENTS):
        then = "all other events follow"
    return f"{then}; {cell.note}" if cell.note else then


def _quoted(line: str) -> str:
    """Returns the line as a code span, with a placeholder for the exception."""
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
