"""Runs cells of the table in a host, and compares the results with the table."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from support.fields import request_lines
from support.hosts import Output, c_host_path, environment, run

EVENTS = ("one", "two", "three")
WARNING = 4
SDK_PREFIX = "falco_plugin: "
HANG_TIMEOUT = 60
"""Seconds after which a host counts as hanging, far more than any cell takes."""
LIVES = 2
"""How often the plugin is initialised and destroyed in each cell."""

KINDS = {"next_batch": "custom", "generator": "generator", "async generator": "async generator", "retry": "retry"}
"""The kind of source that a callback belongs to; all others use a pull function."""


CAPTURES = ("async_events", "dump_state", "capture_open", "routine", "capture_close")
"""The callbacks of captures."""
BEGIN = ("set_async_event_handler", "capture_open")
END = ("reset_async_event_handler", "capture_close", "dump_state")
"""The calls of a host at the beginning and at the end of a capture."""


@dataclass(frozen=True)
class Cell:
    """The expected result of one fault in one callback.

    The defaults are the results without a fault: three events with their texts and fields, and the end. A second open
    and a second init always deliver all events.
    """

    fails: str | None = None
    """The call of the host that fails, such as ``init``, ``suggest`` or ``take``."""
    error: str | None = None
    """The error message. In all strings, "…" matches anything, and ``{cause}`` stands for the fault's exception."""
    events: Sequence[str] = EVENTS
    """The events of the first open."""
    text: Any = "text of two"
    """The text of the second event."""
    field: Any = "two"
    """The field of the second event, or None if it is absent."""
    progress: tuple[int, Any] = (5000, "half")
    suggested: Any = ("pull",)
    """The suggested open parameters."""
    log: Sequence[str] = ()
    """The first lines of warnings and errors that the SDK logs."""
    may_log: Sequence[str] = ()
    """More warnings, which depend on the order of threads."""
    found: Sequence[str] = ()
    """The lines that the plugin itself logs."""
    stderr: Sequence[str] = ()
    note: str = ""
    """A remark for the page."""
    configures: bool = False
    """Whether the host changes the configuration, before it opens a source."""
    captures: bool = False
    """Whether the source belongs to a capture, in which there are async events, and after which the state is dumped."""
    sent: Sequence[Any] = EVENTS
    """The async events of the capture."""
    dumped: Sequence[Any] = EVENTS
    """The events of ``dump_state``."""


@dataclass(frozen=True)
class Step:
    """A call of the host, and its result."""

    call: str
    error: str | None = None
    got: Any = None


def write_script(callback: str, fault: str) -> str:
    """Returns the calls of a cell: two sources in succession, destroy, and the same again without a fault."""
    kind = KINDS.get(callback, "pull")
    life = [f"open {kind}", "take", "take", "progress", "close", f"open {kind}", "take", "close", "destroy"]
    config, other = json.dumps({"callback": callback, "fault": fault}), json.dumps({"callback": "", "fault": ""})
    configure = [f"configure {config}"] if callback == "set_config" else []
    first = [*BEGIN, *life[:-1], *END, "destroy"] if callback in CAPTURES else life
    return "\n".join([f"init {config}", "suggest", *configure, *first, f"init {other}", "suggest", *life])


def play(library: Path, callback: str, faults: Sequence[str]) -> list[Output]:
    """Runs the cells of some faults in one process and returns a part of the output for each."""
    fields = request_lines(library, ["faulty.payload"])
    calls = "\n".join(write_script(callback, fault) for fault in faults)
    # On a slow machine a source may pause. Only after many timeouts it counts as stopped.
    env = environment(HOST_TIMEOUTS="300")
    ran = run(c_host_path(), "script", library, fields, calls, env=env, timeout=HANG_TIMEOUT)
    parts: list[list[str]] = [[]]
    destroyed = 0
    for line in ran.stdout.splitlines(keepends=True):
        parts[-1].append(line)
        destroyed += json.loads(line).get("call") == "destroy"
        if destroyed == LIVES:
            parts.append([])
            destroyed = 0
    *cells, rest = ["".join(part) for part in parts]
    assert (len(cells), rest) == (len(faults), ""), ran
    return [replace(ran, stdout=cell) for cell in cells]


def steps(ran: Output) -> list[Step]:
    """Returns the calls of the host and their results, read from its output."""
    found: list[Step] = []
    got: list[Any] = []
    texts: list[tuple[str, Any]] = []
    for line in ran.lines:
        if "call" in line:
            end = [line["end"]] if line["end"] is not None else []
            found.append(Step(line["call"], line["error"], [*got, *end] or None))
            got = []
        elif "suggested" in line:
            text = line["suggested"]
            got.append(tuple(param["value"] for param in json.loads(text)) if isinstance(text, str) else text)
        elif received := line.get("sent", line.get("dumped")):
            got += received
        elif "progress" in line:
            got.append((line["progress"], line["text"]))
        elif "calls" in line:
            (call,) = line["calls"]
            values = call["fields"][0]["values"]
            got.append((*texts.pop(), values and values[0]))
        elif "event" in line:
            texts.append((base64.b64decode(line["event"]["base64"]).decode(), line["event"]["text"]))
    return found


def expected(cell: Cell) -> list[Step]:
    """Returns the calls that the host must make, with their results."""
    return _life(cell) + _life(Cell())


def _life(cell: Cell) -> list[Step]:
    def step(call: str, *got: Any) -> Step:
        if call == cell.fails and not any(item == "eof" for item in got):
            return Step(call, cell.error, [*got, "failure"])
        return Step(call, None, list(got) or None)

    if cell.fails == "init":
        return [step("init"), Step("destroy")]
    steps = [step("init"), step("suggest", cell.suggested)]
    if cell.configures:
        steps.append(step("configure"))
    if cell.captures:
        steps += [step(call) for call in BEGIN]
    second = replace(cell, fails=None, events=EVENTS, text=Cell.text, field=Cell.field)
    if cell.fails == "open":
        steps.append(step("open"))
    else:
        events = _events(cell)
        take = step("take", *events) if cell.fails == "take" else Step("take", None, [*events, "eof"])
        steps += [step("open"), take, Step("take", None, ["eof"]), step("progress", cell.progress), step("close")]
    steps += [Step("open"), Step("take", None, [*_events(second), "eof"]), Step("close")]
    if cell.captures:
        steps += [Step(END[0], None, list(cell.sent) or None), step(END[1]), step(END[2], *cell.dumped)]
    return [*steps, Step("destroy")]


def _events(cell: Cell) -> list[tuple[Any, ...]]:
    events = [(event, f"text of {event}", event) for event in cell.events]
    if len(events) > 1:
        events[1] = (cell.events[1], cell.text, cell.field)
    return events


def read_log(ran: Output) -> tuple[list[str], list[str]]:
    """Returns the first lines of all warnings and errors: those of the SDK and those of the plugin."""
    lines = [log["text"].splitlines()[0] for log in ran.values("log") if log["severity"] <= WARNING]
    own = [line.removeprefix(SDK_PREFIX) for line in lines if line.startswith(SDK_PREFIX)]
    return own, [line for line in lines if not line.startswith(SDK_PREFIX)]


def matches(pattern: str | None, text: str | None) -> bool:
    """Returns whether a string matches the pattern of a cell."""
    if pattern is None or text is None:
        return pattern is text
    return re.fullmatch(re.escape(pattern).replace("…", ".*"), text, re.DOTALL) is not None
