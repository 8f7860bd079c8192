"""The five instance tests of the Go SDK, repeated with built libraries.

In Go, one call can return events together with an end. In this SDK the call with events succeeds, and the next call
returns the end.
"""

from __future__ import annotations

import pytest
from support.events import EOF, SUCCESS, TIMEOUT, encode_event

GO_PULL = """
    import time

    from falco_plugin import EOF, Plugin, source


    class Pull(Plugin):
        name = "pull"
        closed = False

        def open(self, params):
            count = 0

            def pull(context, writer):
                nonlocal count
                if count == 0:
                    time.sleep(0.1)
                if count == 3:
                    raise EOF
                count += 1
                writer.write(bytes(100))

            def close():
                self.log.info("closed")

            return source.PullInstance(pull, timeout=0.01, close=close)
"""


def test_go_pull_instance(load) -> None:
    library = load(GO_PULL)
    with library.opened() as instance:
        # Go returns one event with a timeout. This SDK returns success, because there is an event.
        assert instance.next_batch() == (SUCCESS, [encode_event(bytes(100))])
        # Go returns two events with EOF. This SDK returns EOF in the next call.
        assert instance.next_batch() == (SUCCESS, [encode_event(bytes(100))] * 2)
        assert instance.next_batch() == (EOF, [])
        assert instance.next_batch() == (EOF, [])
        assert (6, "closed") not in library.logs
    assert (6, "closed") in library.logs


GO_CANCEL = """
    from falco_plugin import Context, Plugin, Timeout, source


    class Cancel(Plugin):
        name = "cancel"

        def open(self, params):
            self.context = Context()
            if params == "pull":
                def pull(context, writer):
                    raise Timeout

                return source.PullInstance(pull, context=self.context)
            self.sender, receiver = source.channel()
            return source.PushInstance(receiver, context=self.context)

        # Lets the test cancel the context through a call of the host.
        def event_to_string(self, event):
            self.context.cancel()
            return "cancelled"
"""


@pytest.mark.parametrize("kind", ["pull", "push"])
def test_go_instance_with_a_cancelled_context(load, kind: str) -> None:
    library = load(GO_CANCEL)
    with library.opened(kind) as instance:
        assert instance.next_batch() == (TIMEOUT, [])
        assert library.event_to_string(encode_event(b"")) == "cancelled"
        assert instance.next_batch() == (EOF, [])
        assert instance.next_batch() == (EOF, [])


GO_PUSH = """
    import threading

    from falco_plugin import EOF, Plugin, source


    class Push(Plugin):
        name = "push"

        def open(self, params):
            self.resume = threading.Event()
            self.done = threading.Event()
            sender, receiver = source.channel()

            def produce():
                sender.send(bytes(100))
                self.resume.wait()
                sender.send(bytes(100))
                sender.send(bytes(100))
                sender.send(source.PushEvent(error=EOF()))
                self.done.set()

            threading.Thread(target=produce).start()
            return source.PushInstance(receiver, timeout=0.1, close=lambda: self.log.info("closed"))

        def event_to_string(self, event):
            self.resume.set()
            self.done.wait(10)
            return "resumed"
"""


def test_go_push_instance(load) -> None:
    library = load(GO_PUSH)
    with library.opened() as instance:
        # Go returns one event with a timeout. This SDK returns success, because there is an event.
        assert instance.next_batch() == (SUCCESS, [encode_event(bytes(100))])
        assert library.event_to_string(encode_event(b"")) == "resumed"
        # Go returns two events with EOF. This SDK returns EOF in the next call.
        assert instance.next_batch() == (SUCCESS, [encode_event(bytes(100))] * 2)
        assert instance.next_batch() == (EOF, [])
        assert instance.next_batch() == (EOF, [])
    assert (6, "closed") in library.logs


def test_go_push_instance_with_a_closed_channel(load) -> None:
    library = load("""
        from falco_plugin import Plugin, source

        class Closed(Plugin):
            name = "closed"

            def open(self, params):
                self.sender, receiver = source.channel()
                return source.PushInstance(receiver)

            def event_to_string(self, event):
                self.sender.close()
                return "closed"
    """)
    with library.opened() as instance:
        assert instance.next_batch() == (TIMEOUT, [])
        assert library.event_to_string(encode_event(b"")) == "closed"
        assert instance.next_batch() == (EOF, [])
