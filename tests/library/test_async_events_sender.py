"""Async events that callbacks send through the sender of a method, and the metrics of async events."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from support.libraries import build_plugin

from falco_plugin.testing import Run, RunningPlugin, run

PLUGIN = """
    import threading, time
    from falco_plugin import AsyncEvent, AsyncEventSender, Plugin, PluginError, async_events

    class Sample(Plugin):
        name = "sample"

"""


def plugin(tmp_path: Path, body: str) -> Path:
    return build_plugin(tmp_path, textwrap.dedent(PLUGIN) + textwrap.indent(textwrap.dedent(body), "    "))


def messages(ran: Run) -> list[str]:
    return [line.text.removeprefix("falco_plugin: ") for line in ran.log]


CALLBACKS = """
    @async_events("one", "two")
    def register(self, context, sender: AsyncEventSender) -> None:
        # The threads of a library, which outlive this method.
        for name in ("one", "two"):
            threading.Thread(target=self.call_back, args=(sender, name)).start()

    def call_back(self, sender, name):
        for number in range(100):
            sender.send(AsyncEvent(name, b"%d" % number))
"""


def test_threads_of_a_library_send_through_the_sender(tmp_path: Path) -> None:
    ran = run(plugin(tmp_path, CALLBACKS), limit=200, timeout=60)
    assert ran.result == "limit"
    for name in ("one", "two"):
        sent = [event.data for event in ran.async_events if event.name == name]
        assert sent == [b"%d" % number for number in range(100)]
    assert messages(ran) == []
    assert ran.metrics["sample.sdk_async_events_sent"] == 200


@pytest.mark.parametrize(
    ("definition", "item"),
    [
        ("def both(self, context, sender):", 'b"yielded"'),
        ("async def both(self, context, sender):", 'AsyncEvent("only", b"yielded")'),
        ("def both(self, context, sender, unused=None):", '(b"yielded", time.time_ns())'),
    ],
)
def test_method_with_a_sender_may_yield_too(tmp_path: Path, definition: str, item: str) -> None:
    body = f"""
        @async_events("only")
        {definition}
            sender.send(b"sent")
            sender.send(memoryview(b"view"))
            yield {item}
    """
    ran = run(plugin(tmp_path, body), limit=3, timeout=60)
    assert sorted(event.data for event in ran.async_events) == [b"sent", b"view", b"yielded"]


ERRORS = """
    @async_events("one", "two", sources=["syscall", "other"])
    def attempts(self, context, sender):
        for wrong in (AsyncEvent("three"), b"payload", None, AsyncEvent("t" * 2), "text"):
            try:
                sender.send(wrong)
            except (TypeError, ValueError) as error:
                self.log.info("%s: %s", type(error).__name__, error)
        sender.send(AsyncEvent("one"))
        context.on_cancel(lambda: self.late(sender))

    def late(self, sender):
        try:
            sender.send(AsyncEvent("one"))
        except Exception as error:
            self.log.info("late: %s, closed: %s", type(error).__name__, sender.closed)
"""


def test_errors_of_the_sender_are_exceptions_and_counted(tmp_path: Path) -> None:
    ran = run(plugin(tmp_path, ERRORS), limit=1, timeout=60)
    logs = messages(ran)
    assert logs[0].startswith("ValueError: the async event 'three' is not declared: name it in @async_events")
    assert logs[1].startswith("TypeError: expected an AsyncEvent, got bytes")
    assert logs[2].startswith("TypeError: expected an AsyncEvent, got NoneType")
    assert logs[3].startswith("ValueError: the async event 'tt' is not declared")
    assert logs[4].startswith("TypeError: expected an AsyncEvent, got str")
    assert logs[5:] == ["late: ChannelClosedError, closed: True"]
    counts = {name.removeprefix("sample.sdk_async_events_"): value for name, value in ran.metrics.items()}
    assert {name: counts[name] for name in ("sent", "invalid", "refused", "dropped")} == {
        "sent": 1,
        "invalid": 5,
        "refused": 0,
        "dropped": 1,
    }


REFUSED = """
    event_source = "sampled"

    def open(self, params, context):
        context.wait()
        return
        yield

    @async_events("only", sources=["other"])
    def changes(self, context, sender):
        for _ in range(3):
            try:
                sender.send(b"refused")
            except PluginError as error:
                self.log.info("refused: %s", error)
        self.log.info("tried")
"""


def test_refusals_of_the_host_are_counted(tmp_path: Path) -> None:
    with RunningPlugin(plugin(tmp_path, REFUSED)) as running:
        running.wait_for_log("tried", 30)
        assert running.metrics(30)["sample.sdk_async_events_refused"] == 3
        ran = running.stop()
    assert [text for text in messages(ran) if text.startswith("refused: ")] == [
        "refused: async events of plugin 'sample' are not compatible with open event source 'sampled'"
    ] * 3
    assert ran.metrics["sample.sdk_async_events_sent"] == 0


ROUTINES = """
    def init(self):
        self.rounds = 0

    @async_events("only")
    def changes(self, context):
        context.wait()
        return []

    def capture_open(self, capture):
        capture.every(0.001, self.works)
        capture.every(0.001, self.fails)

    def works(self):
        self.rounds += 1

    def fails(self):
        if self.rounds >= 10:
            self.log.info("enough")
        raise OSError("no connection")
"""


def test_routines_are_counted(tmp_path: Path) -> None:
    with RunningPlugin(plugin(tmp_path, ROUTINES)) as running:
        running.wait_for_log("enough", 30)
        metrics = running.stop().metrics
    called, failed = (metrics[f"sample.sdk_routines_{name}"] for name in ("called", "failed"))
    assert 0 < failed < called
    assert called >= 10 + failed - 1


def test_metrics_of_parts_that_a_plugin_lacks_are_absent(tmp_path: Path) -> None:
    ran = run(plugin(tmp_path, CALLBACKS), limit=1, timeout=60)
    assert not [name for name in ran.metrics if "routines" in name or "parsing" in name]
