"""Handlers of async events that the native host does not have: they fail, block, or are removed at any moment."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable

import pytest
from support.embedded import Library
from support.events import FAILURE, SUCCESS

Load = Callable[..., Library]
Handler = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_char))
"""`ss_plugin_async_event_handler_t`. Its message has 1024 bytes."""
HANGS = 60

SENDS = """
    import threading
    from falco_plugin import AsyncEvent, Plugin, PluginError, async_events

    class Sends(Plugin):
        name = "sends"
        {body}
"""
ENDLESS = """
        @async_events("only")
        def changes(self):
            number = 0
            while True:
                try:
                    yield b"%d" % number
                except PluginError as error:
                    self.log.info("refused: %s", error)
                number += 1
"""


class Host:
    """A host that sets a handler and takes it away."""

    def __init__(self, library: Library, receive: Callable[[bytes, ctypes.Array[ctypes.c_char]], int]) -> None:
        self._library = library
        self._set = library.api.plugin_set_async_event_handler
        self._set.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
        self.calls = 0
        self.after_end = 0
        self._ended = False
        self.called = threading.Condition()

        def handle(owner: int, event: int, message: ctypes.Array[ctypes.c_char]) -> int:
            data = ctypes.string_at(event, int.from_bytes(ctypes.string_at(event + 16, 4), "little"))
            with self.called:
                self.calls += 1
                self.after_end += self._ended
                self.called.notify_all()
            return receive(data, message)

        self.handler = Handler(handle)

    def begin(self) -> int:
        return int(self._set(self._library.state, 7, ctypes.cast(self.handler, ctypes.c_void_p)))

    def end(self) -> int:
        code = int(self._set(self._library.state, 7, None))
        self._ended = True
        return code

    def wait_for_calls(self, count: int) -> None:
        with self.called:
            assert self.called.wait_for(lambda: self.calls >= count, HANGS)


def accept(data: bytes, message: ctypes.Array[ctypes.c_char]) -> int:
    return SUCCESS


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (None, "the host refused the event without a reason"),
        (b"", "the host refused the event without a reason"),
        (b"queue \xff broken", "queue \ufffd broken"),
        (b"x" * 1023, "x" * 1023),
    ],
    ids=["untouched", "empty", "not UTF-8", "longest"],
)
def test_error_without_a_message_is_an_exception(load: Load, written: bytes | None, reason: str) -> None:
    def refuse(data: bytes, message: ctypes.Array[ctypes.c_char]) -> int:
        if written is not None:
            ctypes.memmove(message, written + b"\0", len(written) + 1)
        return FAILURE

    library = load(SENDS.format(body=ENDLESS.strip()))
    host = Host(library, refuse)
    assert host.begin() == SUCCESS
    host.wait_for_calls(5)
    assert host.end() == SUCCESS
    refused = [text for _, text in library.logs if text.startswith("refused: ")]
    assert len(refused) >= 4
    assert set(refused) == {f"refused: {reason}"}


def test_handler_that_is_taken_away_in_a_yield_is_not_called_again(load: Load) -> None:
    library = load(SENDS.format(body=ENDLESS.strip()))
    for _ in range(20):
        entered, released = threading.Event(), threading.Event()

        def block(
            data: bytes,
            message: ctypes.Array[ctypes.c_char],
            entered: threading.Event = entered,
            released: threading.Event = released,
        ) -> int:
            entered.set()
            assert released.wait(HANGS)
            return SUCCESS

        host = Host(library, block)
        assert host.begin() == SUCCESS
        assert entered.wait(HANGS)
        ending = threading.Thread(target=host.end)
        ending.start()
        # The end waits for the call that is in the handler.
        ending.join(0.01)
        assert ending.is_alive()
        released.set()
        ending.join(HANGS)
        assert not ending.is_alive()
        assert host.after_end == 0


def test_burst_reaches_the_handler_in_order(load: Load) -> None:
    body = """
        @async_events("only")
        def changes(self):
            for number in range(10_000):
                yield AsyncEvent("only", b"%d" % number)
    """
    received: list[bytes] = []

    def keep(data: bytes, message: ctypes.Array[ctypes.c_char]) -> int:
        received.append(data[42:])
        return SUCCESS

    library = load(SENDS.format(body=body.strip()))
    host = Host(library, keep)
    assert host.begin() == SUCCESS
    host.wait_for_calls(10_000)
    assert host.end() == SUCCESS
    assert received == [b"only\0%d" % number for number in range(10_000)]
    assert library.metrics()["sdk_async_events_sent"] == 10_000


@pytest.mark.parametrize("size", [0, 1, 16 << 20])
def test_payload_of_any_size_arrives_whole(load: Load, size: int) -> None:
    body = f"""
        @async_events("only")
        def changes(self):
            yield AsyncEvent("only", bytes({size}))
    """
    sizes: list[int] = []

    def keep(data: bytes, message: ctypes.Array[ctypes.c_char]) -> int:
        sizes.append(len(data))
        return SUCCESS

    host = Host(load(SENDS.format(body=body.strip())), keep)
    assert host.begin() == SUCCESS
    host.wait_for_calls(1)
    assert host.end() == SUCCESS
    assert sizes == [42 + len("only\0") + size]


def test_callbacks_race_with_the_end(load: Load) -> None:
    body = """
        @async_events("only")
        def changes(self, context, sender):
            threads = [threading.Thread(target=self.flood, args=(sender,)) for _ in range(4)]
            for thread in threads:
                thread.start()
            context.on_cancel(lambda: [thread.join() for thread in threads])

        def flood(self, sender):
            try:
                while True:
                    sender.send(b"event")
            except Exception as error:
                self.log.info("ended: %s", type(error).__name__)
    """
    library = load(SENDS.format(body=body.strip()))
    for _ in range(10):
        host = Host(library, accept)
        assert host.begin() == SUCCESS
        host.wait_for_calls(50)
        assert host.end() == SUCCESS
        calls = host.calls
        assert (host.after_end, host.calls) == (0, calls)
    metrics = library.metrics()
    assert metrics["sdk_async_events_dropped"] == 40
    assert metrics["sdk_async_events_sent"] >= 500


def test_second_handler_replaces_the_first(load: Load) -> None:
    library = load(SENDS.format(body=ENDLESS.strip()))
    first, second = Host(library, accept), Host(library, accept)
    assert first.begin() == SUCCESS
    first.wait_for_calls(1)
    assert second.begin() == SUCCESS
    calls = first.calls
    second.wait_for_calls(10)
    assert first.calls == calls
    assert second.end() == SUCCESS


def test_no_handler_is_no_error(load: Load) -> None:
    host = Host(load(SENDS.format(body=ENDLESS.strip())), accept)
    assert [host.end(), host.end()] == [SUCCESS, SUCCESS]
    assert host.calls == 0
