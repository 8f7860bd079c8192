"""Plays a cell of the table in a host process of its own, and says what has to come of it."""

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
OWN_LOGGER = "falco_plugin: "
HANGS = 60
"""Seconds after which a host that is still running hangs: far more than any cell takes."""

KINDS = {"next_batch": "own", "generator": "generator", "async generator": "async generator", "retry": "retry"}
"""The source whose step a callback is; a pull function is the source of all others."""


@dataclass(frozen=True)
class Cell:
    """What has to come of one fault in one callback. All that is not named has to be as without a fault: the three
    events, their texts and fields, the end; then a second open, then a second init, whose events all come.
    """

    fails: str | None = None
    """The call that answers with a failure: ``init``, ``suggest``, ``open`` or ``take``."""
    error: str | None = None
    """The text of the failure. In all texts "…" stands for anything, ``{cause}`` for the fault's exception."""
    events: Sequence[str] = EVENTS
    """What the host gets of the first open."""
    text: Any = "text of two"
    """The text of the second event."""
    field: Any = "two"
    """The field of the second event; None where it is absent."""
    progress: tuple[int, Any] = (5000, "half")
    suggested: Any = ("pull",)
    """The values that are suggested for the open parameters."""
    log: Sequence[str] = ()
    """First lines of what the SDK logs as a warning or worse."""
    may_log: Sequence[str] = ()
    """What it logs besides, depending on which thread is first."""
    found: Sequence[str] = ()
    """What the plugin finds, and logs itself."""
    stderr: Sequence[str] = ()
    note: str = ""
    """What the page adds."""


@dataclass(frozen=True)
class Step:
    """A call of the host, and what it got."""

    call: str
    error: str | None = None
    got: Any = None


def script(callback: str, fault: str) -> str:
    """The calls of the host: two sources one after the other, destroy, and all anew."""
    kind = KINDS.get(callback, "pull")
    life = [f"open {kind}", "take", "take", "progress", "close", f"open {kind}", "take", "close", "destroy"]
    configs = [json.dumps({"callback": callback, "fault": fault}), json.dumps({"callback": "", "fault": ""})]
    return "\n".join(line for config in configs for line in (f"init {config}", "suggest", *life))


def play(library: Path, callback: str, fault: str) -> Output:
    """Runs a cell."""
    fields = request_lines(library, ["faulty.payload"])
    # A machine may be slow: only a source that brings nothing for seconds has stopped.
    env = environment(HOST_TIMEOUTS="300")
    return run(c_host_path(), "script", library, fields, script(callback, fault), env=env, timeout=HANGS)


def steps(ran: Output) -> list[Step]:
    """What the host told, call by call."""
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
    """What the host has to tell."""
    return _life(cell) + _life(Cell())


def _life(cell: Cell) -> list[Step]:
    def step(call: str, *got: Any) -> Step:
        if call == cell.fails and not any(item == "eof" for item in got):
            return Step(call, cell.error, [*got, "failure"])
        return Step(call, None, list(got) or None)

    if cell.fails == "init":
        return [step("init"), Step("destroy")]
    told = [step("init"), step("suggest", cell.suggested)]
    second = replace(cell, fails=None, events=EVENTS, text=Cell.text, field=Cell.field)
    if cell.fails == "open":
        told.append(step("open"))
    else:
        events = _events(cell)
        take = step("take", *events) if cell.fails == "take" else Step("take", None, [*events, "eof"])
        told += [step("open"), take, Step("take", None, ["eof"]), step("progress", cell.progress), step("close")]
    told += [Step("open"), Step("take", None, [*_events(second), "eof"]), Step("close"), Step("destroy")]
    return told


def _events(cell: Cell) -> list[tuple[Any, ...]]:
    told = [(event, f"text of {event}", event) for event in cell.events]
    if len(told) > 1:
        told[1] = (cell.events[1], cell.text, cell.field)
    return told


def logged(ran: Output) -> tuple[list[str], list[str]]:
    """The first lines of all warnings and errors: those of the SDK, and those of the plugin."""
    lines = [log["text"].splitlines()[0] for log in ran.values("log") if log["severity"] <= WARNING]
    own = [line.removeprefix(OWN_LOGGER) for line in lines if line.startswith(OWN_LOGGER)]
    return own, [line for line in lines if not line.startswith(OWN_LOGGER)]


def matches(pattern: str | None, text: str | None) -> bool:
    """Whether a text is what a cell says."""
    if pattern is None or text is None:
        return pattern is text
    return re.fullmatch(re.escape(pattern).replace("…", ".*"), text, re.DOTALL) is not None
