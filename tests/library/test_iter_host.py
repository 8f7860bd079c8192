"""Generators as sources of a built library."""

from __future__ import annotations

import gc
import logging
import os
import threading

import pytest
from support.embedded import Library
from support.hosts import cycle_payloads, run_cycle
from support.iterables import wait_until
from support.libraries import build_plugin


def test_error_before_first_event_fails_open(tmp_path):
    library = build_plugin(
        tmp_path,
        """
        from falco_plugin import Plugin

        class Late(Plugin):
            name = "late"

            def open(self, params):
                if params == "second":
                    yield b"first"
                yield open("/nonexistent/file").read()
        """,
    )
    first, second = (run_cycle(library, params=params) for params in ("first", "second"))
    error = "FileNotFoundError: [Errno 2] No such file or directory: '/nonexistent/file' (plugin.py:10 in open)"
    assert (first.values("stage"), first.values("error")) == (["next_batch"], [f"open: {error}"])
    assert second.values("error") == [error]
    assert cycle_payloads(second) == [b"first"]
    assert "Traceback" in first.stdout


def test_blocked_generator_is_abandoned_and_named(tmp_path):
    library = build_plugin(
        tmp_path,
        """
        import threading
        from falco_plugin import Plugin

        class Blocks(Plugin):
            name = "blocks"

            def open(self, params):
                yield b"one"
                threading.Event().wait()
        """,
    )
    ran = run_cycle(library)
    assert cycle_payloads(ran) == [b"one"]
    assert ran.status == 0
    assert "is left running" in ran.stdout


ENDLESS = """
    import asyncio
    import contextlib
    import threading

    from falco_plugin import Plugin, source


    class Endless(Plugin):
        name = "endless"

        def open(self, params, context):
            return getattr(self, params)(context)

        def generator(self, context):
            while not context.cancelled:
                yield b"event"
                yield None

        async def agenerator(self, context):
            while True:
                yield b"event"
                yield None
                await asyncio.sleep(0)

        def retried(self, context):
            def items(context):
                yield b"event"
                raise ValueError("again")

            return source.IterInstance(items, retry=0.01)

        def pull(self, context):
            return source.PullInstance(lambda context, writer: writer.write(b"event"))

        def push(self, context):
            sender, receiver = source.channel()

            def produce():
                with contextlib.suppress(source.ChannelClosedError), sender:
                    while not context.cancelled:
                        sender.send(b"event")

            threading.Thread(target=produce, daemon=True).start()
            return source.PushInstance(receiver)

        def custom(self, context):
            class CustomInstance(source.BaseInstance):
                def next_batch(self, batch):
                    batch.append(b"event")
                    return 1

            return CustomInstance()
"""


@pytest.mark.slow
@pytest.mark.no_asan
@pytest.mark.parametrize("kind", ["generator", "agenerator", "retried", "pull", "push", "custom"])
def test_hundred_opens_and_closes_leak_nothing(tmp_path, kind):
    def resident():
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def measure():
        gc.collect()
        return threading.active_count(), len(os.listdir("/proc/self/fd"))

    def open_and_close():
        with library.opened(kind) as instance:
            for _ in range(1000):
                if instance.next_batch()[1]:
                    break
            else:
                pytest.fail("the source delivered no event")

    logging.getLogger("falco_plugin").setLevel(logging.CRITICAL)
    with Library(build_plugin(tmp_path, ENDLESS)) as library:
        for _ in range(10):
            open_and_close()
        wait_until(lambda: not any(thread.name == "falco-source" for thread in threading.enumerate()))
        before, memory = measure(), resident()
        for _ in range(100):
            open_and_close()
        # There may be fewer threads than before, if threads of an earlier test have ended since.
        wait_until(lambda: all(now <= then for now, then in zip(measure(), before, strict=True)))
        # A leaked source keeps the stack of a thread and a batch. 100 of them need several times this memory.
        assert resident() - memory < 6 << 20
