"""Log messages about producers: exceptions that end threads are logged; the end of a source is not an error."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest
from support.hosts import cycle_payloads, native_lines, run_command, run_cycle
from support.libraries import build_plugin

PLUGIN = """
    import asyncio, contextlib, threading, time
    from concurrent.futures import ThreadPoolExecutor

    from falco_plugin import Plugin, source

    class Producer(Plugin):
        name, event_source = "producer", "produced"

        def open(self, params, context):
            self.context = context
            sender, receiver = source.channel(1)
            getattr(self, params)(sender)
            return source.PushInstance(receiver, context=context, close=self.join)

        def start(self, target, *arguments):
            self.thread = threading.Thread(target=target, args=arguments, name="reader")
            self.thread.start()

        def join(self):
            # Wait, because the exception is logged before the thread ends.
            self.thread.join()

"""


def plugin(tmp_path: Path, body: str) -> Path:
    return build_plugin(tmp_path, textwrap.dedent(PLUGIN) + textwrap.indent(textwrap.dedent(body), "    "))


RAISES = """
    def raises(self, sender):
        self.start(self.read, sender)

    def read(self, sender):
        sender.send(b"one")
        int("no number")

    def kept(self, sender):
        # Another reference keeps the sender open, but never sends.
        self.sender = sender
        self.start(self.read, sender)
        threading.Thread(target=self.cancel).start()

    def cancel(self):
        self.thread.join()
        self.sender.flush()
        self.context.cancel()
"""


@pytest.mark.parametrize("kind", ["raises", "kept"])
def test_failed_thread_is_logged_with_plugin_and_frames(tmp_path: Path, kind: str) -> None:
    ran = run_cycle(plugin(tmp_path, RAISES), params=kind)
    assert cycle_payloads(ran) == [b"one"]
    (text,) = [log["text"] for log in ran.values("log") if log["text"].startswith("thread ")]
    assert text.startswith(
        "thread reader of plugin producer died: ValueError: invalid literal for int() with base 10: "
        "'no number' (plugin.py:"
    )
    assert " in read)\n" in text
    assert 'int("no number")' in text


def test_dropped_sender_ends_source_with_error(tmp_path: Path) -> None:
    ran = run_command("run", "--json", plugin(tmp_path, RAISES), "--params", "raises")
    (end,) = [line for line in ran.lines if line["kind"] == "end"]
    assert (ran.status, end["result"]) == (1, "failure")
    assert end["error"].startswith(
        "next_batch failed: the last sender was dropped without close(): its thread ended or raised an exception; use "
    )


ENDS = """
    def plain(self, sender):
        self.start(self.produce, sender)

    def produce(self, sender):
        while True:
            sender.send(b"event")

    def context_manager(self, sender):
        def produce():
            with sender:
                self.produce(sender)
        self.start(produce)

    def flushes(self, sender):
        def produce():
            while True:
                sender.send(b"event")
                sender.flush()
        self.start(produce)

    def task(self, sender):
        async def main():
            async def produce():
                self.produce(sender)
            tasks = [asyncio.create_task(produce())]
            await asyncio.wait(tasks)
        self.start(lambda: asyncio.run(main()))

    def group(self, sender):
        def produce():
            try:
                self.produce(sender)
            except source.ChannelClosedError as error:
                raise ExceptionGroup("failed tasks", [error, ExceptionGroup("nested", [error])])
        self.start(produce)

    def generator(self, sender):
        def items():
            while True:
                yield b"event"
        def produce():
            sender.send_many(items())
        self.start(produce)
"""


@pytest.mark.parametrize("kind", ["plain", "context_manager", "flushes", "task", "group", "generator"])
def test_producer_that_sees_end_is_not_error(tmp_path: Path, kind: str) -> None:
    lines = native_lines(plugin(tmp_path, ENDS), "--params", kind, "--limit", "3")
    assert [line["data"] for line in lines if line["kind"] == "event"] == ["event"] * 3
    logs = [line["text"] for line in lines if line["kind"] == "log"]
    assert [text for text in logs if "still in the channel" not in text] == []


MISTAKES = """
    def closed_before(self, sender):
        def produce():
            sender.close()
            sender.send(b"late")
        self.start(produce)

    def other_error(self, sender):
        def produce():
            with sender:
                try:
                    while True:
                        sender.send(b"event")
                except source.ChannelClosedError:
                    raise RuntimeError("while it cleaned up") from None
        self.start(produce)
        self.context.cancel()
"""


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (
            "closed_before",
            "ChannelClosedError: the channel is closed: this sender was closed before; send before close(), or with a "
            "clone() of it (plugin.py:… in produce)",
        ),
        ("other_error", "RuntimeError: while it cleaned up (plugin.py:… in produce)"),
    ],
)
def test_other_exceptions_of_producer_are_errors(tmp_path: Path, kind: str, error: str) -> None:
    ran = run_cycle(plugin(tmp_path, MISTAKES), params=kind)
    texts = [log["text"] for log in ran.values("log")]
    (text,) = [text for text in texts if text.startswith("thread reader")]
    assert re.sub(r"py:\d+", "py:…", text.splitlines()[0]) == f"thread reader of plugin producer died: {error}"
