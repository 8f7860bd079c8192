"""Code as a user writes it. mypy and pyright, both strict, must accept all of it; it is never run."""

from __future__ import annotations

import mmap
import threading
from array import array
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import assert_type

import falco_plugin
from falco_plugin import EOF, Context, Event, OpenParam, Plugin, PluginError, Timeout, source
from falco_plugin.testing import Run, collect, run
from falco_plugin.testing.fixtures import StartPlugin


class Lines(Plugin):
    """An `open` with one parameter, and a method that pulls."""

    name = "lines"
    version = "1.2.3"
    id = 999
    event_source = "lines"
    contact = "me@example.org"

    left: list[bytes]

    def init(self) -> None:
        assert_type(self.config, str)
        self.left = self.config.encode().splitlines()
        self.log.info("%d lines", len(self.left))

    def destroy(self) -> None:
        self.left.clear()

    def open(self, params: str) -> source.PullInstance:
        return source.PullInstance(self.pull, timeout=0.1, batch_size=64, event_size=1 << 20, progress=self.progress)

    def pull(self, context: Context, writer: source.EventWriter) -> None:
        if context.cancelled or not self.left:
            raise EOF
        assert_type(writer.write(self.left.pop()), int)

    def progress(self) -> tuple[float, str]:
        return 0.5, "half"

    def list_open_params(self) -> Sequence[OpenParam | str]:
        return [OpenParam("a", desc="the first", separator=","), "b"]

    def event_to_string(self, event: Event) -> str:
        assert_type(event.data, bytes)
        assert_type(event.number, int)
        assert_type(event.timestamp, int)
        assert_type(event.source, str)
        return event.text


class Beats(Plugin):
    """An `open` with two parameters, and a producer thread."""

    name = "beats"

    def open(self, params: str, context: Context) -> source.Instance:
        sender, receiver = source.channel(64, max_bytes=1 << 20, event_size=1024)
        assert_type(sender, source.Sender)
        assert_type(receiver, source.Receiver)
        producer = threading.Thread(target=self.produce, args=(sender, context), daemon=True)
        producer.start()
        return source.PushInstance(
            receiver, context=context, timeout=timedelta(milliseconds=10), batch_size=16, close=producer.join
        )

    def produce(self, sender: source.Sender, context: Context) -> None:
        with sender:
            while not context.wait(1):
                sender.send(b"beat")


class Chosen(Plugin):
    """Both kinds of instance from one `open`, and a parameter of another name."""

    name = "chosen"

    def open(self, path: str) -> source.PullInstance | Merged:
        return source.PullInstance(pull_one) if path else Merged([])


class Generated(Plugin):
    """An `open` that is a generator."""

    name = "generated"

    def open(self, params: str, context: Context) -> Iterator[bytes | tuple[bytes, datetime] | None]:
        while not context.wait(1):
            yield b"one"
            yield b"two", datetime.now(UTC)
            yield None


class GeneratedLater(Plugin):
    """An `open` that is an async generator."""

    name = "generated"

    async def open(self, params: str) -> AsyncIterator[bytes]:
        yield b"one"


class Listed(Plugin):
    """An `open` that returns an iterable."""

    name = "listed"

    def open(self, params: str) -> Iterable[bytes]:
        return Path(params).read_bytes().splitlines()


class Repeated(Plugin):
    """A generator that is called again after an error."""

    name = "repeated"

    def open(self, params: str, context: Context) -> source.IterInstance:
        return source.IterInstance(self.items, retry=timedelta(seconds=1), context=context, event_size=1 << 20)

    def items(self, context: Context) -> Iterator[bytes | None]:
        yield b"one"
        yield None


class Either(Plugin):
    """An `open` that returns whatever it likes."""

    name = "either"

    def open(self, params: str) -> source.Opened:
        if params == "callable":
            return lambda context: [b"one"]
        return source.PullInstance(pull_one) if params else [b"one"]


class Late(Lines):
    """A plugin made of another one."""

    name = "late"

    def open(self, params: str) -> source.PullInstance:
        return super().open(params.removeprefix("late:"))


class Merged(source.BaseInstance):
    """An instance of one's own that reads from others."""

    def __init__(self, parts: list[source.Instance], context: Context | None = None) -> None:
        super().__init__(context=context, batch_size=256, event_size=4096)
        self.parts = parts

    def next_batch(self, batch: source.EventBatch, /) -> int:
        if not self.parts:
            raise EOF
        try:
            return self.parts[0].next_batch(batch)
        except EOF:
            del self.parts[0]
            raise Timeout from None

    def progress(self) -> tuple[float, str]:
        return 1 / (1 + len(self.parts)), f"{len(self.parts)} left"

    def close(self) -> None:
        assert_type(self.context.cancelled, bool)
        self.parts.clear()


class NoBase:
    """An instance without a base class."""

    def __init__(self) -> None:
        self.events = source.EventBatch(event_size=100)

    def next_batch(self, batch: source.EventBatch) -> int:
        batch.append(b"one")
        return 1


class NoBasePlugin:
    """A plugin without a base class, for `source.register`."""

    name = "nobase"
    version = "0.1.0"
    id = 999
    event_source = "nobase"
    description = "No base class"
    contact = ""

    def open(self, params: str, context: Context) -> source.Instance:
        return NoBase()


def make_plugin() -> NoBasePlugin:
    plugin = NoBasePlugin()
    source.register(plugin)
    source.register(Lines())
    source.register(Beats())
    source.register(Chosen())
    source.register(Generated())
    source.register(GeneratedLater())
    source.register(Either())
    return plugin


def pull_one(context: Context, writer: source.EventWriter) -> None:
    writer.write(b"one ")
    writer.write(bytearray(b"event"))
    assert_type(writer.timestamp, int | None)
    writer.timestamp = datetime.now(UTC)
    writer.timestamp = 1_700_000_000_000_000_000
    assert_type(len(writer), int)


def pull_reserved(context: Context, writer: source.EventWriter) -> int:
    view = writer.reserve(100)
    assert_type(view, memoryview)
    view[:3] = b"abc"
    return writer.commit(3)


def pull_functions() -> None:
    functions: list[source.PullFunc] = [
        pull_one,
        pull_reserved,
        Lines().pull,
        lambda context, writer: writer.write(b"x"),
    ]
    for function in functions:
        assert_type(source.PullInstance(function), source.PullInstance)
    instance = source.PullInstance(pull_one, context=Context(), timeout=timedelta(0), close=lambda: None)
    assert_type(instance.context, Context)
    assert_type(instance.events, source.EventBatch)
    assert_type(instance.next_batch(source.EventBatch()), int)
    assert_type(instance.progress(), tuple[float, str])
    instance.events = source.EventBatch(16)
    instance.close()
    assert isinstance(instance, source.Instance)


def numbers() -> Iterator[tuple[bytes, int]]:
    for number in range(10):
        yield b"%d" % number, number


def batches(page: mmap.mmap) -> None:
    batch = source.EventBatch(128, event_size=1024)
    now = datetime.now(UTC)
    batch.append(b"bytes")
    batch.append(bytearray(b"bytearray"), 1)
    batch.append(memoryview(b"memoryview"), now)
    batch.append(array("b", [1, 2]), timestamp=None)
    batch.append(page)
    batch.append((b"pair", 1))
    batch.append((b"pair", now))
    batch.append((b"pair", None))
    batch.append(source.PushEvent(b"event", now))
    assert_type(batch.extend([b"a", b"b"]), int)
    assert_type(batch.extend([(b"a", 1), (b"b", 2)]), int)
    assert_type(batch.extend([b"a", (b"b", 2), source.PushEvent(b"c")]), int)
    assert_type(batch.extend(numbers()), int)
    assert_type(batch.extend(line for line in b"a\nb".splitlines()), int)
    with batch.writer() as writer:
        assert_type(writer, source.EventWriter)
        writer.write(b"written")
    assert_type(batch.full, bool)
    assert_type(batch.batch_size, int)
    assert_type(batch.event_size, int)
    assert_type(len(batch), int)
    assert_type(batch[0], source.PushEvent)
    assert_type(batch[-1].data, bytes | None)
    batch.clear()


def channels() -> None:
    sender, receiver = source.channel()
    assert_type(receiver.event_size, int)
    sender.send(b"bytes")
    sender.send(bytearray(b"bytearray"), 1, timeout=0)
    sender.send((b"pair", 1), timeout=timedelta(seconds=1))
    sender.send(source.PushEvent(b"event"), timeout=None)
    sender.send(source.PushEvent(error=EOF))
    sender.send(source.PushEvent(error=ValueError("broken")))
    try:
        assert_type(sender.send_many([b"a", (b"b", None), source.PushEvent(b"c")], timeout=0.5), int)
        sender.send_many(numbers())
    except source.ChannelFullError as error:
        assert_type(error.taken, int)
    except source.EventTooLargeError as error:
        assert_type(error.size, int)
        assert_type(error.event_size, int)
    except (source.ChannelClosedError, source.BatchFullError, PluginError):
        raise
    assert_type(sender.flush(), bool)
    assert_type(sender.flush(timeout=timedelta(seconds=1)), bool)
    assert_type(sender.closed, bool)
    assert_type(sender.event_size, int)
    with sender.clone() as other:
        assert_type(other, source.Sender)
    sender.close(ValueError("broken"))
    sender.close(error=EOF)
    sender.close()


def push_events() -> None:
    event = source.PushEvent(b"data", timestamp=1)
    assert_type(event.data, bytes | None)
    assert_type(event.timestamp, int | None)
    assert_type(event.error, BaseException | None)
    assert_type({event: 1}, dict[source.PushEvent, int])
    assert_type(event == source.PushEvent(bytearray(b"data"), datetime.now(UTC)), bool)


async def later(context: Context) -> AsyncIterator[bytes | source.PushEvent]:
    yield b"one"
    yield source.PushEvent(b"two")


def iterables() -> None:
    assert_type(source.IterInstance([b"one", bytearray(b"two"), (b"three", 3), None]), source.IterInstance)
    assert_type(source.IterInstance(numbers()), source.IterInstance)
    source.IterInstance(later, retry=0.5)
    source.IterInstance(later(Context()), timeout=1, close=lambda: None, progress=lambda: (0.5, "half"))
    source.IterInstance(open("log", "rb"), batch_size=16)  # noqa: SIM115 - the instance closes it
    source.IterInstance(lambda context: numbers(), retry=timedelta(seconds=1))
    instance = source.IterInstance([b"one"])
    assert_type(instance.context, Context)
    assert_type(instance.next_batch(instance.events), int)
    instance.close()


def tests(start_plugin: StartPlugin) -> None:
    assert_type(collect(Generated, "params", config={"a": 1}, limit=2, timeout=0.5), list[Event])
    ran = run(Path("plugin.py"), config="text")
    assert_type(ran.result, str)
    assert_type(ran.error, str | None)
    assert_type([line.severity for line in ran.log], list[str])
    plugin = start_plugin(make_plugin, "params", config=None)
    assert_type(plugin.next_event().data, bytes)
    assert_type(plugin.wait_for_log("text", timeout=1).text, str)
    assert_type(plugin.stop(), Run)


def contexts(callback: Callable[[], object]) -> None:
    context = Context()
    child = Context(context)
    child.on_cancel(callback)
    child.on_cancel(lambda: print("cancelled"))
    assert_type(Context(parent=child).wait(), bool)
    assert_type(child.wait(timedelta(seconds=1)), bool)
    assert_type(child.wait(timeout=0.5), bool)
    context.cancel()


def the_rest() -> None:
    assert_type(falco_plugin.__version__, str)
    assert_type(OpenParam("a").value, str)
    event = Event(bytearray(b"payload"), number=2, timestamp=1, source="lines")
    assert_type(Lines().event_to_string(event), str)
    assert_type(Lines().name, str)
