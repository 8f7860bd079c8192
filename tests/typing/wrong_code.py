"""Wrong uses of the API. Both mypy and pyright must reject each of them: an unused ignore comment is an error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from falco_plugin import (
    Context,
    Counter,
    Cursor,
    Entry,
    Event,
    Gauge,
    OpenParam,
    Plugin,
    Table,
    field,
    json_field,
    source,
    table_field,
)


class OpenReturnsInt(Plugin):
    name = "wrong"

    def open(self, params: str) -> int:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        return 1


class OpenReturnsNone(Plugin):
    name = "wrong"

    def open(self, params: str, context: Context) -> None: ...  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]


class OpenTakesInt(Plugin):
    name = "wrong"

    def open(self, params: int) -> source.Instance:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        return source.PullInstance(valid_pull)


class OpenTakesNothing(Plugin):
    name = "wrong"

    def open(self) -> source.Instance:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        return source.PullInstance(valid_pull)


class OpenTakesThree(Plugin):
    name = "wrong"

    def open(self, params: str, context: Context, more: int) -> source.Instance:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        return source.PullInstance(valid_pull)


class OpenIsAsync(Plugin):
    name = "wrong"

    async def open(self, params: str) -> source.Instance:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        return source.PullInstance(valid_pull)


class Attributes(Plugin):
    name = 1  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    id = "999"  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    event_source = None  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]


class Methods(Plugin):
    name = "wrong"

    def event_to_string(self, event: Event) -> bytes:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        return event.data

    def list_open_params(self) -> Sequence[OpenParam | int]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        return [1]


class NextBatchReturnsNone(source.BaseInstance):
    def next_batch(self, batch: source.EventBatch, /) -> None: ...  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]


class NextBatchTakesState(source.BaseInstance):
    def next_batch(self, state: Plugin, batch: source.EventBatch, /) -> int:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        return 1


class ProgressReturnsFraction(source.BaseInstance):
    def progress(self) -> float:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        return 0.5


class NoEvents:
    def next_batch(self, batch: source.EventBatch, /) -> int:
        return 1


class NoInstance:
    name = "wrong"
    version = "0.1.0"
    id = 999
    event_source = "wrong"
    description = ""
    contact = ""

    def open(self, params: str) -> int:
        return 1


def valid_pull(context: Context, writer: source.EventWriter) -> None:
    writer.write(b"good")


def pull_without_context(writer: source.EventWriter) -> None:
    writer.write(b"wrong")


def pull_in_wrong_order(writer: source.EventWriter, context: Context) -> None:
    writer.write(b"wrong")


def write_wrong_types(context: Context, writer: source.EventWriter) -> None:
    writer.write("text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    writer.timestamp = 1.5  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    writer.timestamp = "now"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    writer.timestamp = source.parse_timestamp("1")  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    source.parse_timestamp(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    source.parse_timestamp(b"1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    writer.commit("3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def instances(receiver: source.Receiver, sender: source.Sender) -> None:
    source.PullInstance(pull_without_context)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    source.PullInstance(pull_in_wrong_order)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    source.PullInstance("pull")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    source.PullInstance(valid_pull, 0.03)  # type: ignore[arg-type, call-arg]  # pyright: ignore[reportCallIssue]
    source.PullInstance(valid_pull, batch_size="128")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    source.PullInstance(valid_pull, event_size=0.5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    source.PullInstance(valid_pull, timeout="30ms")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    source.PullInstance(valid_pull, close=valid_pull)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    source.PullInstance(valid_pull, progress=lambda: 0.5)  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType]
    source.PullInstance(valid_pull, context=True)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    source.PullInstance(valid_pull).events = [b"event"]  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    source.PullInstance(valid_pull).context = Context()  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    source.PullInstance(valid_pull).next_batch([])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    source.PushInstance(sender)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    source.PushInstance(receiver, event_size=1024)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    source.LinesInstance(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    source.LinesInstance("log", b"\n")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    source.LinesInstance("log", separator="\n")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    source.LinesInstance("log").position = 5  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    source.BaseInstance(128)  # type: ignore[arg-type, call-arg]  # pyright: ignore[reportCallIssue]
    source.BaseInstance(batch_size="128")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def events(batch: source.EventBatch, sender: source.Sender) -> None:
    source.EventBatch("128")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    batch.append("text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    batch.append(("text", 1))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    batch.append(b"event", 1.5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    batch.append((b"event", 1.5))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    batch.append((b"event", 1, 2))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    batch.append(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    batch.extend("text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    batch.extend(["text"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    batch.full = True  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    batch[0:1]  # type: ignore[index]  # pyright: ignore[reportArgumentType]
    batch.writer().write(b"outside of with")  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    sender.send("text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sender.send(b"event", timeout="1s")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sender.send(b"event", 1, 2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    sender.send_many([1, 2])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    sender.send_many(b"bytes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sender.close("error")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    source.channel("1024")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    source.channel(on_error="ignore")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    source.channel(1024, 1 << 20)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    source.PushEvent()  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    source.PushEvent("text")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    source.PushEvent(b"event", error=ValueError())  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    source.PushEvent(error="error")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    source.PushEvent(b"event").data = b"other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def classes_created_only_by_sdk() -> None:
    source.Sender()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    source.Receiver()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    source.EventWriter()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


class Subclass(source.EventBatch): ...  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]


def other_names(context: Context) -> None:
    Context(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    context.wait("1s")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    context.on_cancel(valid_pull)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    source.register(object())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    source.register(NoInstance())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    source.Instance()  # type: ignore[misc]  # pyright: ignore[reportAbstractUsage]
    OpenParam(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Event("text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    no_events: source.Instance = NoEvents()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print(no_events)


def iterables() -> None:
    source.IterInstance([b"one"], retry=1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    source.IterInstance(["text"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType, reportCallIssue]
    source.IterInstance(lambda: [b"one"])  # type: ignore[arg-type, misc]  # pyright: ignore[reportArgumentType, reportCallIssue]
    source.IterInstance(1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


class YieldsStr(Plugin):
    name = "wrong"

    def open(self, params: str) -> Iterator[str]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        yield "text"


class WrongFields(Plugin):
    name = "wrong"

    number = json_field("wrong.number", "/a", type=float, desc="Falco has no floats")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    raw = json_field("wrong.raw", "/a", type=bytes, desc="Bytes are not a string")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    nested = json_field("wrong.nested", "/*/*", type=list[list[str]], desc="Lists are flat")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    number_pointer = json_field("wrong.pointer", 1, desc="A pointer is a string")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    undescribed = json_field("wrong.undescribed", "/a")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]

    @field("wrong.float", desc="Falco has no floats")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType, reportUntypedFunctionDecorator]
    def float(self, event: Event) -> float:
        return 1.5

    @field("wrong.bytes", desc="Bytes are not a string")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType, reportUntypedFunctionDecorator]
    def bytes(self, event: Event) -> bytes:
        return event.data

    @field("wrong.parameter", desc="Neither index nor key")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType, reportUntypedFunctionDecorator]
    def parameter(self, event: Event, other: int) -> str:
        return str(other)

    @field("wrong.index", desc="An index is a number")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType, reportUntypedFunctionDecorator]
    def index(self, event: Event, index: str) -> str:
        return index

    @field("wrong.no_event", desc="Without an event")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType, reportUntypedFunctionDecorator]
    def no_event(self) -> str:
        return ""

    @field("wrong.coroutine", desc="A field method is not async")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType, reportUntypedFunctionDecorator]
    async def coroutine(self, event: Event) -> str:
        return ""

    @field("wrong.undescribed_method")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue, reportUntypedFunctionDecorator]
    def undescribed_method(self, event: Event) -> str:
        return ""


class Verbs(Plugin):
    verb = json_field("right.verb", "/verb", desc="The verb")


def wrong_uses(plugin: Verbs, event: Event) -> None:
    plugin.verb(event, "one")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    plugin.verb()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    plugin.verb(event.data)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    number: int | None = plugin.verb(event)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print(number)


class Metrics(Plugin):
    requests = Counter("requests")
    unnamed = Counter()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    described = Gauge("described", "desc")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

    @Gauge.computed("text")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType, reportUntypedFunctionDecorator]
    def text(self) -> str:
        return ""

    def count(self) -> None:
        self.requests.add(1.5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        self.requests.add(n=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        self.described.set("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        self.requests.set(1)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def replaced_metric(plugin: Metrics) -> None:
    plugin.requests = 1  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]


class Session(Entry):
    user: str


class WrongTables(Plugin):
    name = "wrong"
    sessions: Table[str, Session] = Table.new("wrong_sessions")
    other: Table[str, Session] | None = Table.of("other", optional=True)
    without_desc = table_field("wrong.user", sessions, "user")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

    def use(self) -> None:
        Session(usr="eve")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        self.sessions[None]  # type: ignore[index]  # pyright: ignore[reportArgumentType]
        self.sessions.get(1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
        self.sessions[1]  # type: ignore[index]  # pyright: ignore[reportArgumentType]
        self.sessions["eve"] = "eve"  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]
        self.other["eve"]  # type: ignore[index]  # pyright: ignore[reportOptionalSubscript]
        self.sessions["eve"].user = 1  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]


class SavesAnotherType(Plugin):
    name = "wrong"

    def open(self, params: str) -> Sequence[bytes]:
        cursor = Cursor(self, params, path=None, start=0)
        cursor.save("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        Cursor(params, params, path=None, start=0)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        return []
