"""Wrong results of user code, and wrong calls of a host."""

from __future__ import annotations

import pytest
from support.embedded import Library
from support.events import FAILURE
from support.hosts import (
    Output,
    c_host_lines,
    cycle_end,
    cycle_payloads,
    log_messages,
    run_cycle,
)
from support.libraries import Build, simple_plugin


@pytest.mark.parametrize(
    ("result", "name"),
    [
        ("b'event'", "bytes"),
        ("'event'", "str"),
        ("bytearray(b'e')", "bytearray"),
        ("memoryview(b'e')", "memoryview"),
        ("{'event': 1}", "dict"),
        ("[b'event']", "list"),
    ],
)
def test_pull_function_that_returns_event_gets_advice(build: Build, result: str, name: str) -> None:
    ran = run_cycle(
        build(f"""
        from falco_plugin import Plugin, source

        class Returns(Plugin):
            name = "returns"

            def open(self, params):
                return source.PullInstance(lambda context, writer: {result})
    """)
    )
    assert cycle_end(ran)["stage"] == "next_batch"
    assert cycle_end(ran)["error"].startswith(
        f"TypeError: the pull function returned {name}: write the event with writer."
    )


def run_open(build: Build, body: str, definitions: str = "") -> Output:
    """Runs one cycle of a plugin whose `open` has this body."""
    lines = "".join(f"        {line}\n" for line in body.splitlines())
    return run_cycle(
        build(
            f"from falco_plugin import *\n\n{definitions}\n\nclass Opens(Plugin):\n    name = 'opens'\n\n"
            f"    def open(self, params):\n{lines}"
        )
    )


@pytest.mark.parametrize("result", ["None", "b'bytes'", "42", "'text'", "{'a': 1}", "Opens", "source.BaseInstance"])
def test_open_must_return_event_source(build: Build, result: str) -> None:
    ran = run_open(build, f"return {result}")
    assert cycle_end(ran)["stage"] == "open"
    assert cycle_end(ran)["error"].startswith("TypeError: open returned ")
    assert cycle_end(ran)["error"].endswith(" in open)")


def test_open_may_return_iterable(build: Build) -> None:
    ran = run_open(build, "return [b'one', (b'two', 2)]")
    assert (cycle_payloads(ran), cycle_end(ran)["end"]) == ([b"one", b"two"], "eof")


INSTANCE = """
class CustomInstance(source.BaseInstance):
    calls = 0

    def next_batch(self, batch):
        self.calls += 1
        return self.step(batch)
"""


def test_instance_without_super_init_gets_advice(build: Build) -> None:
    ran = run_open(build, "return CustomInstance()", INSTANCE + "\n    def __init__(self):\n        self.calls = 0\n")
    assert cycle_end(ran)["stage"] == "open"
    assert cycle_end(ran)["error"].startswith(
        "TypeError: open returned CustomInstance, which has no attribute events: call super().__init__()"
    )


def test_instance_with_other_events_is_rejected(build: Build) -> None:
    ran = run_open(build, "instance = CustomInstance()\ninstance.events = [b'x']\nreturn instance", INSTANCE)
    assert cycle_end(ran)["error"].startswith("TypeError: the instance's events must be an EventBatch, not list")


def test_instance_without_events_times_out_with_one_warning(build: Build) -> None:
    ran = run_open(build, "return CustomInstance()", INSTANCE + "\n    def step(self, batch):\n        return 0\n")
    assert (cycle_end(ran)["end"], ran.status) == ("timeout", 0)
    (warning,) = [text for text in log_messages(ran, severity=4) if "next_batch returned without an event" in text]
    assert "raise falco_plugin.Timeout" in warning


def test_appended_events_count_not_returned_number(build: Build) -> None:
    step = """
    def step(self, batch):
        if self.calls == 3:
            raise EOF
        batch.append(b"%d" % self.calls)
        return [None, 77, "many"][self.calls]
"""
    ran = run_open(build, "return CustomInstance()", INSTANCE + step)
    assert (cycle_payloads(ran), cycle_end(ran)["end"]) == ([b"1", b"2"], "eof")


def test_cleared_events_are_not_delivered(build: Build) -> None:
    step = """
    def step(self, batch):
        if self.calls == 3:
            raise EOF
        batch.append(b"%d" % self.calls)
        if self.calls == 2:
            batch.clear()
            raise Timeout
        return 1
"""
    ran = run_open(build, "return CustomInstance()", INSTANCE + step)
    assert (cycle_payloads(ran), cycle_end(ran)["end"]) == ([b"1"], "eof")


def test_batch_of_host_is_unusable_after_call(build: Build) -> None:
    step = """
    def step(self, batch):
        if self.calls == 1:
            import threading
            batch.append(b"in time")
            self.kept = batch
            return 1
        raise EOF

    def progress(self):
        return 0.0, ""

    def close(self):
        try:
            self.kept.append(b"late")
        except Exception as error:
            print(type(error).__name__, error)
            import logging
            logging.getLogger("opens").info("rejected: %s", error)
"""
    ran = run_open(build, "return CustomInstance()", INSTANCE + step)
    assert cycle_payloads(ran) == [b"in time"]
    assert any(text.startswith("rejected: ") for text in log_messages(ran))


@pytest.mark.parametrize(
    "batch",
    ["source.EventBatch(1, 10)", "instance.events"],
    ids=["custom batch", "batch of the host"],
)
def test_pull_function_cannot_call_its_instance(build: Build, batch: str) -> None:
    body = f"""
def pull(context, writer):
    instance.next_batch({batch})

instance = source.PullInstance(pull)
return instance"""
    ran = run_open(build, body)
    assert cycle_end(ran)["stage"] == "next_batch"
    assert "only the host may call next_batch" in cycle_end(ran)["error"]


WAITS = """
    from falco_plugin import Plugin, source


    class Waits(Plugin):
        name = "waits"

        has_called = False

        def call_sender(self, function):
            if self.has_called or function != self.config.split()[0]:
                return
            self.has_called = True
            try:
                if self.config.endswith("flush"):
                    self.sender.flush()
                else:
                    for _ in range(2):
                        self.sender.send(b"more")
            except Exception as error:
                self.log.info("%s: %s", type(error).__name__, error)

        def open(self, params):
            self.sender, receiver = source.channel(1)
            self.sender.send(b"one")
            self.call_sender("open")
            instance = source.PushInstance(receiver)
            instance.context.on_cancel(lambda: self.call_sender("on_cancel"))
            return instance

        def event_to_string(self, event):
            self.call_sender("event_to_string")
            return event.text
"""


@pytest.mark.parametrize("call", ["flush", "send"])
@pytest.mark.parametrize("function", ["open", "event_to_string", "on_cancel"])
def test_barrier_on_host_thread_is_rejected(build: Build, function: str, call: str) -> None:
    messages = {
        "flush": "PluginError: flush would never return on a thread of the host",
        "send": "ChannelFullError: the event was not sent: the channel is full on a thread of the host",
    }
    ran = run_cycle(build(WAITS), f"{function} {call}")
    assert ran.status == 0, ran.stderr
    assert any(text.startswith(messages[call]) for text in log_messages(ran, severity=6))
    assert cycle_payloads(ran)[0] == b"one"


def test_functions_survive_null_handles(build: Build) -> None:
    body = "def list_open_params(self):\n    return []\n"
    (line,) = c_host_lines("nulls", build(simple_plugin("nulls", body)))
    assert (line["ok"], line["opened"], line["unset"], line["success"]) == (True, True, [], [])
    assert line["calls"] > 10


def test_extract_without_input_fails_with_message(load) -> None:
    fields = 'number = json_field("fields.number", "/n", desc="A number")'
    library = load(simple_plugin("fields", fields).replace("import EOF", "import json_field, EOF"))
    assert library.api.plugin_extract_fields(library.state, None, None) == FAILURE
    assert library.last_error() == "extract_fields was called without its input"


def test_init_without_input_fails_with_message(build: Build) -> None:
    library = Library(build(simple_plugin("without")))
    library.destroy()
    library.state = library.api.plugin_init(None, None)
    assert library.last_error() == "plugin_init was called without its input"
    library.destroy()
