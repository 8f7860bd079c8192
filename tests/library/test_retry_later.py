"""Pauses that a source asks for with `RetryLater`, and its end with `Fatal`, in a host."""

from __future__ import annotations

import pytest
from support.hosts import cycle_end, run_cycle
from support.libraries import Build

from falco_plugin.testing import RunningPlugin, run

PULL = """
    from falco_plugin import EOF, Fatal, Plugin, RetryLater, source

    class Steered(Plugin):
        name = "steered"

        def open(self, params):
            steps = [b"one", b"two", RetryLater(0.1, "the rate limit is reached"), b"three", RetryLater(0), {end}]

            def pull(context, writer):
                step = steps.pop(0)
                if not isinstance(step, bytes):
                    raise step
                writer.write(step)

            return source.PullInstance(pull)
"""

CUSTOM = """
    from falco_plugin import EOF, Fatal, Plugin, RetryLater, source

    class Batches(source.BaseInstance):
        steps = [b"one", b"two", RetryLater(0.1, "the rate limit is reached"), b"three", RetryLater(0), {end}]

        def next_batch(self, batch):
            while True:
                step = self.steps.pop(0)
                if not isinstance(step, bytes):
                    raise step
                batch.append(step)

    class Steered(Plugin):
        name = "steered"

        def open(self, params):
            return Batches()
"""
sources = pytest.mark.parametrize("code", [PULL, CUSTOM], ids=["pull", "custom"])


@sources
def test_source_continues_after_its_pauses(code: str, build: Build) -> None:
    ran = run(build(code.format(end="EOF")))
    assert (ran.result, [event.data for event in ran.events]) == ("eof", [b"one", b"two", b"three"])
    messages = [line.text for line in ran.log if "is called again in" in line.text]
    assert len(messages) == 2
    assert messages[0].startswith(
        "falco_plugin: the source is called again in 0.1 s: RetryLater: the rate limit is reached ("
    )
    assert messages[1].startswith("falco_plugin: the source is called again in 0.1 s: RetryLater (")
    assert not [line for line in ran.log if "Traceback" in line.text]


@sources
def test_fatal_ends_the_source(code: str, build: Build) -> None:
    ran = run(build(code.format(end="Fatal('the token is rejected')")))
    assert (ran.result, [event.data for event in ran.events]) == ("failure", [b"one", b"two", b"three"])
    assert "Fatal: the token is rejected (" in (ran.error or "")


@pytest.mark.parametrize(
    ("body", "stage"),
    [
        ("raise RetryLater(60, 'later')", "open"),
        ("return [source.PushEvent(error=RetryLater(60, 'later'))]", "next_batch"),
    ],
)
def test_retry_later_elsewhere_is_an_error(body: str, stage: str, build: Build) -> None:
    ran = run_cycle(
        build(f"""
        from falco_plugin import Plugin, RetryLater, source

        class Wrong(Plugin):
            name = "wrong"

            def open(self, params):
                {body}
    """)
    )
    assert cycle_end(ran)["stage"] == stage
    assert "RetryLater (later) cannot be raised here, because nothing is called again" in cycle_end(ran)["error"]


@sources
def test_pause_ends_with_the_source(code: str, build: Build) -> None:
    code = code.replace("RetryLater(0.1", "RetryLater(3600").format(end="EOF")
    with RunningPlugin(build(code)) as running:
        assert [running.next_event(30).data for _ in range(2)] == [b"one", b"two"]
        running.wait_for_log("is called again in 3600 s")
        ran = running.stop()
    assert (ran.result, [event.data for event in ran.events]) == ("interrupted", [b"one", b"two"])
