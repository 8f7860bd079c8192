"""`capture_open`, `capture_close` and `Capture.every` of built plugins in the native host."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from support.libraries import build_plugin

from falco_plugin.testing import Run, RunningPlugin, run

PLUGIN = """
    import threading, time
    from falco_plugin import Capture, Plugin

    class Sample(Plugin):
        name, event_source = "sample", "sampled"

        def open(self, params, context):
            context.on_cancel(lambda: self.log.info("source closed"))
            self.log.info("open")
            while not self.done.wait(0.01) and not context.cancelled:
                pass
            yield b"event"

        def init(self):
            self.done = threading.Event()
            self.main = threading.get_ident()

        def destroy(self):
            self.log.info("destroy")

"""


def plugin(tmp_path: Path, body: str) -> Path:
    return build_plugin(tmp_path, textwrap.dedent(PLUGIN) + textwrap.indent(textwrap.dedent(body), "    "))


def messages(ran: Run) -> list[str]:
    return [line.text.removeprefix("falco_plugin: ") for line in ran.log]


CALLS = """
    def capture_open(self, capture: Capture) -> None:
        self.log.info("capture_open")
        self.done.set()

    def capture_close(self, capture: Capture) -> None:
        try:
            capture.every(1, print)
        except Exception as error:
            self.log.info("capture_close: %s", error)
"""


def test_calls_are_in_the_order_of_falco(tmp_path):
    ran = run(plugin(tmp_path, CALLS), timeout=30)
    assert (ran.result, [event.data for event in ran.events]) == ("eof", [b"event"])
    logs = messages(ran)
    # The generator runs on its own thread, so its line may come after the next one.
    assert sorted(logs[:2]) == ["capture_open", "open"]
    assert logs[2:] == [
        "source closed",
        "capture_close: Capture.every can be called in capture_open only: call it there for each function",
        "destroy",
    ]


@pytest.mark.parametrize("name", ["capture_open", "capture_close"])
def test_one_of_the_methods_is_enough(tmp_path, name):
    body = f'def {name}(self, capture):\n    self.log.info("{name}")\n    self.done.set()\n'
    ran = run(plugin(tmp_path, body), limit=1, timeout=30) if name == "capture_open" else None
    if ran is None:
        with RunningPlugin(plugin(tmp_path, body)) as running:
            running.wait_for_log("open", 30)
            ran = running.stop()
    assert name in messages(ran)


ROUTINES = """
    def capture_open(self, capture):
        self.rounds = 0
        capture.every(0.001, self.count)
        capture.every(0.001, self.fail)
        capture.every(3600, self.never)

    def count(self):
        self.rounds += 1
        if self.rounds == 20:
            self.log.info("on another thread: %s", threading.get_ident() != self.main)
            self.done.set()

    def fail(self):
        raise OSError("no connection")

    def never(self):
        self.log.info("too early")

    def capture_close(self, capture):
        rounds = self.rounds
        time.sleep(0.05)
        self.log.info("rounds after the end: %d", self.rounds - rounds)
"""


def test_routines_run_until_the_capture_ends(tmp_path):
    ran = run(plugin(tmp_path, ROUTINES), timeout=60)
    assert ran.result == "eof"
    logs = messages(ran)
    assert "on another thread: True" in logs
    assert "rounds after the end: 0" in logs
    assert "too early" not in logs
    failures = [text for text in logs if "Sample.fail of Capture.every failed" in text]
    assert failures[0].startswith("Sample.fail of Capture.every failed: OSError: no connection (plugin.py:")
    assert all("times: OSError (plugin.py:" in text for text in failures[1:])
    assert len(failures) <= 5


FAILING_OPEN = """
    def capture_open(self, capture):
        capture.every(0.001, self.count)
        raise OSError("no connection")

    def count(self):
        self.log.info("a round")
"""


def test_failed_capture_open_ends_the_host(tmp_path):
    ran = run(plugin(tmp_path, FAILING_OPEN), timeout=30)
    assert ran.result == "failure"
    assert ran.error.startswith("capture_open failed: OSError: no connection (plugin.py:")
    assert "a round" not in messages(ran)


FAILING_CLOSE = """
    def capture_open(self, capture):
        self.done.set()

    def capture_close(self, capture):
        raise OSError("no connection")
"""


def test_failed_capture_close_is_logged_only(tmp_path):
    ran = run(plugin(tmp_path, FAILING_CLOSE), timeout=30)
    assert (ran.result, ran.error) == ("eof", None)
    assert any(text.startswith("capture_close failed: OSError: no connection") for text in messages(ran))


STUCK = """
    def capture_open(self, capture):
        capture.every(0.001, self.wait)

    def wait(self):
        self.done.set()
        time.sleep(3600)
"""


def test_routine_that_does_not_return_is_reported(tmp_path):
    ran = run(plugin(tmp_path, STUCK), timeout=30)
    assert ran.result == "eof"
    assert (
        "left 1 function of Capture.every running after the end of the capture: return earlier, such as by waiting less"
    ) in messages(ran)
