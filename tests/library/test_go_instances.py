"""The five tests of the Go SDK's instances, through a built library.

In Go, one call can return events and an end. Here the call with events succeeds, and the next call returns the end.
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
            made = 0

            def pull(context, writer):
                nonlocal made
                if made == 0:
                    time.sleep(0.1)
                if made == 3:
                    raise EOF
                made += 1
                writer.write(bytes(100))

            def close():
                self.log.info("closed")

            return source.PullInstance(pull, timeout=0.01, close=close)
"""


def test_go_pull_instance(load) -> None:
    library = load(GO_PULL)
    with library.opened() as instance:
        # Go: one event and a timeout. A timeout that has events is a success.
        assert instance.next_batch() == (SUCCESS, [encode_event(bytes(100))])
        # Go: two events and EOF at once. Never both.
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

        # The host's way to reach in, for a test.
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
            self.go_on = threading.Event()
            self.done = threading.Event()
            sender, receiver = source.channel()

            def produce():
                sender.send(bytes(100))
                self.go_on.wait()
                sender.send(bytes(100))
                sender.send(bytes(100))
                sender.send(source.PushEvent(error=EOF()))
                self.done.set()

            threading.Thread(target=produce).start()
            return source.PushInstance(receiver, timeout=0.1, close=lambda: self.log.info("closed"))

        def event_to_string(self, event):
            self.go_on.set()
            self.done.wait(10)
            return "gone on"
"""


def test_go_push_instance(load) -> None:
    library = load(GO_PUSH)
    with library.opened() as instance:
        # Go: one event and a timeout. A timeout that has events is a success.
        assert instance.next_batch() == (SUCCESS, [encode_event(bytes(100))])
        assert library.event_to_string(encode_event(b"")) == "gone on"
        # Go: two events and EOF at once. Never both.
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
