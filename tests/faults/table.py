"""The required result of every fault in every callback of user code. `plugin.py` has the faults."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from faults.playing import Cell

FAULTS = {
    "value_error": "raises `ValueError`",
    "keyboard_interrupt": "raises `KeyboardInterrupt`",
    "system_exit": "raises `SystemExit`",
    "memory_error": "raises `MemoryError`",
    "recursion_error": "calls itself until `RecursionError`",
    "huge_error": "raises with a message of 100 MB",
    "odd_error": "raises with NUL and a lone surrogate",
    "unspeakable_error": "raises an exception whose `__str__` raises",
    "wrong_type": "returns an object of the wrong type",
    "none": "returns `None`",
    "nul": "returns a `str` with NUL",
    "surrogates": "returns a `str` with a lone surrogate",
    "huge": "returns 100 MB",
    "blocks": "blocks ten times the timeout",
    "calls_itself": "calls its own instance",
    "closes": "closes its instance",
    "cancels": "cancels its context",
    "starts_threads": "starts threads, and leaves 20 behind",
    "forks": "forks, and the child returns",
    "holds": "keeps an argument, and uses it after the call",
}
CALLBACKS = {
    "config": "`__post_init__` of the configuration's class",
    "init": "`init`",
    "open": "`open`",
    "pull": "a pull function",
    "next_batch": "`next_batch` of a custom instance",
    "generator": "a step of a generator",
    "async generator": "a step of an async generator",
    "retry": "a step of a callable with `retry`",
    "progress": "`progress`",
    "on_cancel": "a callback of `Context.on_cancel`",
    "close": "`close` of an instance",
    "destroy": "`destroy`",
    "event_to_string": "`event_to_string`",
    "list_open_params": "`list_open_params`",
    "field": "a field's method",
    "gauge": "the method of a computed gauge",
    "set_config": "`set_config`",
    "parse": "a method with `@parse`",
    "async_events": "a step of a method with `@async_events`",
    "dump_state": "a step of `dump_state`",
    "capture_open": "`capture_open`",
    "routine": "a function of `Capture.every`",
    "capture_close": "`capture_close`",
}

CAUSES = {
    "value_error": "ValueError: broken (faulty.py:… in value_error)",
    "keyboard_interrupt": "KeyboardInterrupt (faulty.py:… in keyboard_interrupt)",
    "system_exit": "SystemExit: 3 (faulty.py:… in system_exit)",
    "memory_error": "MemoryError (faulty.py:… in memory_error)",
    "recursion_error": "RecursionError: maximum recursion depth exceeded (faulty.py:… in recursion_error)",
    "huge_error": "ValueError: xxxxxxxx…",
    "odd_error": "ValueError: nul \ufffd surrogate \ufffd (faulty.py:… in odd_error)",
    "unspeakable_error": "Unspeakable: no message, because its __str__ raised ValueError "
    "(faulty.py:… in unspeakable_error)",
}
"""The message of each exception for the host and the log."""

RAISES = tuple(CAUSES)
RETURNS = ("wrong_type", "none", "nul", "surrogates", "huge")

FORKED = (
    "falco-plugin: a process that the plugin forked returned to the code of its host, and was ended: end it "
    "with os._exit(), or start it with subprocess or multiprocessing"
)
HOST_OWNED = (
    "PluginError: only the host may call next_batch of an instance that open has returned, because it would miss the "
    "events of another call: to see them first, return a custom instance from open that calls this one"
)
LATE = "PluginError: an EventWriter works only during the call that it was passed to: do not keep it"
TOO_LARGE = (
    "EventTooLargeError: an event of 100000000 bytes is larger than the event size of 262144 bytes: raise event_size, "
    "or cut the event (faulty.py:… in …)"
)
NO_SOURCE = "TypeError: open returned {what} (faulty.py:… in open)"
NO_EVENT = "TypeError: an event's data must be bytes{what} (faulty.py:… in …)"
NOT_WRITTEN = (
    "TypeError: the pull function returned {what}: write the event with writer.write(data) instead (faulty.py:… in …)"
)
GOT_STR = ', got str: give text.encode(), or write b"..."'
NO_NUMBER = "gauge size failed: TypeError: value must be int or float, got {what} (faulty.py:… in size)"
NO_TEXT = "<event_to_string of faulty failed: {kind}>"
CALLED_AGAIN = "the source is called again in 0.01 s"
DROPPED = "dropped 1 event still in the channel when the source faulty ended"

NO_ASYNC_EVENT = (
    "TypeError: expected an AsyncEvent, got NoneType: yield AsyncEvent(name, data) with one of the names note "
    "(faulty.py:… in …)"
)
LATE_ROUTINE = (
    "held: capture raises PluginError: Capture.every can be called in capture_open only: call it there for each "
    "function"
)

NO_EFFECT = Cell()
HARMLESS = {
    "blocks": NO_EFFECT,
    "starts_threads": Cell(found=["from a thread"]),
    "forks": Cell(found=["the child ended with 1"], stderr=[FORKED]),
}
"""Faults with the same result in every callback."""
WITHOUT_INSTANCE = {
    "calls_itself": Cell(found=["called: [b'one']"], note="no source is open yet, so the plugin opened one itself"),
    "closes": Cell(note="no source is open yet, so the plugin opened one itself"),
    "cancels": Cell(note="no source is open yet, so the plugin opened one itself"),
}
CALLS_INSTANCE = Cell(found=[f"called: {HOST_OWNED}"])

Row = tuple[str | Iterable[str], Cell]


def fails(call: str, error: str = "{cause}", *, function: str | None = None, **more: object) -> Cell:
    """Returns the cell of a call that fails and whose reason is logged."""
    return Cell(fails=call, error=error, log=[f"{function or call} failed: {error}"], **more)  # type: ignore[arg-type]


def logs(line: str, **more: object) -> Cell:
    return Cell(log=[line], **more)  # type: ignore[arg-type]


def stops(error: str = "{cause}") -> Cell:
    """Returns the cell of a source whose second step ends it with an error."""
    return fails("take", error, function="next_batch", events=["one"])


def again(error: str = "{cause}") -> Cell:
    """Returns the cell of a source that is called again and starts from its beginning."""
    return Cell(
        events=["one", "one", "two", "three"],
        text="text of one",
        field="one",
        log=[f"the source failed: {error}", CALLED_AGAIN],
        note="consumed events come again, because this callable has no cursor",
    )


def rows(*rows: Row) -> dict[str, Cell]:
    """Returns a cell for each fault; a fault that no row names is harmless."""
    cells = dict(HARMLESS)
    for faults, cell in rows:
        for fault in [faults] if isinstance(faults, str) else faults:
            cells[fault] = cell
    return {fault: cells[fault] for fault in FAULTS}


def steps_of_an_iterable(stopped: Cell, too_large: Cell, wrong_type: Cell, text: Cell, held: Cell) -> dict[str, Cell]:
    """Returns the cells that all kinds of generators share."""
    return rows(
        (RAISES, stopped),
        ("wrong_type", wrong_type),
        ("none", Cell(events=["one", "three"], text="text of three", field="three", note="`None` is a barrier")),
        (["nul", "surrogates"], text),
        ("huge", too_large),
        ("calls_itself", CALLS_INSTANCE),
        (["closes", "cancels"], Cell(events=["one"], may_log=[DROPPED], note="as requested")),
        ("holds", held),
    )


def in_capture(cells: Mapping[str, Cell]) -> dict[str, Cell]:
    return {fault: replace(cell, captures=True) for fault, cell in cells.items()}


def stops_sending(error: str = "{cause}", **more: object) -> Cell:
    """Returns the cell of a method with ``@async_events`` that ends at its second step."""
    return logs(f"changes with @async_events failed: {error}", sent=["one"], **more)


def stops_dump(error: str = "{cause}", **more: object) -> Cell:
    """Returns the cell of a ``dump_state`` that ends at its second step."""
    return fails("dump_state", error, dumped=["one"], **more)


TABLE: Mapping[str, Mapping[str, Cell]] = {
    "config": rows(
        (RAISES, fails("init")),
        ("value_error", fails("init", "init_config does not fit: broken")),
        ("huge_error", fails("init", "init_config does not fit: xxxxxxxx…")),
        ("odd_error", fails("init", "init_config does not fit: nul \ufffd surrogate \ufffd")),
        (RETURNS, Cell(note="the returned value is ignored")),
        *WITHOUT_INSTANCE.items(),
        ("holds", Cell(note="there is no argument to keep")),
    ),
    "init": rows(
        (RAISES, fails("init")),
        (RETURNS, Cell(note="the returned value is ignored")),
        *WITHOUT_INSTANCE.items(),
        ("holds", Cell(found=["held: plugin is faulty"])),
    ),
    "open": rows(
        (RAISES, fails("open")),
        (
            "wrong_type",
            fails(
                "open",
                NO_SOURCE.replace(
                    "{what}",
                    "Event: return an iterable of events, such as a generator, or an instance of falco_plugin.source",
                ),
            ),
        ),
        ("none", fails("open", NO_SOURCE.replace("{what}", "None: is a `return` or a `yield` missing?"))),
        (
            ["nul", "surrogates", "huge"],
            fails("open", NO_SOURCE.replace("{what}", "str: for one event return [text.encode()]")),
        ),
        *WITHOUT_INSTANCE.items(),
        ("cancels", Cell(events=[], note="the context that is the argument of `open`")),
        ("holds", Cell(found=["held: context is cancelled: False"])),
    ),
    "pull": rows(
        (RAISES, stops()),
        (
            "wrong_type",
            stops(NOT_WRITTEN.replace("{what}", "Event")),
        ),
        (
            "none",
            Cell(
                events=["one", "", "two", "three"],
                text="text of ",
                field="",
                note="nothing was written, so the event is empty",
            ),
        ),
        (
            ["nul", "surrogates"],
            stops(NOT_WRITTEN.replace("{what}", "str")),
        ),
        ("huge", stops(TOO_LARGE)),
        ("calls_itself", CALLS_INSTANCE),
        (["closes", "cancels"], Cell(events=["one", "two"], note="the event in progress is still delivered")),
        (
            "holds",
            Cell(
                found=[
                    "held: view is written over",
                    f"held: writer raises {LATE}",
                    f"held: writer_elsewhere raises {LATE}",
                ],
                note="the view is memory of Python: the host's events do not change",
            ),
        ),
    ),
    "next_batch": rows(
        (RAISES, stops()),
        (
            ["wrong_type", "none", "nul", "surrogates"],
            logs(
                "next_batch returned without an event, which counts as a timeout: raise falco_plugin.Timeout if "
                "there is no event for now, or falco_plugin.EOF at the end",
                note="appended events count, whatever is returned",
            ),
        ),
        ("huge", stops(TOO_LARGE)),
        (
            "calls_itself",
            Cell(
                found=["called: [b'two']"],
                events=["one", "three"],
                text="text of three",
                field="three",
                note="the method of user code: the event is in the batch that user code created",
            ),
        ),
        ("closes", Cell(note="the method of user code, which this `next_batch` ignores")),
        ("cancels", Cell(events=["one", "two"], note="the event in progress is still delivered")),
        (
            "holds",
            Cell(
                found=[
                    "held: batch raises PluginError: this batch is in use elsewhere, for example by the host: use it "
                    "only in next_batch"
                ]
            ),
        ),
    ),
    "generator": steps_of_an_iterable(
        stops(),
        stops(TOO_LARGE),
        stops(NO_EVENT.replace("{what}", ", got Event: give bytes or another buffer")),
        stops(NO_EVENT.replace("{what}", GOT_STR)),
        Cell(found=["held: payload is emptied"], note="a `bytearray` is copied when it is yielded"),
    ),
    "async generator": steps_of_an_iterable(
        stops(),
        stops(TOO_LARGE),
        stops(NO_EVENT.replace("{what}", ", got Event: give bytes or another buffer")),
        stops(NO_EVENT.replace("{what}", GOT_STR)),
        Cell(found=["held: payload is emptied"], note="a `bytearray` is copied when it is yielded"),
    ),
    "retry": steps_of_an_iterable(
        again(),
        again(TOO_LARGE),
        again(NO_EVENT.replace("{what}", ", got Event: give bytes or another buffer")),
        again(NO_EVENT.replace("{what}", GOT_STR)),
        Cell(found=["held: attempt is cancelled: False"]),
    )
    | dict.fromkeys(("keyboard_interrupt", "system_exit"), stops()),
    "progress": rows(
        (RAISES, logs("progress failed: {cause}", progress=(0, ""))),
        (
            "wrong_type",
            logs(
                "progress failed: TypeError: progress must return a (fraction from 0 to 1, str) tuple, got Event",
                progress=(0, ""),
            ),
        ),
        (
            "none",
            logs(
                "progress failed: TypeError: progress must return a (fraction from 0 to 1, str) tuple, got NoneType",
                progress=(0, ""),
            ),
        ),
        ("nul", Cell(progress=(5000, "a\ufffdb"))),
        ("surrogates", Cell(progress=(5000, "a\ufffdb"))),
        ("huge", Cell(progress=(5000, {"length": 100_000_000}))),
        ("calls_itself", CALLS_INSTANCE),
        (["closes", "cancels"], Cell(note="the source has ended before")),
        ("holds", Cell(found=[f"held: instance raises {HOST_OWNED}"])),
    ),
    "on_cancel": rows(
        (RAISES, logs("a callback of Context.on_cancel failed: {cause}")),
        (RETURNS, Cell(note="the returned value is ignored")),
        ("calls_itself", CALLS_INSTANCE),
        (["closes", "cancels"], Cell(note="the source is being closed")),
        ("holds", Cell(found=[f"held: instance raises {HOST_OWNED}"])),
    ),
    "close": rows(
        (RAISES, logs("close failed: {cause}")),
        (RETURNS, Cell(note="the returned value is ignored")),
        ("calls_itself", CALLS_INSTANCE),
        (["closes", "cancels"], Cell(note="the source is being closed")),
        ("holds", Cell(found=[f"held: instance raises {HOST_OWNED}", "held: context is cancelled: True"])),
    ),
    "destroy": rows(
        (RAISES, logs("destroy failed: {cause}")),
        (RETURNS, Cell(note="the returned value is ignored")),
        ("calls_itself", CALLS_INSTANCE),
        (["closes", "cancels"], Cell(note="the source is closed")),
        ("holds", Cell(note="no code of the plugin runs later")),
    ),
    "event_to_string": rows(
        (RAISES, logs("event_to_string failed: {cause}", text=NO_TEXT)),
        (
            "wrong_type",
            logs(
                "event_to_string failed: TypeError: event_to_string must return str, not Event (faulty.py:… in "
                "event_to_string)",
                text=NO_TEXT.replace("{kind}", "TypeError"),
            ),
        ),
        (
            "none",
            logs(
                "event_to_string failed: TypeError: event_to_string returned None: is a `return` missing? "
                "(faulty.py:… in "
                "event_to_string)",
                text=NO_TEXT.replace("{kind}", "TypeError"),
            ),
        ),
        ("nul", Cell(text="a\ufffdb")),
        ("surrogates", Cell(text="a\ufffdb")),
        ("huge", Cell(text={"length": 100_000_000})),
        ("calls_itself", CALLS_INSTANCE),
        (["closes", "cancels"], Cell(events=["one", "two"])),
        ("holds", Cell(found=["held: event two"])),
    ),
    "list_open_params": rows(
        (RAISES, fails("suggest", function="list_open_params", suggested=None)),
        (
            "wrong_type",
            fails(
                "suggest",
                "TypeError: list_open_params must return a list of OpenParam or str, not Event",
                function="list_open_params",
                suggested=None,
            ),
        ),
        (
            "none",
            fails(
                "suggest",
                "TypeError: list_open_params must return a list of OpenParam or str, not NoneType",
                function="list_open_params",
                suggested=None,
            ),
        ),
        ("nul", Cell(suggested=("a\0b",), note="escaped, because the host gets JSON")),
        ("surrogates", Cell(suggested=("a\ufffdb",))),
        ("huge", Cell(suggested={"length": 100_000_039})),
        *WITHOUT_INSTANCE.items(),
        ("holds", Cell(found=["held: plugin is faulty"])),
    ),
    "field": rows(
        (RAISES, logs("field faulty.payload is absent: {cause}", field=None)),
        (
            "wrong_type",
            logs(
                "field faulty.payload is absent: TypeError: it is declared as str, but it returned Event "
                "(faulty.py:… in payload)",
                field=None,
            ),
        ),
        ("none", Cell(field=None, note="`None` means that there is no value")),
        (["nul", "surrogates"], Cell(field="a\ufffdb")),
        ("huge", Cell(field={"length": 100_000_000})),
        ("calls_itself", CALLS_INSTANCE),
        (["closes", "cancels"], Cell(events=["one", "two"])),
        ("holds", Cell(found=["held: event two"])),
    ),
    "gauge": rows(
        (RAISES, logs("gauge size failed: {cause}", note="the last value stays")),
        ("wrong_type", logs(NO_NUMBER.replace("{what}", "Event"))),
        ("none", logs(NO_NUMBER.replace("{what}", "NoneType"))),
        (["nul", "surrogates", "huge"], logs(NO_NUMBER.replace("{what}", "str"))),
        *WITHOUT_INSTANCE.items(),
        ("holds", Cell(found=["held: plugin is faulty"])),
    ),
    "set_config": {
        fault: replace(cell, configures=True)
        for fault, cell in rows(
            (RAISES, fails("configure", function="set_config", note="the plugin keeps the previous configuration")),
            (RETURNS, Cell(note="the returned value is ignored")),
            *WITHOUT_INSTANCE.items(),
            ("holds", Cell(found=["held: plugin is faulty"])),
        ).items()
    },
    "parse": rows(
        (RAISES, logs("parsed failed to parse an event: {cause}", note="other methods get the event")),
        (RETURNS, Cell(note="the returned value is ignored")),
        ("calls_itself", CALLS_INSTANCE),
        (["closes", "cancels"], Cell(events=["one", "two"])),
        ("holds", Cell(found=["held: event two"])),
    ),
    "async_events": in_capture(
        rows(
            (RAISES, stops_sending()),
            ("wrong_type", stops_sending(NO_EVENT.replace("{what}", ", got Event: give bytes or another buffer"))),
            ("none", stops_sending(NO_ASYNC_EVENT)),
            (["nul", "surrogates"], stops_sending(NO_EVENT.replace("{what}", GOT_STR))),
            ("huge", Cell(sent=["one", {"length": 100_000_000}, "three"])),
            *WITHOUT_INSTANCE.items(),
            ("cancels", Cell(note="the context that is the argument of the method, which does not end it")),
            ("holds", Cell(found=["held: context is cancelled: False"])),
        )
    ),
    "dump_state": in_capture(
        rows(
            (RAISES, stops_dump()),
            ("wrong_type", stops_dump(NO_EVENT.replace("{what}", ", got Event: give bytes or another buffer"))),
            ("none", stops_dump(NO_ASYNC_EVENT)),
            (["nul", "surrogates"], stops_dump(NO_EVENT.replace("{what}", GOT_STR))),
            ("huge", Cell(dumped=["one", {"length": 100_000_000}, "three"])),
            ("calls_itself", CALLS_INSTANCE),
            (["closes", "cancels"], Cell(note="the source is closed")),
            ("holds", Cell(found=["held: plugin is faulty"])),
        )
    ),
    "capture_open": in_capture(
        rows(
            (RAISES, fails("capture_open", note="Falco ends")),
            (RETURNS, Cell(note="the returned value is ignored")),
            *WITHOUT_INSTANCE.items(),
            ("holds", Cell(found=[LATE_ROUTINE])),
        )
    ),
    "routine": in_capture(
        rows(
            (RAISES, logs("Faulty.routine of Capture.every failed: {cause}", note="the next calls are made")),
            (RETURNS, Cell(note="the returned value is ignored")),
            *WITHOUT_INSTANCE.items(),
            ("holds", Cell(found=["held: plugin is faulty"])),
        )
    ),
    "capture_close": in_capture(
        rows(
            (RAISES, logs("capture_close failed: {cause}")),
            (RETURNS, Cell(note="the returned value is ignored")),
            ("calls_itself", CALLS_INSTANCE),
            (["closes", "cancels"], Cell(note="the source is closed")),
            ("holds", Cell(found=[LATE_ROUTINE])),
        )
    ),
}


def cells() -> Iterator[tuple[str, str, Cell]]:
    """Yields all cells, with the exceptions inserted into the messages."""
    for callback, faults in TABLE.items():
        for fault, cell in faults.items():
            yield callback, fault, _filled(cell, fault)


def _filled(cell: Cell, fault: str) -> Cell:
    cause = CAUSES.get(fault, "{cause}")
    kind = re.match(r"\w*", cause)[0]  # type: ignore[index]

    def fill(text: str) -> str:
        return text.replace("{cause}", cause).replace("{kind}", kind)

    shown = fill(cell.text) if isinstance(cell.text, str) else cell.text
    return replace(cell, error=cell.error and fill(cell.error), text=shown, log=[fill(text) for text in cell.log])
