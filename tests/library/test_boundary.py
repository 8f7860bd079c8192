"""What crosses the C boundary of a built library: events and their ends, errors, texts, log lines."""

from __future__ import annotations

import ctypes
import json
import logging
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.hosts import (
    EOF,
    FAILURE,
    PAYLOAD_AT,
    SUCCESS,
    TIMEOUT,
    Library,
    Ran,
    build_plugin,
    c_host,
    c_host_path,
    command,
    data_of,
    encoded,
    environment,
    failed_init,
    golang,
    logged,
    payloads,
    run_c_host,
    simple,
)

Build = Callable[..., Path]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Builds a plugin from a source text."""
    return lambda source, name="plugin": build_plugin(tmp_path, source, name)


@pytest.fixture
def load(build: Build) -> Iterator[Callable[..., Library]]:
    """Builds a plugin and initialises it in this process."""
    libraries: list[Library] = []

    def load(source: str, config: str = "") -> Library:
        library = Library(build(source, f"loaded{len(libraries)}"), config)
        libraries.append(library)
        assert library.init_code == SUCCESS, library.last_error()
        return library

    yield load
    for library in libraries:
        library.destroy()


def texts(ran: Ran, severity: int | None = None) -> list[str]:
    """The texts of the log lines."""
    return [log["text"] for log in ran.values("log") if severity in (None, log["severity"])]


def ending(ran: Ran) -> dict:
    """The line that tells how the cycle ended."""
    (line,) = [line for line in ran.lines if "cycle" in line]
    return line


# The five tests of the Go package, through a built library. Where Go gives events and an end in one call, here it is
# never both: the call with events succeeds, and the end is what the next call returns.


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
        assert instance.next_batch() == (SUCCESS, [encoded(bytes(100))])
        # Go: two events and EOF at once. Never both.
        assert instance.next_batch() == (SUCCESS, [encoded(bytes(100))] * 2)
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
        assert library.event_to_string(encoded(b"")) == "cancelled"
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
        assert instance.next_batch() == (SUCCESS, [encoded(bytes(100))])
        assert library.event_to_string(encoded(b"")) == "gone on"
        # Go: two events and EOF at once. Never both.
        assert instance.next_batch() == (SUCCESS, [encoded(bytes(100))] * 2)
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
        assert library.event_to_string(encoded(b"")) == "closed"
        assert instance.next_batch() == (EOF, [])


# Exceptions of the author's code

RAISING = """
    from falco_plugin import EOF, Plugin, Timeout, source

    ERRORS = {
        "ValueError": ValueError("böse\\nZeile"),
        "KeyboardInterrupt": KeyboardInterrupt(),
        "SystemExit": SystemExit(3),
        "GeneratorExit": GeneratorExit(),
        "EOFError": EOFError("early"),
        "StopIteration": StopIteration(),
        "TimeoutError": TimeoutError("slow"),
        "EOF": EOF(),
        "Timeout": Timeout(),
    }
    STATE = {}


    def maybe(where):
        if STATE["where"] == where:
            raise ERRORS[STATE["what"]]  # the line that is told


    class Own(source.BaseInstance):
        calls = 0

        def next_batch(self, batch):
            self.calls += 1
            if self.calls > 1:
                raise EOF
            batch.append(b"one")
            batch.append(b"two")
            maybe("next_batch")
            return 2

        def progress(self):
            maybe("progress")
            return 0.25, "a quarter"

        def close(self):
            maybe("close")


    class Raising(Plugin):
        name = "raising"

        def init(self):
            STATE["where"], _, STATE["what"] = self.config.partition(" ")
            maybe("init")

        def open(self, params):
            maybe("open")
            if STATE["where"] != "pull":
                return Own()
            items = iter([b"one", b"two"])

            def pull(context, writer):
                for item in items:
                    writer.write(item)
                    return
                writer.write(b"of the failing call")
                maybe("pull")

            return source.PullInstance(pull)

        def event_to_string(self, event):
            maybe("event_to_string")
            return event.text

        def list_open_params(self):
            maybe("list_open_params")
            return []

        def destroy(self):
            maybe("destroy")
"""
LINE = next(number for number, line in enumerate(RAISING.splitlines(), 1) if "the line that is told" in line)
TOLD = {
    "ValueError": "ValueError: böse Zeile",
    "KeyboardInterrupt": "KeyboardInterrupt",
    "SystemExit": "SystemExit: 3",
}
MORE = {"GeneratorExit": "GeneratorExit"}
MEANT = {
    "EOFError": ("EOFError: early", "falco_plugin.EOF"),
    "StopIteration": ("StopIteration", "falco_plugin.EOF"),
    "TimeoutError": ("TimeoutError: slow", "falco_plugin.Timeout"),
}
PLACE = f" (raising.py:{LINE} in maybe)"


@pytest.fixture(scope="module")
def raising(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_plugin(tmp_path_factory.mktemp("raising"), RAISING, "raising")


@pytest.mark.parametrize("what", [*TOLD, *MORE])
def test_an_exception_in_init_is_the_hosts_error(raising: Path, what: str) -> None:
    assert failed_init(raising, f"init {what}") == {**TOLD, **MORE}[what] + PLACE


@pytest.mark.parametrize("what", [*TOLD, *MORE])
def test_an_exception_in_open_is_the_hosts_error(raising: Path, what: str) -> None:
    ran = logged(raising, f"open {what}")
    assert (ending(ran)["stage"], ending(ran)["error"]) == ("open", {**TOLD, **MORE}[what] + PLACE)
    assert ran.values("late_logs") == [0], "the process lives to the end"


@pytest.mark.parametrize("where", ["pull", "next_batch"])
@pytest.mark.parametrize("what", [*TOLD, *MORE])
def test_events_before_an_exception_are_delivered_and_then_the_exception(raising: Path, where: str, what: str) -> None:
    ran = logged(raising, f"{where} {what}")
    assert data_of(ran) == [b"one", b"two"]
    assert (ending(ran)["stage"], ending(ran)["error"]) == ("next_batch", {**TOLD, **MORE}[what] + PLACE)
    assert ran.values("late_logs") == [0]


@pytest.mark.parametrize("where", ["pull", "next_batch"])
def test_after_events_and_the_exception_there_is_eof_for_ever(raising: Path, where: str) -> None:
    with Library(raising, f"{where} ValueError") as library, library.opened() as instance:
        assert [(code, payloads(events)) for code, events in (instance.next_batch() for _ in range(4))] == [
            (SUCCESS, [b"one", b"two"]),
            (FAILURE, []),
            (EOF, []),
            (EOF, []),
        ]
        assert library.last_error() == TOLD["ValueError"] + PLACE


@pytest.mark.parametrize("what", TOLD)
@pytest.mark.parametrize("where", ["close", "destroy"])
def test_an_exception_where_nobody_can_be_told_is_logged(raising: Path, where: str, what: str) -> None:
    ran = logged(raising, f"{where} {what}")
    assert ran.status == 0, ran.stderr
    (told,) = [text for text in texts(ran, severity=3) if where in text]
    assert f"{where} failed: {TOLD[what]}{PLACE}\n  Traceback" in told
    assert "the line that is told" in told, "the traceback shows the source"


@pytest.mark.parametrize("what", TOLD)
def test_an_exception_in_event_to_string_gives_a_placeholder_and_the_source_goes_on(raising: Path, what: str) -> None:
    ran = logged(raising, f"event_to_string {what}")
    assert ran.status == 0, ran.stderr
    kind = TOLD[what].partition(":")[0]
    assert [event["text"] for event in ran.values("event")] == [f"<event_to_string of raising failed: {kind}>"] * 2
    assert f"event_to_string failed: {TOLD[what]}{PLACE}" in "\n".join(texts(ran, severity=3))


@pytest.mark.parametrize("what", TOLD)
def test_an_exception_in_progress_or_list_open_params_is_told(raising: Path, what: str) -> None:
    with Library(raising, f"progress {what}") as library, library.opened() as instance:
        assert instance.progress() == (0, "")
        assert any(text.startswith(f"falco_plugin: progress failed: {TOLD[what]}{PLACE}") for _, text in library.logs)
    with Library(raising, f"list_open_params {what}") as library:
        assert library.list_open_params() == (FAILURE, None)
        assert library.last_error() == TOLD[what] + PLACE


@pytest.mark.parametrize("where", ["pull", "next_batch"])
@pytest.mark.parametrize("what", MEANT)
def test_an_exception_that_looks_like_a_signal_says_which_one_was_meant(raising: Path, where: str, what: str) -> None:
    ran = logged(raising, f"{where} {what}")
    said, meant = MEANT[what]
    assert data_of(ran) == [b"one", b"two"]
    assert ending(ran)["stage"] == "next_batch"
    assert said in ending(ran)["error"]
    assert f"raise {meant}" in ending(ran)["error"]
    assert ending(ran)["error"].endswith(PLACE)


@pytest.mark.parametrize("where", ["pull", "next_batch"])
def test_eof_ends_the_source_without_an_error(raising: Path, where: str) -> None:
    ran = logged(raising, f"{where} EOF")
    assert (data_of(ran), ending(ran)["end"], ran.status) == ([b"one", b"two"], "eof", 0)


def test_timeout_lets_the_source_go_on(raising: Path) -> None:
    ran = logged(raising, "pull Timeout")
    # The host gives up after three in a row.
    assert (data_of(ran), ending(ran)["end"], ran.status) == ([b"one", b"two"], "timeout", 0)


@pytest.mark.parametrize("what", ["EOF", "Timeout"])
@pytest.mark.parametrize("where", ["init", "open", "list_open_params"])
def test_a_signal_outside_of_next_batch_is_an_error_that_says_so(raising: Path, where: str, what: str) -> None:
    library = Library(raising, f"{where} {what}")
    if where == "init":
        assert library.init_code == FAILURE
    elif where == "open":
        with pytest.raises(AssertionError), library.opened():
            pass
    else:
        assert library.list_open_params() == (FAILURE, None)
    assert what in library.last_error()
    assert f"cannot be raised from {where}" in library.last_error()
    library.destroy()


def test_the_traceback_goes_to_the_log_once(raising: Path) -> None:
    ran = logged(raising, "pull ValueError")
    told = [text for text in texts(ran, severity=3) if "Traceback" in text]
    assert len(told) == 1
    assert 'raising.py", line' in told[0]
    assert told[0].count("böse Zeile") == 1


def test_a_cause_comes_first_however_long_the_text_is(build: Build) -> None:
    library = build(simple("long", "def init(self):\n    raise ValueError('cause ' + 'x' * 5000)\n"))
    assert failed_init(library).startswith("ValueError: cause xxx")


# Wrong results


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
def test_a_pull_function_that_returns_its_event_is_told_to_write_it(build: Build, result: str, name: str) -> None:
    ran = logged(
        build(f"""
        from falco_plugin import Plugin, source

        class Returns(Plugin):
            name = "returns"

            def open(self, params):
                return source.PullInstance(lambda context, writer: {result})
    """)
    )
    assert ending(ran)["stage"] == "next_batch"
    assert ending(ran)["error"].startswith(
        f"TypeError: the pull function returned {name}: write the event with writer."
    )


def opened(build: Build, body: str, more: str = "") -> Ran:
    """One cycle of a plugin whose open is `body`."""
    lines = "".join(f"        {line}\n" for line in body.splitlines())
    return logged(
        build(
            f"from falco_plugin import *\n\n{more}\n\nclass Opens(Plugin):\n    name = 'opens'\n\n"
            f"    def open(self, params):\n{lines}"
        )
    )


@pytest.mark.parametrize("result", ["None", "b'bytes'", "42", "'text'", "{'a': 1}", "Opens", "source.BaseInstance"])
def test_open_must_return_an_event_source(build: Build, result: str) -> None:
    ran = opened(build, f"return {result}")
    assert ending(ran)["stage"] == "open"
    assert ending(ran)["error"].startswith("TypeError: open returned ")
    assert ending(ran)["error"].endswith(" in open)")


def test_open_may_return_an_iterable(build: Build) -> None:
    ran = opened(build, "return [b'one', (b'two', 2)]")
    assert (data_of(ran), ending(ran)["end"]) == ([b"one", b"two"], "eof")


OWN = """
class Own(source.BaseInstance):
    calls = 0

    def next_batch(self, batch):
        self.calls += 1
        return self.step(batch)
"""


def test_an_instance_without_super_init_says_what_to_call(build: Build) -> None:
    ran = opened(build, "return Own()", OWN + "\n    def __init__(self):\n        self.calls = 0\n")
    assert ending(ran)["stage"] == "open"
    assert ending(ran)["error"].startswith("TypeError: open returned Own, which has no events: call super().__init__()")


def test_an_instance_with_something_else_as_events_is_refused(build: Build) -> None:
    ran = opened(build, "own = Own()\nown.events = [b'x']\nreturn own", OWN)
    assert ending(ran)["error"].startswith("TypeError: the instance's events must be an EventBatch, not list")


def test_an_instance_that_gives_nothing_times_out_with_one_warning(build: Build) -> None:
    ran = opened(build, "return Own()", OWN + "\n    def step(self, batch):\n        return 0\n")
    assert (ending(ran)["end"], ran.status) == ("timeout", 0)
    (warning,) = [text for text in texts(ran, severity=4) if "next_batch returned without an event" in text]
    assert "raise falco_plugin.Timeout" in warning


def test_what_an_instance_appended_counts_not_what_it_returns(build: Build) -> None:
    step = """
    def step(self, batch):
        if self.calls == 3:
            raise EOF
        batch.append(b"%d" % self.calls)
        return [None, 77, "many"][self.calls]
"""
    ran = opened(build, "return Own()", OWN + step)
    assert (data_of(ran), ending(ran)["end"]) == ([b"1", b"2"], "eof")


def test_what_an_instance_clears_again_is_not_delivered(build: Build) -> None:
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
    ran = opened(build, "return Own()", OWN + step)
    assert (data_of(ran), ending(ran)["end"]) == ([b"1"], "eof")


def test_the_hosts_batch_cannot_be_touched_after_its_call(build: Build) -> None:
    step = """
    def step(self, batch):
        if self.calls == 1:
            import threading
            batch.append(b"mine")
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
            logging.getLogger("opens").info("refused: %s", error)
"""
    ran = opened(build, "return Own()", OWN + step)
    assert data_of(ran) == [b"mine"]
    assert any(text.startswith("refused: ") for text in texts(ran))


@pytest.mark.parametrize(
    "batch",
    ["source.EventBatch(1, 10)", "instance.events"],
    ids=["another", "the-hosts"],
)
def test_a_pull_function_that_calls_its_own_instance_is_refused(build: Build, batch: str) -> None:
    body = f"""
def pull(context, writer):
    instance.next_batch({batch})

instance = source.PullInstance(pull)
return instance"""
    ran = opened(build, body)
    assert ending(ran)["stage"] == "next_batch"
    assert "only the host calls its next_batch" in ending(ran)["error"]


WAITS = """
    from falco_plugin import Plugin, source


    class Waits(Plugin):
        name = "waits"

        tried = False

        def try_to(self, where):
            if self.tried or where != self.config.split()[0]:
                return
            self.tried = True
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
            self.try_to("open")
            instance = source.PushInstance(receiver)
            instance.context.on_cancel(lambda: self.try_to("on_cancel"))
            return instance

        def event_to_string(self, event):
            self.try_to("event_to_string")
            return event.text
"""


@pytest.mark.parametrize("what", ["flush", "send"])
@pytest.mark.parametrize("where", ["open", "event_to_string", "on_cancel"])
def test_nothing_waits_for_the_host_on_a_thread_of_the_hosts(build: Build, where: str, what: str) -> None:
    told = {
        "flush": "PluginError: flush would never return on a thread of the host",
        "send": "ChannelFullError: the event was not sent: the channel is full on a thread of the host",
    }
    ran = logged(build(WAITS), f"{where} {what}")
    assert ran.status == 0, ran.stderr
    assert any(text.startswith(told[what]) for text in texts(ran, severity=6))
    assert data_of(ran)[0] == b"one"


def test_every_function_survives_null_handles(build: Build) -> None:
    body = "def list_open_params(self):\n    return []\n"
    (line,) = c_host("nulls", build(simple("nulls", body)))
    assert (line["ok"], line["opened"], line["unset"], line["success"]) == (True, True, [], [])
    assert line["calls"] > 10


def test_null_params_and_null_config_are_empty_texts(load) -> None:
    library = load(simple("given", events="[b'<' + params.encode() + b'|' + self.config.encode() + b'>']"))
    code = ctypes.c_int(0x5A5A)
    handle = library.api.plugin_open(library.state, None, ctypes.byref(code))
    assert code.value == SUCCESS
    library.api.plugin_close(library.state, handle)


# Texts


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"plain", "plain"),
        ("Grüße 日本語 🦅".encode(), "Grüße 日本語 🦅"),
        (b"a\xffb\xc3", "a\ufffdb\ufffd"),
        (b"", ""),
        (b"nul\0inside", "nul\ufffdinside"),
        (b"x" * 1024, "x" * 1024),
        (b"x" * 1025, "x" * 1024),
        # The cut does not go through a character.
        (b"x" * 1023 + "é".encode(), "x" * 1023),
        (b"x" * 1022 + "é".encode() + b"more", "x" * 1022 + "é"),
        ("日".encode() * 400, "日" * 341),
    ],
    ids=["ascii", "utf-8", "bad", "empty", "nul", "1024", "1025", "half", "whole", "wide"],
)
def test_the_default_text_is_the_payload_cut_at_1_kib(load, payload: bytes, text: str) -> None:
    library = load(simple("plain"))
    assert library.event_to_string(encoded(payload)) == text


def test_an_own_text_sees_the_whole_event(load) -> None:
    library = load(
        simple(
            "own",
            """
        def event_to_string(self, event):
            return f"{event.number} {event.timestamp} {event.source} {event.data!r} {event.text}"
    """,
        )
    )
    event = encoded(b"\xffx", 77)
    assert library.event_to_string(event, 2**64 - 1, "quelle") == f"{2**64 - 1} 77 quelle b'\\xffx' \ufffdx"
    # What the host filled in does not matter.
    assert library.event_to_string(encoded(b"y", 1, plugin_id=999), 1) == "1 1 test b'y' y"


@pytest.mark.parametrize("cut", [0, 10, PAYLOAD_AT - 1])
def test_a_malformed_event_gives_no_text(load, cut: int) -> None:
    library = load(simple("short", "def event_to_string(self, event):\n    return 'never'\n"))
    event = bytearray(encoded(b"payload"))
    # The length field says how much there is to read.
    event[16:20] = cut.to_bytes(4, "little")
    assert library.event_to_string(bytes(event)) is None
    assert library.last_error()


def test_a_surrogate_in_a_text_is_replaced(load) -> None:
    library = load(
        simple(
            "surrogate",
            r"""
        def event_to_string(self, event):
            return "a\udcffb\0c"
    """,
        )
    )
    assert library.event_to_string(encoded(b"")) == "a\ufffdb\ufffdc"


@pytest.mark.parametrize(
    ("value", "hundredths", "text"),
    [
        ("(0.5, 'half')", 5000, "half"),
        ("(0.00005, 'ä')", 1, "ä"),
        ("(1.0, '')", 10_000, ""),
        ("(2, 'beyond')", 10_000, "beyond"),
        ("(-1, 'below')", 0, "below"),
        ("(float('nan'), 'unknown')", 0, "unknown"),
        ("(1/3, 'a third')", 3333, "a third"),
    ],
)
@pytest.mark.parametrize("kind", ["option", "method"])
def test_progress_is_told_in_hundredths_of_a_percent(load, kind: str, value: str, hundredths: int, text: str) -> None:
    library = load(f"""
        from falco_plugin import EOF, Plugin, source

        class Own(source.BaseInstance):
            def next_batch(self, batch):
                raise EOF

            def progress(self):
                return {value}

        def pull(context, writer):
            raise EOF

        class Progress(Plugin):
            name = "progress"

            def open(self, params):
                return Own() if params == "method" else source.PullInstance(pull, progress=lambda: {value})
    """)
    with library.opened(kind) as instance:
        assert instance.progress() == (hundredths, text)


@pytest.mark.parametrize("value", ["None", "0.5", "(0.5,)", "('half', 0.5)", "(0.5, b'half')"])
def test_a_wrong_progress_is_none_and_says_what_is_right(load, value: str) -> None:
    library = load(f"""
        from falco_plugin import EOF, Plugin, source

        class Progress(Plugin):
            name = "progress"

            def open(self, params):
                return source.PullInstance(lambda context, writer: None, progress=lambda: {value})
    """)
    with library.opened() as instance:
        assert instance.progress() == (0, "")
    assert any("progress must return (fraction from 0 to 1, text), not " in text for _, text in library.logs)


def test_without_a_progress_there_is_none(load) -> None:
    with load(simple("none")).opened() as instance:
        assert instance.progress() == (0, "")


def test_open_params_are_suggested_as_json(load) -> None:
    library = load(
        simple(
            "suggests",
            """
        def list_open_params(self):
            from falco_plugin import OpenParam
            return [OpenParam('a "b" \\\\', "Größe", ","), OpenParam("just"), "text"]
    """,
        )
    )
    assert library.list_open_params() == (
        SUCCESS,
        [
            {"value": 'a "b" \\', "desc": "Größe", "separator": ","},
            {"value": "just", "desc": "", "separator": ""},
            {"value": "text", "desc": "", "separator": ""},
        ],
    )


def test_the_loader_of_the_go_sdk_reads_the_suggestions(build: Build) -> None:
    body = 'def list_open_params(self):\n    return ["größe", "b"]\n'
    lines = golang(build(simple("suggests", body)))
    expected = [{"value": value, "desc": "", "separator": ""} for value in ("größe", "b")]
    assert {"open_params": expected} in lines


@pytest.mark.parametrize("result", ["[42]", "None", "[('a', 'b')]", "'text'", "OpenParam('a')", "[OpenParam(1)]"])
def test_wrong_suggestions_are_an_error(load, result: str) -> None:
    body = f"def list_open_params(self):\n    from falco_plugin import OpenParam\n    return {result}\n"
    library = load(simple("wrong", body))
    assert library.list_open_params() == (FAILURE, None)
    assert library.last_error().startswith("TypeError: ")


@pytest.mark.parametrize("text", ["", "plain", '{"a": ["ü", "日本語"]}', "line\nline", " spaces "])
def test_config_and_params_arrive_as_they_are(build: Build, text: str) -> None:
    library = build(simple("given", events="[self.config.encode(), params.encode(), type(params).__name__.encode()]"))
    assert data_of(logged(library, text, text)) == [text.encode(), text.encode(), b"str"]


def test_bad_utf8_in_config_and_params_does_not_stop_the_plugin(build: Build) -> None:
    library = build(simple("given", events="[self.config.encode(), params.encode()]"))
    done = subprocess.run(
        [c_host_path(), "log", library, b"a\xff", b"\xfeb"], capture_output=True, check=True, env=environment()
    )
    found = [json.loads(line).get("event", {}).get("text") for line in done.stdout.splitlines()]
    assert [text for text in found if text] == ["a\ufffd", "\ufffdb"]


# open and its context

CONTEXT = """
    from falco_plugin import EOF, Plugin, Timeout, source

    class Contexts(Plugin):
        name = "contexts"

        def open(self, params{more}):
            context = {context}
            log = self.log

            def pull(inner, writer):
                raise Timeout

            if context is not None:
                context.on_cancel(lambda: log.info("outer cancelled"))
            close = lambda: log.info("closed, cancelled: %s", instance.context.cancelled)
            instance = source.PullInstance(pull, close=close)
            instance.context.on_cancel(lambda: log.info("inner cancelled"))
            if params == "cancel":
                context.cancel()
            return instance
"""


@pytest.mark.parametrize(
    ("more", "context"),
    [(", context", "context"), (", context, /", "context"), (", *rest", "rest[0]")],
    ids=["two", "positional-only", "rest"],
)
def test_the_context_of_open_is_the_parent_and_is_cancelled_on_close(load, more: str, context: str) -> None:
    library = load(CONTEXT.format(more=more, context=context))
    with library.opened() as instance:
        assert instance.next_batch() == (TIMEOUT, [])
        assert not [text for _, text in library.logs if "cancelled" in text]
    found = [text for _, text in library.logs if "cancelled" in text]
    assert sorted(found[:2]) == ["inner cancelled", "outer cancelled"]
    assert found[2:] == ["closed, cancelled: True"], "the contexts first, then the author's callback"


@pytest.mark.parametrize("more", ["", ", *, later=None", ", **options"])
def test_open_with_one_parameter_is_called_with_one(load, more: str) -> None:
    library = load(CONTEXT.format(more=more, context="None"))
    with library.opened() as instance:
        assert instance.next_batch() == (TIMEOUT, [])
    assert [text for _, text in library.logs if "cancelled" in text] == ["inner cancelled", "closed, cancelled: True"]


@pytest.mark.parametrize(
    "replaced",
    [
        "functools.wraps(Contexts.open)(lambda *all: Contexts.whole(*all))",
        "functools.partialmethod(Contexts.open)",
        "staticmethod(functools.partial(Contexts.open, Contexts()))",
    ],
    ids=["wrapped", "partial method", "partial"],
)
@pytest.mark.parametrize("more", ["", ", context"])
def test_what_stands_around_open_is_looked_through(load, replaced: str, more: str) -> None:
    around = f"\n    import functools\n\n    Contexts.whole = Contexts.open\n    Contexts.open = {replaced}\n"
    library = load(CONTEXT.format(more=more, context="context" if more else "None") + around)
    with library.opened() as instance:
        assert instance.next_batch() == (TIMEOUT, [])
    assert ("outer cancelled" in [text for _, text in library.logs]) == bool(more)


def test_cancelling_the_context_of_open_ends_the_source(load) -> None:
    with load(CONTEXT.format(more=", context", context="context")).opened("cancel") as instance:
        assert instance.next_batch() == (EOF, [])


def test_a_failed_open_cancels_its_context(load) -> None:
    library = load("""
        from falco_plugin import Plugin

        class Half(Plugin):
            name = "half"

            def open(self, params, context):
                context.on_cancel(lambda: self.log.info("stopped"))
                raise ValueError("half open")
    """)
    with pytest.raises(AssertionError, match="half open"), library.opened():
        pass
    assert (6, "stopped") in library.logs


def test_an_event_batch_of_ones_own_bounds_the_host(load) -> None:
    library = load("""
        from falco_plugin import EOF, Plugin, source

        class Batches(Plugin):
            name = "batches"

            def open(self, params):
                items = iter(range(7))

                def pull(context, writer):
                    for item in items:
                        writer.write(b"%d" % item)
                        return
                    raise EOF

                instance = source.PullInstance(pull)
                instance.events = source.EventBatch(3, 10)
                return instance
    """)
    with library.opened() as instance:
        assert [len(instance.next_batch()[1]) for _ in range(4)] == [3, 3, 1, 0]


# The log


def test_log_lines_have_their_severity_and_no_prefix_of_their_own(build: Build) -> None:
    ran = logged(
        build(
            simple(
                "logs",
                """
        def init(self):
            import logging
            self.log.critical("is critical")
            self.log.error("is error")
            self.log.warning("is warning")
            self.log.log(25, "is notice")
            self.log.info("is info")
            self.log.debug("is debug")
            self.log.log(5, "is trace")
            logging.getLogger("logs.part").info("of a part")
            logging.getLogger("somebody.else").warning("of another")
            logging.getLogger("somebody.else").debug("with its token")
            logging.getLogger(__name__).debug("of the module")
            logging.info("of the root")
            self.log.info("with %s and %d", "ärgs", 7)
    """,
            )
        )
    )
    found = {log["text"]: log["severity"] for log in ran.values("log")}
    expected = {"critical": 2, "error": 3, "warning": 4, "notice": 5, "info": 6, "debug": 7}
    assert {f"is {name}": severity for name, severity in expected.items()}.items() <= found.items()
    assert found["logs.part: of a part"] == 6
    assert found["somebody.else: of another"] == 4
    assert found["root: of the root"] == 6
    assert "somebody.else: with its token" not in found
    assert [severity for text, severity in found.items() if text.endswith("of the module")] == [7]
    assert found["with ärgs and 7"] == 6
    assert [log["component"] for log in ran.values("log")] == [None] * len(found)


def test_an_exception_that_is_logged_shows_its_traceback(build: Build) -> None:
    ran = logged(
        build(
            simple(
                "logs",
                """
        def init(self):
            try:
                1 / 0
            except ZeroDivisionError:
                self.log.exception("cannot divide")
    """,
            )
        )
    )
    (told,) = [text for text in texts(ran, severity=3) if text.startswith("cannot divide\n")]
    assert told.splitlines()[1].startswith("  ZeroDivisionError: division by zero (plugin.py:")
    assert told.count("division by zero") == 1
    assert "1 / 0" in told


def test_warnings_reach_the_host(build: Build) -> None:
    ran = logged(
        build(
            simple(
                "warns",
                """
        def init(self):
            import warnings
            warnings.warn("mind this")
    """,
            )
        )
    )
    assert any("UserWarning: mind this" in text for text in texts(ran, severity=4))


def test_what_is_printed_never_reaches_stdout(build: Build) -> None:
    library = build(
        "print('while importing')\n"
        + simple(
            "prints",
            """
        def init(self):
            import os, sys
            print("in init")
            sys.stdout.write("written\\n")

        def event_to_string(self, event):
            print("in text")
            return event.text
    """,
        )
    )
    ran = logged(library)
    # Every line of stdout is the host's own JSON.
    assert ran.status == 0, ran.stderr
    assert len(ran.values("event")) == 2
    for text in ("while importing", "in init", "written", "in text"):
        assert text in ran.stderr
    shown = command("run", "--json", library)
    assert {line["kind"] for line in shown.lines} <= {"event", "log", "end"}


def test_a_thread_that_dies_is_told(build: Build) -> None:
    ran = logged(
        build(
            simple(
                "threads",
                """
        def init(self):
            import threading

            def work():
                raise ValueError("of a thread")

            for target in (work, lambda: exit(3)):
                thread = threading.Thread(target=target, name="worker")
                thread.start()
                thread.join()
    """,
            )
        )
    )
    (told,) = [text for text in texts(ran, severity=3) if "died" in text]
    assert told.startswith("thread worker of plugin threads died: ValueError: of a thread (plugin.py:")
    assert "\n  Traceback" in told
    assert "threading.py" not in told, "what leads to the thread's function is left out"
    assert ran.status == 0


def test_a_thread_that_is_left_behind_does_not_reach_the_host_after_destroy(build: Build) -> None:
    # The C host waits 300 ms after destroy, and counts what comes through the log function.
    ran = logged(
        build(
            simple(
                "late",
                """
        def init(self):
            import threading, time
            said = threading.Event()

            def chat():
                while True:
                    self.log.info("still here")
                    print("printed")
                    said.set()
                    time.sleep(0.005)

            threading.Thread(target=chat, daemon=True).start()
            said.wait(10)
    """,
            )
        )
    )
    assert ran.status == 0, ran.stderr
    assert ran.values("late_logs") == [0]
    assert "still here" in texts(ran)
    assert "still here" in ran.stderr, "what it says later goes to stderr"


def test_two_plugins_do_not_log_for_each_other(load) -> None:
    body = "def init(self):\n    self.log.info('of {0}')\n\ndef destroy(self):\n    self.log.info('end of {0}')\n"
    first, second = (load(simple(name, body.format(name))) for name in ("firstone", "secondone"))
    first.destroy()
    second.destroy()
    assert [text for _, text in first.logs if "of " in text] == ["of firstone", "end of firstone"]
    assert [text for _, text in second.logs if "of " in text] == ["of secondone", "end of secondone"]


def test_loggers_are_forgotten_while_nobody_walks_through_them(load, monkeypatch: pytest.MonkeyPatch) -> None:
    # Another plugin's init sets levels, which walks through all loggers: a walk that fails keeps the lock of logging.
    class Loggers(dict):
        def pop(self, *arguments):
            locked.append(logging._lock._is_owned())
            return super().pop(*arguments)

    locked: list[bool] = []
    monkeypatch.setattr(logging.Logger.manager, "loggerDict", Loggers(logging.Logger.manager.loggerDict))
    load(simple("loggers")).destroy()
    assert locked
    assert all(locked)


def test_an_extraction_without_its_input_fails_with_a_message(load) -> None:
    fields = 'number = json_field("fields.number", "/n", desc="A number")'
    library = load(simple("fields", fields).replace("import EOF", "import json_field, EOF"))
    assert library.api.plugin_extract_fields(library.state, None, None) == FAILURE
    assert library.last_error() == "extract_fields was called without its input"


def test_an_init_without_its_input_fails_with_a_message(build: Build) -> None:
    library = Library(build(simple("without")))
    library.destroy()
    library.state = library.api.plugin_init(None, None)
    assert library.last_error() == "plugin_init was called without its input"
    library.destroy()


def test_nothing_of_a_destroyed_plugin_is_kept(build: Build) -> None:
    library = build(
        simple(
            "forgotten",
            """
        def destroy(self):
            import gc, sys
            from falco_plugin._runtime import log as _log
            gc.collect()
            kept = [type(o) for o in gc.get_objects() if type(o).__name__ == "Simple"]
            names = [name for name in sys.modules if name.startswith("falco_plugin_modules_")]
            print("KEPT", len(kept), len(names), len(_log._handler.logs), file=sys.stderr, flush=True)
    """,
        )
    )
    ran = run_c_host("cycle", library, 10, "")
    assert ran.status == 0, ran.stderr
    counts = [line for line in ran.stderr.splitlines() if line.startswith("KEPT")]
    assert len(counts) == 10
    assert set(counts[1:]) == {counts[0]}, "each cycle starts where the one before did"


def test_no_logger_of_a_failed_init_is_kept(build: Build) -> None:
    def loggers() -> set[str]:
        return {name for name in logging.Logger.manager.loggerDict if name.startswith("falco_plugin_modules_")}

    library = build(simple("refused", "def init(self):\n    raise ValueError('no')\n"))
    before = loggers()
    loaded = Library(library)
    assert "ValueError: no" in loaded.last_error()
    loaded.destroy()
    assert loggers() == before
