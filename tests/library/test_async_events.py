"""Async events of built plugins in the native host: order, errors of the host, stop, retry and `dump_state`."""

from __future__ import annotations

import textwrap
import time
from pathlib import Path

import pytest
from support.hosts import environment, native_lines, run_command
from support.libraries import build_plugin

from falco_plugin import AsyncEvent
from falco_plugin.testing import Run, RunningPlugin, run

PLUGIN = """
    import asyncio, os, threading, time
    from falco_plugin import AsyncEvent, Plugin, PluginError, async_events, source

    class Sample(Plugin):
        name = "sample"

"""
SOURCE = """
    event_source = "sampled"

    def open(self, params, context):
        # Without an event until the capture ends.
        context.wait()
        return
        yield
"""


def plugin(tmp_path: Path, body: str, *, has_source: bool = True) -> Path:
    body = textwrap.dedent(body) + (textwrap.dedent(SOURCE) if has_source else "")
    return build_plugin(tmp_path, textwrap.dedent(PLUGIN) + textwrap.indent(body, "    "))


def received(ran: Run) -> list[tuple[str, bytes]]:
    return [(event.name, event.data) for event in ran.async_events]


def messages(ran: Run) -> list[str]:
    texts = [line.text.removeprefix("falco_plugin: ") for line in ran.log]
    return [text for text in texts if text != "the source ended without an event"]


KINDS = {
    "generator": """
        @async_events("one", "two")
        def changes(self):
            yield AsyncEvent("one", b"1")
            yield AsyncEvent("two", bytearray(b"2"), 1_700_000_000_000_000_000)
            yield AsyncEvent("one")
    """,
    "async generator": """
        @async_events("one", "two")
        async def changes(self, context):
            yield AsyncEvent("one", b"1")
            await asyncio.sleep(0)
            yield AsyncEvent("two", b"2", 1_700_000_000_000_000_000)
            yield AsyncEvent("one")
    """,
    "iterable": """
        @async_events("one", "two")
        def changes(self, context):
            return [AsyncEvent("one", b"1"), AsyncEvent("two", b"2", 1_700_000_000_000_000_000), AsyncEvent("one")]
    """,
}


@pytest.mark.parametrize("body", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("has_source", [True, False], ids=["with source", "only async events"])
def test_events_of_a_method_reach_the_host(tmp_path, body, has_source):
    ran = run(plugin(tmp_path, body, has_source=has_source), limit=3, timeout=30)
    assert (ran.result, ran.events, messages(ran)) == ("limit", [], [])
    # The host takes events without a time first, and the one of the past whenever it has come.
    assert sorted(received(ran)) == [("one", b""), ("one", b"1"), ("two", b"2")]
    (past,) = [event for event in ran.async_events if event.name == "two"]
    assert past.timestamp == 1_700_000_000_000_000_000
    assert all(event.timestamp > past.timestamp for event in ran.async_events if event is not past)
    assert [event.number for event in ran.async_events] == [1, 2, 3]
    assert {event.source for event in ran.async_events} == {"sampled" if has_source else "syscall"}


ONE_NAME = """
    @async_events("only")
    def changes(self):
        yield b"bytes"
        yield memoryview(b"view")
        yield b"timed", 1_900_000_000_000_000_000 - 10**18
        yield AsyncEvent("only", b"event")
"""


def test_method_with_one_name_sends_payloads(tmp_path):
    ran = run(plugin(tmp_path, ONE_NAME), limit=4, timeout=30)
    assert {event.data for event in ran.async_events} == {b"bytes", b"view", b"timed", b"event"}


MISTAKES = """
    @async_events("one", "two")
    def changes(self):
        for item in [AsyncEvent("three"), b"payload", None]:
            try:
                yield item
            except (TypeError, ValueError) as error:
                yield AsyncEvent("one", f"{type(error).__name__}: {error}".encode())

    @async_events("only")
    async def others(self):
        for item in ["text", None]:
            try:
                yield item
            except TypeError as error:
                yield str(error).encode()
"""


def test_wrong_items_raise_at_their_yield(tmp_path):
    ran = run(plugin(tmp_path, MISTAKES), limit=5, timeout=30)
    names = "yield AsyncEvent(name, data) with one of the names "
    assert sorted(event.data.decode() for event in ran.async_events) == sorted(
        [
            "ValueError: the async event 'three' is not declared: name it in @async_events, which has one, two",
            f"TypeError: expected an AsyncEvent, got bytes: {names}one, two",
            f"TypeError: expected an AsyncEvent, got NoneType: {names}one, two",
            'an event\'s data must be bytes, got str: give text.encode(), or write b"..."',
            f"expected an AsyncEvent, got NoneType: {names}only",
        ]
    )


REFUSED = """
    @async_events("only", sources=["other"])
    def changes(self):
        try:
            yield b"refused"
        except PluginError as error:
            self.log.info("caught: %s", error)
        yield b"refused again"

    @async_events("second", sources=["other"])
    async def others(self):
        yield b"refused"
"""


def test_refusal_of_the_host_raises_at_the_yield(tmp_path):
    with RunningPlugin(plugin(tmp_path, REFUSED)) as running:
        reason = "async events of plugin 'sample' are not compatible with open event source 'sampled'"
        running.wait_for_log(f"caught: {reason}", 30)
        running.wait_for_log(f"changes with @async_events failed: {reason} (plugin.py:", 30)
        running.wait_for_log(f"others with @async_events failed: {reason} (plugin.py:", 30)
        # The plugin continues.
        assert running.stop().result == "interrupted"


FLOOD = """
    @async_events("only")
    def changes(self):
        for number in range(5000):
            yield b"%d" % number
        for _ in range(2):
            yield b"late", time.time_ns() + 60 * 10**9
        self.log.info("all were accepted")
        os.kill(os.getpid(), 2)
"""


def test_full_queue_is_seen_in_the_log_of_the_host_only(tmp_path):
    lines = native_lines(plugin(tmp_path, FLOOD))
    logs = [line["text"] for line in lines if line["kind"] == "log"]
    assert "all were accepted" in logs
    assert logs.count("an async event was dropped, because its time is more than 10 s in the future") == 1
    assert logs.count("an async event was dropped, because the queue is full: Falco takes 4096 events at most") == 1
    (end,) = [line for line in lines if line["kind"] == "end"]
    assert 2 + 5000 - 4096 - end.get("async_events", 0) <= end["dropped_async_events"] <= 2 + 5000 - 4096


ENDS = """
    def init(self):
        self.reasons = []
        self.begun = threading.Semaphore(0)

    @async_events("sync")
    def forever(self):
        try:
            # The host stops all methods after some events: not before the other two have begun.
            for _ in range(2):
                assert self.begun.acquire(timeout=30)
            while True:
                yield b"event"
        finally:
            self.reasons.append("generator closed")

    @async_events("async")
    async def loop(self):
        try:
            self.begun.release()
            while True:
                yield b"event"
                await asyncio.sleep(0.001)
        except (asyncio.CancelledError, GeneratorExit):
            # GeneratorExit: Falco had not yet accepted the last event.
            self.reasons.append("task ended")
            raise

    @async_events("waits")
    def waits(self, context):
        self.begun.release()
        yield b"event"
        context.wait()
        self.reasons.append("context cancelled")
        # Nobody receives it, and that is not a failure.
        yield b"late"

    def destroy(self):
        self.log.info("ended: %s", ", ".join(sorted(self.reasons)))
"""


def test_end_of_capture_stops_all_methods(tmp_path):
    ran = run(plugin(tmp_path, ENDS), limit=30, timeout=60)
    assert ran.result == "limit"
    assert [text for text in messages(ran) if "queue is full" not in text] == [
        "ended: context cancelled, generator closed, task ended"
    ]


STUCK = """
    @async_events("only")
    def changes(self):
        yield b"event"
        time.sleep(3600)
"""


def test_method_that_does_not_stop_is_reported(tmp_path):
    ran = run(plugin(tmp_path, STUCK), limit=1, timeout=30)
    assert (ran.result, len(ran.async_events)) == ("limit", 1)
    assert (
        "changes with @async_events did not stop within 1 s after the end of the capture, and is left running: let it "
        "check its context"
    ) in messages(ran)


FAILS_AT_THE_END = """
    @async_events("only")
    def changes(self, context):
        try:
            yield b"event"
            context.wait()
        finally:
            raise OSError("no connection")
"""


def test_failure_at_the_end_of_a_capture_names_the_method(tmp_path):
    ran = run(plugin(tmp_path, FAILS_AT_THE_END), limit=1, timeout=30)
    assert ran.result == "limit"
    (failure,) = [text for text in messages(ran) if "no connection" in text]
    assert failure.startswith("changes with @async_events failed: OSError: no connection (plugin.py:")


FAILS = """
    @async_events("only", retry=0.01)
    def changes(self):
        self.attempts = getattr(self, "attempts", 0) + 1
        yield b"%d" % self.attempts
        if self.attempts < 4:
            raise OSError("no connection")

    @async_events("second")
    def ends(self):
        raise RuntimeError("indefinitely")
        yield

    @async_events("third")
    def forgets(self):
        pass
"""


def test_failures_are_logged_and_retried(tmp_path):
    ran = run(plugin(tmp_path, FAILS), limit=4, timeout=60)
    assert [event.data for event in ran.async_events] == [b"1", b"2", b"3", b"4"]
    logs = "\n".join(messages(ran))
    assert logs.count("changes with @async_events failed: OSError: no connection (plugin.py:") == 1
    assert logs.count("changes with @async_events failed again: OSError: no connection") == 2
    assert logs.count("changes with @async_events is called again in 0.01 s\n") == 1
    assert logs.count("ends with @async_events failed: RuntimeError: indefinitely (plugin.py:") == 1
    assert "forgets with @async_events failed: TypeError: " in logs
    assert "forgets returned NoneType: yield the events in it, or return an iterable of them" in logs


BESIDE = """
    event_source = "sampled"

    def open(self, params):
        for number in range(3):
            self.sent.wait(10)
            yield b"event", self.times[number]

    def init(self):
        self.sent = threading.Event()
        self.times = [1_700_000_000_000_000_000 + number for number in (10, 20, 30)]

    @async_events("only")
    def changes(self):
        for number in (25, 5, 20, 40):
            yield b"%d" % number, 1_700_000_000_000_000_000 + number
        self.sent.set()
        yield from ()
"""


def test_events_are_shown_in_the_order_of_their_times(tmp_path):
    library = plugin(tmp_path, BESIDE, has_source=False)
    lines = native_lines(library)
    shown = [
        (line["number"], line["kind"], line["timestamp"] % 100)
        for line in lines
        if line["kind"] in ("event", "async_event")
    ]
    # The source ends after its last event, so what would come later is not shown.
    assert shown == [
        (1, "async_event", 5),
        (2, "event", 10),
        (3, "async_event", 20),
        (4, "event", 20),
        (5, "async_event", 25),
        (6, "event", 30),
    ]
    text = run_command("run", library)
    assert text.status == 0
    first, *_ = text.stdout.splitlines()
    assert first == "2023-11-14T22:13:20.000000005Z [only] 5"
    assert "3 events, 3 async events, 15 bytes" in text.stderr


STATE = """
    @async_events("changed")
    def changes(self):
        yield b"now"

    @async_events("state")
    def dump_state(self):
        {}
"""


@pytest.mark.parametrize(
    "body",
    [
        'yield AsyncEvent("state", b"1", 7)\n        yield AsyncEvent("changed", b"2", 8)',
        'return [AsyncEvent("state", b"1", 7), AsyncEvent("changed", b"2", 8)]',
    ],
    ids=["generator", "list"],
)
def test_dump_state_sends_its_events_on_demand(tmp_path, body):
    library = plugin(tmp_path, STATE.format(body))
    ran = run(library, limit=1, timeout=30, dump_state=True)
    assert (ran.result, received(ran)) == ("limit", [("changed", b"now")])
    assert ran.state == [AsyncEvent("state", b"1", 7), AsyncEvent("changed", b"2", 8)]
    assert run(library, limit=1, timeout=30).state == []
    text = run_command("run", library, "--limit", "1", "--dump-state")
    assert "1970-01-01T00:00:00.000000007Z sample: [state] 1\n" in text.stdout


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('raise OSError("no file")', "OSError: no file (plugin.py:"),
        ('yield AsyncEvent("other")', "ValueError: the async event 'other' is not declared: name it in @async_events"),
        ("return b'state'", "TypeError: bytes is not an iterable of events: for a single event pass [data]"),
        ("return 7", "TypeError: dump_state returned int: yield the events in it, or return an iterable of them"),
    ],
)
def test_failed_dump_state_is_reported_to_the_host(tmp_path, body, message):
    ran = run(plugin(tmp_path, STATE.format(body)), limit=1, timeout=30, dump_state=True)
    assert ran.result == "failure"
    assert ran.error.startswith(f"dump_state failed: {message}")
    assert any(text.startswith(f"dump_state failed: {message}") for text in messages(ran))


def test_dump_state_can_be_the_only_method(tmp_path):
    body = """
        def init(self):
            self.log.info("initialised")

        @async_events("state")
        def dump_state(self):
            yield AsyncEvent("state", b"1", 7)
    """
    with RunningPlugin(plugin(tmp_path, body, has_source=False), dump_state=True) as running:
        running.wait_for_log("initialised", 30)
        ran = running.stop()
    assert ran.state == [AsyncEvent("state", b"1", 7)]


def test_state_event_without_timestamp_has_the_time_of_the_call(tmp_path):
    before = time.time_ns()
    ran = run(plugin(tmp_path, STATE.format('yield AsyncEvent("state", b"1")')), limit=1, timeout=30, dump_state=True)
    (event,) = ran.state
    assert event.timestamp is not None
    assert before <= event.timestamp <= time.time_ns()


def test_next_async_event_returns_one_after_the_other(tmp_path):
    with RunningPlugin(plugin(tmp_path, ENDS)) as running:
        first = running.next_async_event(30)
        second = running.next_async_event(30)
        assert (first.number, second.number) == (1, 2)
        assert str(running.stop()).startswith("interrupted after 0 events and ")


FORKS = """
    @async_events("only")
    def changes(self):
        yield b"parent"
        child = os.fork()
        if child == 0:
            # The SDK ends the child here, so that no event is sent twice.
            yield b"child"
            os._exit(7)
        _, status = os.waitpid(child, 0)
        yield b"child ended with %d" % os.waitstatus_to_exitcode(status)
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_forked_child_of_a_method_sends_nothing(tmp_path):
    ran = run(plugin(tmp_path, FORKS), limit=2, timeout=60)
    payloads = [event.data for event in ran.async_events]
    assert payloads[0] == b"parent"
    assert payloads[1].startswith(b"child ended with ")
    assert payloads[1] != b"child ended with 7"


TRACED = """
    @async_events("only")
    def changes(self):
        yield b"event"

    def capture_close(self, capture):
        pass
"""


def test_debug_log_has_the_calls_of_a_capture(tmp_path):
    library = plugin(tmp_path, TRACED)
    lines = native_lines(library, "--limit", "1", env=environment(FALCO_PLUGIN_DEBUG="1"))
    calls = [
        line["text"].split(" ")[0]
        for line in lines
        if line["kind"] == "log" and "SUCCESS" in line["text"] and "next_batch" not in line["text"]
    ]
    names = ("set_async_event_handler", "capture_open", "capture_close")
    assert [call for call in calls if call in names] == [names[0], names[1], names[0], names[2]]


def test_events_of_another_plugin_come_beside_the_source(tmp_path):
    (tmp_path / "other").mkdir()
    other = build_plugin(
        tmp_path / "other",
        textwrap.dedent(PLUGIN.replace('"sample"', '"other"')) + textwrap.indent(textwrap.dedent(ONE_NAME), "    "),
    )
    ran = run(plugin(tmp_path, ""), plugins=[other], limit=4, timeout=60)
    assert {event.data for event in ran.async_events} == {b"bytes", b"view", b"timed", b"event"}
    assert {event.source for event in ran.async_events} == {"sampled"}
