"""Every kind of source. The open parameters name the kind, followed by a space and a letter for each step."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator

from falco_plugin import EOF, Context, Event, OpenParam, Plugin, Timeout, field, json_field, source

PAYLOADS = {
    "j": b'{"text": "caf\xc3\xa9 \\u00e9\\u0000x", "number": 7, "list": ["a", null, "b"], "key": {"a": 1}}',
    "b": b"\xff\x00\xfe{",
    "e": b"",
    "l": b"[" + b'"x",' * 3000 + b"1]",
}
EVENT_SIZE = 16384
PAUSE = 0.001


class BrokenError(Exception):
    """The exception of the plugin."""


def act(step: str, context: Context) -> bytes:
    """Performs a step: returns a payload, or does what else a source can do."""
    match step:
        case "t":
            raise Timeout
        case "x":
            raise EOF
        case "r":
            raise BrokenError("broken \0 \ud800")
        case "k":
            raise KeyboardInterrupt
        case "s":
            raise SystemExit(1)
        case "c":
            context.cancel()
        case "g":
            return bytes(EVENT_SIZE + 1)
    return PAYLOADS.get(step, step.encode("utf-8", "replace"))


class CustomInstance(source.BaseInstance):
    """A custom instance that breaks the rules."""

    def __init__(self, context: Context, steps: str) -> None:
        super().__init__(context=context, batch_size=3, event_size=EVENT_SIZE)
        self.steps = iter(steps)

    def next_batch(self, batch: source.EventBatch, /) -> int:
        for step in self.steps:
            if step == "n":
                return 1
            if step == "i":
                return self.next_batch(batch)
            if step == "q":
                self.close()
            if step == "v":
                batch.clear()
                continue
            batch.append(act(step, self.context))
            if batch.full or step == ".":
                return len(batch)
        raise EOF

    def progress(self) -> tuple[float, str]:
        return float("nan"), "custom \0 \ud800"

    def close(self) -> None:
        raise BrokenError("close")


def pull(context: Context, steps: str) -> source.PullInstance:
    """Writes through views that outlive their event."""
    left = iter(steps)
    views: list[memoryview] = []

    def write(context: Context, writer: source.EventWriter) -> None:
        step = next(left, "x")
        if step == "v":
            views.append(writer.reserve(40))
            writer.commit(20)
            return
        if views:
            views[-1][:] = b"v" * len(views[-1])
        writer.write(act(step, context))
        writer.timestamp = len(views)

    def progress() -> tuple[float, str]:
        return len(views) / 3, "pulled"

    return source.PullInstance(
        write, context=context, timeout=PAUSE, batch_size=4, event_size=EVENT_SIZE, progress=progress
    )


def push(context: Context, steps: str) -> source.PushInstance:
    """Sends from its own thread."""
    sender, receiver = source.channel(2, event_size=EVENT_SIZE)

    def produce() -> None:
        try:
            with sender:
                for step in steps:
                    sender.send(act(step, context))
        except (source.ChannelClosedError, Timeout, EOF, BrokenError, KeyboardInterrupt, SystemExit):
            pass

    threading.Thread(target=produce, daemon=True).start()
    return source.PushInstance(receiver, context=context, timeout=PAUSE, batch_size=3)


def items(context: Context, steps: str) -> Iterator[bytes | None]:
    """Yields payloads and barriers."""
    for step in steps:
        yield None if step == "." else act(step, context)


async def async_items(context: Context, steps: str) -> AsyncIterator[bytes | None]:
    for item in items(context, steps):
        yield item


class Sources(Plugin):
    """Every kind of source"""

    name = "fuzz-sources"
    event_source = "fuzz"
    id = 4711

    text = json_field("fuzz.text", "/text", desc="A text")
    number = json_field("fuzz.number", "/number", type=int, desc="A number")
    every = json_field("fuzz.list", "/list/{index|*}", type=list[str], desc="Texts")
    key = json_field("fuzz.key", "/key/{key}", desc="A member")

    @field("fuzz.method", desc="Made by a method")
    def method(self, event: Event, key: str | None = None) -> list[str]:
        if event.data.startswith(b"\xff"):
            raise BrokenError("method")
        return [key or "", event.text, *(self.every(event) or ())]

    def open(self, params: str, context: Context) -> object:
        kind, _, steps = params.partition(" ")
        kinds: dict[str, Callable[[Context, str], object]] = {
            "pull": pull,
            "push": push,
            "items": items,
            "async": async_items,
            "custom": CustomInstance,
            "lines": lambda context, steps: source.LinesInstance(__file__, context=context, follow=False),
            "none": lambda context, steps: None,
            "retry": lambda context, steps: source.IterInstance(lambda context: items(context, steps), retry=PAUSE),
        }
        if kind not in kinds:
            raise BrokenError(f"unknown kind {kind!r}")
        return kinds[kind](context, steps)

    def event_to_string(self, event: Event) -> str:
        return f"{event.number} {event.source} {act(event.text[:1], Context())!r} \0 \ud800"

    def list_open_params(self) -> list[OpenParam | str]:
        return [OpenParam("pull e", "An \0 empty event", ","), "push jb"]
