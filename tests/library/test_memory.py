"""Transfers of data between a plugin and the C host, with each kind of end. `make valgrind` runs these tests."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import pytest
from support.fields import join_payloads, request_lines
from support.hosts import Output, c_host_lines, cycle_payloads, environment, run_cycle
from support.libraries import build_plugin

PRODUCERS = 4
EVENTS_PER_PRODUCER = 60
PLUGIN = """
    import json
    import threading

    from falco_plugin import EOF, Event, Plugin, Timeout, field, json_field, source

    PRODUCERS, EVENTS_PER_PRODUCER = {producers}, {events}


    def payload(number, producer=0):
        # Most payloads are small; every 29th is large.
        size = 200_000 if number % 29 == 28 else number * 7 % 200
        return json.dumps({{"producer": producer, "number": number, "text": "x" * size}}).encode()


    class CustomInstance(source.BaseInstance):
        def __init__(self):
            super().__init__()
            self.numbers = iter(range(EVENTS_PER_PRODUCER))

        def next_batch(self, batch):
            while not batch.full:
                for number in self.numbers:
                    batch.append(payload(number))
                    break
                else:
                    raise EOF
            return len(batch)


    class Everything(Plugin):
        name = event_source = "everything"
        number = json_field("e.number", "/number", type=int, desc="Number")
        text = json_field("e.text", "/text", desc="Text")
        any = json_field("e.any", "{{pointer}}", desc="Any value")

        @field("e.half", desc="Half of the text")
        def half(self, event: Event) -> list[str]:
            text = self.text(event) or ""
            return [text[: len(text) // 2], text[len(text) // 2 :]]

        def event_to_string(self, event):
            return event.text

        def open(self, params, context):
            kind, _, argument = params.partition(" ")
            return getattr(self, kind)(argument, context)

        def pull(self, argument, context):
            numbers = iter(range(EVENTS_PER_PRODUCER))

            def pull(context, writer):
                for number in numbers:
                    data = payload(number)
                    if number % 3:
                        writer.write(data)
                    else:
                        writer.reserve(len(data))[:] = data
                        writer.commit(len(data))
                    return
                raise EOF

            return source.PullInstance(pull)

        def custom(self, argument, context):
            return CustomInstance()

        def generator(self, argument, context):
            for number in range(EVENTS_PER_PRODUCER):
                yield payload(number)
                if number % 10 == 0:
                    yield None

        async def asynchronous(self, argument, context):
            for number in range(EVENTS_PER_PRODUCER):
                yield payload(number)
                if number % 10 == 0:
                    yield None

        def lines(self, argument, context):
            return source.LinesInstance(argument, follow=False)

        def push(self, argument, context):
            sender, receiver = source.channel(16, max_bytes=1 << 20)
            instance = source.PushInstance(receiver, context=context)
            numbers = range(EVENTS_PER_PRODUCER) if argument == "until_end" else range(1 << 30)

            def produce(producer, sender):
                make = [bytes, bytearray, memoryview, lambda data: source.PushEvent(data, 7)][producer]
                try:
                    with sender:
                        for number in numbers:
                            sender.send(make(payload(number, producer)))
                            if number % 16 == producer:
                                sender.flush(0.01)
                            if number == EVENTS_PER_PRODUCER // 2 and producer == 0:
                                self.act(argument, sender, context)
                except source.ChannelClosedError:
                    pass

            for producer in range(PRODUCERS):
                threading.Thread(target=produce, args=(producer, sender.clone()), daemon=True).start()
            sender.close()
            return instance

        def act(self, argument, sender, context):
            if argument == "cancelled":
                context.cancel()
            elif argument == "failing":
                sender.send(source.PushEvent(error=ValueError("intended")))
"""


def payload(number: int, producer: int = 0) -> bytes:
    size = 200_000 if number % 29 == 28 else number * 7 % 200
    return json.dumps({"producer": producer, "number": number, "text": "x" * size}).encode()


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_plugin(
        tmp_path_factory.mktemp("memory"), PLUGIN.format(producers=PRODUCERS, events=EVENTS_PER_PRODUCER), "everything"
    )


def run_until_end(library: Path, params: str, **env: str) -> Output:
    """Runs a cycle that allows many timeouts, because memcheck is slow, and counts log lines after destroy."""
    return run_cycle(library, "", params, env=environment(HOST_TIMEOUTS="1000", HOST_LATE_MS="50", **env))


def group_by_producer(ran: Output) -> dict[int, list[bytes]]:
    payloads = defaultdict(list)
    for data in cycle_payloads(ran):
        payloads[json.loads(data)["producer"]].append(data)
    return payloads


@pytest.mark.parametrize("kind", ["pull", "custom", "generator", "asynchronous", "lines", "push until_end"])
def test_source_delivers_every_event(library: Path, tmp_path: Path, kind: str) -> None:
    if kind == "lines":
        path = tmp_path / "lines"
        path.write_bytes(b"".join(payload(number) + b"\n" for number in range(EVENTS_PER_PRODUCER)))
        kind = f"lines {path}"
    ran = run_until_end(library, kind)
    assert (ran.status, ran.values("end")) == (0, ["eof"]), ran.stderr
    producers = PRODUCERS if kind.startswith("push") else 1
    assert group_by_producer(ran) == {
        producer: [payload(number, producer) for number in range(EVENTS_PER_PRODUCER)] for producer in range(producers)
    }


@pytest.mark.parametrize(
    ("argument", "env", "end"),
    [
        ("endless", {"HOST_EVENTS": "100"}, "enough"),
        ("cancelled", {}, "eof"),
        ("failing", {}, "failure"),
    ],
)
def test_early_end_leaves_prefix_of_each_producer(library: Path, argument: str, env: dict[str, str], end: str) -> None:
    ran = run_until_end(library, f"push {argument}", **env)
    assert ran.values("end") == [end], ran.stderr
    assert ran.values("late_logs") == [0]
    for producer, payloads in group_by_producer(ran).items():
        assert payloads == [payload(number, producer) for number in range(len(payloads))]


@pytest.mark.parametrize("kind", ["pull", "generator", "asynchronous", "custom"])
def test_source_closed_early_is_freed(library: Path, kind: str) -> None:
    ran = run_until_end(library, kind, HOST_EVENTS="1")
    assert (ran.status, ran.values("end"), ran.values("late_logs")) == (0, ["enough"], [0]), ran.stderr


def test_concurrent_extraction_equals_sequential(library: Path) -> None:
    fields = request_lines(library, ["e.number", "e.text", "e.half", "e.any[/text]"])
    payloads = join_payloads([payload(number) for number in (3, 9, 5)] + [b"", b"{", b'{"text": "\\ud83d\\ude00"}'])
    for states in (1, 2):
        lines = c_host_lines("twins", library, "", fields, payloads, 3, states)
        assert [line["wrong"] for line in lines if "wrong" in line] == [0, 0]


def test_three_sources_of_library_run_concurrently(library: Path) -> None:
    (line,) = c_host_lines("triple", library, "push until_end", env=environment(HOST_TIMEOUTS="1000"))
    assert [run["events"] for run in line["triple"]] == [PRODUCERS * EVENTS_PER_PRODUCER] * 3


@pytest.mark.parametrize("kind", ["pull", "push until_end"])
def test_reloaded_library_delivers_same_events(library: Path, kind: str) -> None:
    lines = c_host_lines("cycle", library, 4, kind, env=environment(HOST_TIMEOUTS="1000"))
    assert [line["events"] for line in lines] == [
        EVENTS_PER_PRODUCER * (PRODUCERS if kind.startswith("push") else 1)
    ] * 4


CAPTURED = """
    import threading

    from falco_plugin import AsyncEvent, Counter, Event, Plugin, async_events, field, parse

    class Captured(Plugin):
        name = event_source = "captured"
        parsed = Counter("parsed")

        def init(self):
            self.kept = []
            self.sent = threading.Event()

        @parse("pluginevent")
        def count(self, event: Event):
            self.parsed.add()
            self.kept.append((event, event.params))
            if len(self.kept) % 3 == 0:
                raise ValueError(event.text)

        @field("captured.kept", desc="The last kept event")
        def last(self, event: Event) -> str:
            # Not values(): the compiler tests the payload of a boolean before it knows that the value is one, and
            # memcheck reports this.
            return self.kept[-1][0].text + repr(self.kept[0][1].raw(1))

        @async_events("one", "state")
        def changes(self, context):
            for number in range(100):
                yield AsyncEvent("one", b"x" * number)
            self.sent.set()
            raise ValueError("intended")

        @async_events("two", retry=0.001)
        async def more(self):
            yield b"event"
            raise ValueError("intended")

        @async_events("state")
        def dump_state(self):
            return [AsyncEvent("state", event.data) for event, _ in self.kept]

        def capture_open(self, capture):
            capture.every(0.001, self.kept.clear)
            capture.every(0.001, self.fail)

        def fail(self):
            raise ValueError("intended")

        def capture_close(self, capture):
            self.kept.clear()

        def open(self, params):
            self.sent.wait()
            for number in range(40):
                yield b"%d" % number
"""


def test_captures_are_freed(tmp_path: Path) -> None:
    library = build_plugin(tmp_path, CAPTURED, "captured")
    fields = request_lines(library, ["captured.kept"])
    begin = "set_async_event_handler\ncapture_open\nopen\ntake\nclose"
    end = "metrics\nreset_async_event_handler\ndump_state\ncapture_close"
    life = f"init\n{begin}\n{end}\n{begin}\ncapture_open\n{end}\n{begin}\ndestroy"
    lines = c_host_lines("script", library, fields, f"{life}\n{life}", env=environment(HOST_TIMEOUTS="1000"))
    calls = [line for line in lines if "call" in line]
    assert [call["error"] for call in calls] == [None] * len(calls)
    assert [call["end"] for call in calls if call["call"] == "take"] == ["eof"] * 6
    assert any("x" * 99 in line["sent"] for line in lines if "sent" in line)
