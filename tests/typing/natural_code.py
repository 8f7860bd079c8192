"""Typical user code, which mypy and pyright must accept in strict mode. It is never run."""

from __future__ import annotations

import mmap
import select
import selectors
import socket
import sys
import threading
from array import array
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Annotated, Any, assert_type

import msgspec

import falco_plugin
from falco_plugin import (
    EOF,
    Context,
    Counter,
    Cursor,
    Entry,
    Event,
    Fatal,
    Gauge,
    JsonField,
    Located,
    OpenParam,
    Plugin,
    PluginError,
    RetryLater,
    Secret,
    Table,
    Timeout,
    added,
    field,
    json_field,
    parse,
    source,
    table_field,
)
from falco_plugin.params import Params, SocketAddress
from falco_plugin.testing import ExtractedEvent, Run, collect, run
from falco_plugin.testing.fixtures import StartPlugin


class Lines(Plugin):
    """An `open` with one parameter, and a pull method."""

    name = "lines"
    version = "1.2.3"
    id = 999
    event_source = "lines"
    contact = "me@example.org"

    config: str
    remaining: list[bytes]

    def init(self) -> None:
        assert_type(self.config, str)
        self.remaining = self.config.encode().splitlines()
        self.log.info("%d lines", len(self.remaining))

    def destroy(self) -> None:
        self.remaining.clear()

    def open(self, params: str) -> source.PullInstance:
        return source.PullInstance(self.pull, timeout=0.1, batch_size=64, event_size=1 << 20, progress=self.progress)

    def pull(self, context: Context, writer: source.EventWriter) -> None:
        if context.cancelled or not self.remaining:
            raise EOF
        assert_type(writer.write(self.remaining.pop()), int)

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


class Log(Plugin):
    """Lines of a file, of a connection, or of standard input."""

    name = "log"

    def open(self, params: str) -> source.Instance:
        if params.startswith("/"):
            lines = source.LinesInstance(Path(params), follow=True, timestamp="/time", start="end")
            assert_type(lines.position, int)
            return source.LinesInstance(params, separator=b"\0", start=lines.cursor or 0, timeout=timedelta(seconds=1))
        if ":" in params:
            host, _, port = params.partition(":")
            return source.LinesInstance(socket.create_connection((host, int(port))))
        return source.LinesInstance(sys.stdin)


class TwoInstances(Plugin):
    """An `open` that returns one of two instance classes, and renames its parameter."""

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


class AsyncGenerated(Plugin):
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
    """A generator that is retried after an error."""

    name = "repeated"

    def open(self, params: str, context: Context) -> source.IterInstance:
        return source.IterInstance(self.items, retry=timedelta(seconds=1), context=context, event_size=1 << 20)

    def items(self, context: Context) -> Iterator[bytes | None]:
        yield b"one"
        yield None


class AnySource(Plugin):
    """An `open` that returns any kind of source."""

    name = "either"

    def open(self, params: str) -> source.OpenResult:
        if params == "callable":
            return lambda context: [b"one"]
        return source.PullInstance(pull_one) if params else [b"one"]


class Extended(Lines):
    """A plugin that extends another plugin."""

    name = "extended"

    def open(self, params: str) -> source.PullInstance:
        return super().open(params.removeprefix("extended:"))


class Merged(source.BaseInstance):
    """A custom instance that reads from other instances."""

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
    source.register(TwoInstances())
    source.register(Generated())
    source.register(AsyncGenerated())
    source.register(AnySource())
    return plugin


def pull_one(context: Context, writer: source.EventWriter) -> None:
    writer.write(b"one ")
    writer.write(bytearray(b"event"))
    assert_type(writer.timestamp, int | None)
    writer.timestamp = datetime.now(UTC)
    writer.timestamp = 1_700_000_000_000_000_000
    parsed = source.parse_timestamp("2026-11-25T08:00:00Z")
    assert_type(parsed, source.ParsedTimestamp)
    nanoseconds, has_zone = source.parse_timestamp(1_700_000_000.5)
    assert_type(nanoseconds, int)
    assert_type(has_zone, bool)
    writer.timestamp = source.parse_timestamp(1_700_000_000).nanoseconds
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


def skipped_items(context: Context) -> None:
    source.channel(on_error="log")
    source.channel(on_error="raise")
    source.IterInstance(numbers(), on_error="log")
    source.PullInstance(lambda context, writer: writer.write(b"event"), on_error="log")
    assert_type(context.fileno(), int)
    with selectors.DefaultSelector() as selector:
        selector.register(context, selectors.EVENT_READ)
    select.select([context], [], [])


def channels() -> None:
    sender, receiver = source.channel()
    assert_type(receiver.event_size, int)
    assert_type(sender.send(b"bytes"), bool)
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
    except source.ChannelClosedError as error:
        assert_type(error.source_ended, bool)
    except (source.BatchFullError, PluginError):
        raise
    assert_type(sender.flush(), bool)
    assert_type(sender.flush(timeout=timedelta(seconds=1)), bool)
    assert_type(sender.closed, bool)
    assert_type(sender.event_size, int)
    with sender.clone() as other:
        assert_type(other, source.Sender)
    sender.close(ValueError("broken"))
    sender.close(error=EOF)
    assert_type(source.split_json(b"{}{}"), list[bytes])
    sender.send_many(source.split_json(memoryview(b"{}"), lines=True, items="items"))
    sender.close()


def push_events() -> None:
    event = source.PushEvent(b"data", timestamp=1)
    assert_type(event.data, bytes | None)
    assert_type(event.timestamp, int | None)
    assert_type(event.error, BaseException | None)
    assert_type({event: 1}, dict[source.PushEvent, int])
    assert_type(event == source.PushEvent(bytearray(b"data"), datetime.now(UTC)), bool)


async def async_items(context: Context) -> AsyncIterator[bytes | source.PushEvent]:
    yield b"one"
    yield source.PushEvent(b"two")


def iterables() -> None:
    assert_type(source.IterInstance([b"one", bytearray(b"two"), (b"three", 3), None]), source.IterInstance)
    assert_type(source.IterInstance(numbers()), source.IterInstance)
    source.IterInstance(async_items, retry=0.5)
    source.IterInstance(async_items(Context()), timeout=1, close=lambda: None, progress=lambda: (0.5, "half"))
    source.IterInstance(open("log", "rb"), batch_size=16)  # noqa: SIM115 - the instance closes the file
    source.IterInstance(lambda context: numbers(), retry=timedelta(seconds=1))
    instance = source.IterInstance([b"one"])
    assert_type(instance.context, Context)
    assert_type(instance.next_batch(instance.events), int)
    instance.close()


def tests(start_plugin: StartPlugin) -> None:
    events = collect(Generated, "params", config={"a": 1}, limit=2, timeout=0.5)
    assert_type(events, list[ExtractedEvent])
    event: Event = collect(Beats, fields=["shop.verb", "jevt.value[/a]"], plugins=[Fields, "json.so"])[0]
    assert_type(event.data, bytes)
    assert_type(events[0].fields["shop.verb"], Any)
    result = run(Path("plugin.py"), config="text")
    assert_type(result.result, str)
    assert_type(result.error, str | None)
    assert_type([line.severity for line in result.log], list[str])
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


def other_names() -> None:
    assert_type(falco_plugin.__version__, str)
    assert_type(OpenParam("a").value, str)
    event = Event(bytearray(b"payload"), number=2, timestamp=1, source="lines")
    assert_type(Lines().event_to_string(event), str)
    assert_type(Lines().name, str)


class Parses(Plugin):
    """Methods that parse events."""

    name = "parses"
    extract_event_sources = ("syscall",)
    extract_event_types = ("execve",)

    @parse("execve", "procexit", async_events=["changed"], sources=["syscall"])
    def executed(self, event: Event) -> None:
        assert_type(event.name, str)
        assert_type(event.type, int)
        assert_type(event.thread_id, int | None)
        assert_type(event.params, Params)
        assert_type(event.params.raw("exe"), bytes)
        assert_type(list(event.params), list[str])
        address: SocketAddress = event.params["addr"]
        assert_type(str(address), str)
        assert_type(event.params.get(1), Any)

    @parse("pluginevent")
    def payload(self, event: Event) -> None:
        assert_type(event.data, bytes)


class Fields(Plugin):
    """A JSON field and a method field of each type."""

    name = "fields"
    extract_event_sources = ("k8s_audit", "shop")

    verb = json_field("shop.verb", "/verb", desc="The verb")
    code = json_field("shop.code", "/status/code", type=int, desc="The code", display="Code", add_output=True)
    done = json_field("shop.done", "/done", type=bool, desc="Done", hidden=True)
    at = json_field("shop.at", "/at", type=datetime, desc="The time", info=True)
    took = json_field("shop.took", "/took", type=timedelta, desc="The duration")
    ip = json_field("shop.ip", "/ip", type=IPv4Address | IPv6Address, desc="The client address", conversation=True)
    net = json_field("shop.net", "/net", type=IPv4Network | IPv6Network, desc="The client network")
    images = json_field("shop.images", "/items/{index|*}/image", type=list[str], desc="Images")
    ips = json_field("shop.ips", "/ips/*", type=list[IPv4Address | IPv6Address], desc="The client addresses")
    header = json_field("shop.header", "/headers/{key}", desc="A header")
    value = json_field("shop.value", "{pointer}", desc="Any value")

    @field("shop.untagged", desc="Whether an image has no tag", display="Untagged", add_output=True, info=True)
    def untagged(self, event: Event) -> bool:
        return any(":" not in image for image in self.images(event) or ())

    @field("shop.lines", desc="Lines", hidden=True, conversation=True)
    def lines(self, event: Event, index: int | None = None) -> list[str] | None:
        lines = event.text.splitlines()
        return lines if index is None else lines[index : index + 1]

    @field("shop.line", desc="A line")
    def line(self, event: Event, index: int) -> Located[str] | None:
        return Located(event.text, start=0, length=len(event.data)) if index == 0 else None

    @field("shop.parts", desc="Parts")
    def parts(self, event: Event) -> list[Located[str]]:
        return [Located("a", 0, 1)]

    @field("shop.number", desc="A number")
    def number(self, event: Event, key: str) -> int | None:
        found = event.json.get(key)
        return found if isinstance(found, int) else None

    @field("shop.both", desc="A field with an optional index or key")
    def both(self, event: Event, index: int | None = None, key: str | None = None) -> timedelta:
        return timedelta(seconds=index or len(key or ""))

    @field("shop.address", desc="An address")
    def address(self, event: Event) -> IPv4Address | IPv6Address | None:
        return self.ip(event)

    @field("shop.four", desc="An address of one family")
    def four(self, event: Event) -> IPv4Address:
        return IPv4Address(event.text)

    @field("shop.networks", desc="Networks")
    def networks(self, event: Event) -> list[IPv4Network | IPv6Network]:
        return [net for net in (self.net(event),) if net is not None]

    @field("shop.moment", desc="The time")
    def moment(self, event: Event) -> datetime:
        return self.at(event) or datetime.fromtimestamp(event.timestamp / 1e9, UTC)

    def check_types(self, event: Event) -> None:
        assert_type(self.verb, JsonField[str])
        assert_type(self.verb(event), str | None)
        assert_type(self.code(event), int | None)
        assert_type(self.done(event), bool | None)
        assert_type(self.at(event), datetime | None)
        assert_type(self.took(event), timedelta | None)
        assert_type(self.ip(event), IPv4Address | IPv6Address | None)
        assert_type(self.net(event), IPv4Network | IPv6Network | None)
        assert_type(self.images(event, 1), list[str] | None)
        assert_type(self.ips(event), list[IPv4Address | IPv6Address] | None)
        assert_type(self.header(event, key="host"), str | None)
        assert_type(self.value(event, key="/a/0"), str | None)
        assert_type(self.untagged(event), bool)
        assert_type(self.lines(event, 2), list[str] | None)
        assert_type(self.number(event, key="a"), int | None)
        assert_type(self.both(event, None, "a"), timedelta)
        assert_type(self.line(event, index=1), Located[str] | None)
        assert_type(event.json, Any)
        assert_type(event.type, int)


@dataclass(frozen=True)
class Limits:
    """A nested configuration."""

    most: Annotated[int, msgspec.Meta(ge=1, description="Events a second")] = 10


@dataclass
class ShopConfig:
    """A configuration as a dataclass."""

    url: str
    limits: Limits


class StructConfig(msgspec.Struct, frozen=True):
    """A configuration as a struct."""

    path: Annotated[str, msgspec.Meta(min_length=1)]
    retries: int = 3


class Configured(Plugin):
    name = "configured"
    config: ShopConfig

    def init(self) -> None:
        assert_type(self.config, ShopConfig)
        assert_type(self.config.limits.most, int)

    def open(self, params: str) -> Iterator[bytes]:
        yield self.config.url.encode()


class ConfiguredByStruct(Plugin):
    name = "struct"
    config: StructConfig

    def open(self, params: str) -> Iterable[bytes]:
        assert_type(self.config.retries, int)
        return [self.config.path.encode()]


class Measured(Plugin):
    """Metrics, and a new configuration."""

    name = "measured"
    config: ShopConfig
    requests = Counter("requests", desc="Requests")
    connections = Gauge("connections")

    def set_config(self, config: ShopConfig) -> None:
        assert_type(self.config, ShopConfig)
        self.requests.add()

    @Gauge.computed("cached", desc="Cached values", every=timedelta(minutes=1))
    def cached(self) -> int:
        return 3

    @Gauge.computed("load")
    def load(self) -> float:
        return 0.5

    def count(self) -> None:
        self.requests.add(3)
        self.connections.add(-1)
        self.connections.set(0.5)
        assert_type(self.requests, Counter)
        assert_type(self.requests.value, int)
        assert_type(self.connections.value, float)
        assert_type(self.requests.name, str)
        assert_type(self.cached(), int)
        assert_type(Measured.connections, Gauge)


def counted(run_: Run) -> None:
    number: float = run_.metrics["measured.requests"]
    print(number)
    run(Measured, set_config={"limit": 3})


class Argument(Entry):
    value: str


class Thread(Entry):
    comm: str
    uid: int
    args: Table[int, Argument]
    container_id: str | None
    owner: str = added()


class Session(Entry):
    user: str
    requests: int = 0


class Owners(Plugin):
    name = "owners"
    threads: Table[int, Thread] = Table.of("threads")
    containers: Table[str, Session] | None = Table.of("containers", optional=True)
    sessions: Table[str, Session] = Table.new("owners_sessions", record_changes=True)
    user = json_field("owners.user", "/user", desc="The user")
    owner = table_field("owners.owner", threads, "owner", desc="The owner", add_output=True)
    requests = table_field("owners.requests", sessions, "requests", desc="Requests", key=user)

    @field("owners.first", desc="The first argument")
    def first(self, event: Event) -> str | None:
        thread = self.threads.get(1)
        if thread is None or 0 not in thread.args:
            return None
        assert_type(thread.uid, int)
        assert_type(thread.container_id, str | None)
        return thread.args[0].value

    @parse("execve", "execveat", sources=["syscall"])
    def executed(self, event: Event) -> None:
        if thread := self.threads.get(event.thread_id):
            thread.owner = f"owner of {thread.comm}"
        assert_type(event.thread_id in self.threads, bool)
        assert_type(self.threads.get(event.thread_id, 0), Thread | int)

    def count(self, user: str) -> int:
        session = self.sessions.setdefault(user, Session(user=user))
        session.requests += 1
        for key, other in self.sessions.items():
            assert_type(key, str)
            assert_type(other.requests, int)
        changes, dropped = self.sessions.changes()
        assert_type(dropped, int)
        for kind, key in changes:
            assert_type(key, str)
            print(kind == "added", self.sessions.get(key))
        if self.containers is not None:
            del self.containers[user]
        return sum(entry.requests for entry in self.sessions.values()) + len(self.sessions)


@dataclass(frozen=True)
class Page:
    url: str
    seen: frozenset[str] = frozenset()


class Pages(Plugin):
    """Cursors of several types."""

    name = "pages"

    def open(self, params: str) -> Iterator[bytes | None]:
        page = Cursor(self, params, path=Path("page"), start=Page(params))
        assert_type(page.value.seen, frozenset[str])
        offset = Cursor(self, "", path=None, start=0, version=2, migrate={1: int})
        assert_type(offset.value, int)
        yield page.value.url.encode()
        yield None
        assert_type(offset.save(offset.value + 1), bool)
        page.save(Page("next"))


@dataclass
class Access:
    """Secrets of several kinds."""

    token: Secret
    password: Annotated[Secret | None, msgspec.Meta(description="The password")] = None


class Authorized(Plugin):
    """Secrets, and errors that steer retries."""

    name = "authorized"
    config: Access

    def open(self, params: str) -> source.IterInstance:
        return source.IterInstance(self.records, retry=5)

    def records(self, context: Context) -> Iterator[bytes]:
        assert_type(self.config.token.reveal(), str)
        if self.config.token == self.config.password or self.config.token == params_of(self):
            raise Fatal("both are equal")
        yield b"event"
        raise RetryLater(timedelta(minutes=1), "the rate limit is reached")


def params_of(plugin: Plugin) -> str:
    return plugin.name
