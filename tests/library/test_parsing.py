"""Methods of a built library that parse events."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest
from support.embedded import Library
from support.events import (
    CLOSE,
    EXECVE,
    FAILURE,
    GENERIC,
    SUCCESS,
    encode_async,
    encode_event,
    encode_execve,
    encode_raw,
)
from support.hosts import c_host_lines

SEEN = """
    from falco_plugin import Event, Plugin, field, parse

    class Seen(Plugin):
        name = "seen"
        extract_event_sources = ("syscall",)

        def init(self):
            self.calls = []
            self.programs = {}

        @parse("execve")
        def executed(self, event: Event) -> None:
            self.calls.append("executed")
            self.programs[event.thread_id] = event.params["exe"]

        @parse("execve", "close")
        def also(self, event: Event) -> None:
            self.calls.append(f"also {event.name}")

        @parse("setxattr")
        def attribute(self, event: Event) -> None:
            self.calls.append(event.name)

        @parse(async_events=["changed"], sources=["shop"])
        def changed(self, event: Event) -> None:
            self.calls.append(f"{event.name} {event.text} {event.source}")

        @field("seen.program", desc="The program of the thread")
        def program(self, event: Event) -> str | None:
            return self.programs.get(event.thread_id)

        @field("seen.calls", desc="The calls so far")
        def seen(self, event: Event) -> list[str]:
            return self.calls
"""


def test_methods_parse_their_events_in_order(load) -> None:
    library = load(SEEN)
    events = [
        (encode_execve("/bin/ls"), "syscall"),
        (encode_raw(CLOSE, [bytes(8)]), "syscall"),
        (encode_raw(CLOSE, [bytes(8)]), "other"),
        (encode_async("changed", b"data"), "shop"),
        (encode_async("changed", b"data"), "syscall"),
        (encode_async("change", b"data"), "shop"),
        (encode_raw(EXECVE - 1), "syscall"),
        (encode_raw(2000), "syscall"),
        (encode_event(b"payload"), "shop"),
    ]
    for number, (event, source) in enumerate(events, 1):
        assert library.parse(event, number, source) == SUCCESS
    calls = library.extract(encode_raw(CLOSE), "seen.calls", 99, "syscall").values
    assert calls == ["executed", "also execve", "also close", "changed data shop"]


def test_generic_events_are_parsed_by_their_system_call(load) -> None:
    library = load(SEEN)
    for call in range(460):
        library.parse(encode_raw(GENERIC, [call.to_bytes(2, "little"), b""]), call)
    assert library.extract(encode_raw(CLOSE), "seen.calls", 999, "syscall").values == ["setxattr"]


def test_state_is_there_before_fields_of_the_same_event(load) -> None:
    library = load(SEEN)
    for number, program in enumerate(["/bin/ls", "/bin/cat", "/bin/ls"], 1):
        event = encode_execve(program, thread_id=number % 2)
        assert library.parse(event, number) == SUCCESS
        assert library.extract(event, "seen.program", number, "syscall").values == [program]
    assert library.extract(encode_raw(CLOSE, thread_id=8), "seen.program", 4, "syscall").values is None


def test_parse_and_fields_share_the_event_object(load) -> None:
    library = load("""
        from falco_plugin import Event, Plugin, field, parse

        class Same(Plugin):
            name = "same"
            extract_event_sources = ("syscall",)

            @parse("execve")
            def first(self, event: Event) -> None:
                self.event = event

            @field("same.object", desc="Whether it is the object that was parsed")
            def same(self, event: Event) -> bool:
                return event is self.event
    """)
    event = library_event = encode_execve("/bin/ls")
    from support.embedded import event_buffer

    memory = event_buffer(library_event)
    assert library.parse(memory, 1) == SUCCESS
    assert library.extract(memory, "same.object", 1, "syscall").values == [True]
    assert library.extract(event_buffer(event), "same.object", 2, "syscall").values == [False]


def test_event_can_be_kept_after_the_call(load) -> None:
    library = load("""
        from falco_plugin import Event, Plugin, field, parse

        class Keeps(Plugin):
            name = "keeps"
            extract_event_sources = ("syscall",)

            def init(self):
                self.kept = []

            @parse("execve", "asyncevent")
            def keep(self, event: Event) -> None:
                self.kept.append((event, event.params))

            @field("keeps.all", desc="What was kept")
            def all(self, event: Event) -> list[str]:
                return [f"{event.number} {event.name} {event.thread_id} {list(params.values())}"
                        for event, params in self.kept]
    """)
    import ctypes

    from support.embedded import event_buffer

    for number, raw in enumerate(
        [encode_execve("/bin/ls", "-l"), encode_async("changed", b"x"), encode_execve("/x")], 1
    ):
        memory = event_buffer(raw)
        assert library.parse(memory, number) == SUCCESS
        ctypes.memset(memory, 0xEE, len(raw))
    assert library.extract(encode_raw(CLOSE), "keeps.all", 9, "syscall").values == [
        "1 execve 77 [0, '/bin/ls', ['-l']]",
        "2 changed None [0, 'changed', b'x']",
        "3 execve 77 [0, '/x', []]",
    ]


def test_kept_parameters_are_those_of_their_event(load) -> None:
    library = load("""
        from falco_plugin import Event, Plugin, field, parse

        class Keeps(Plugin):
            name = "keeps"
            extract_event_sources = ("syscall",)

            def init(self):
                self.kept = []
                self.shared = []

            @parse("execve")
            def keep(self, event: Event) -> None:
                self.shared.append(str(event.params is event.params))
                if event.number % 3 == 0:
                    self.kept.append(event.params)
                if event.number % 3 == 1:
                    self.last = event

            @field("keeps.all", desc="What was kept")
            def all(self, event: Event) -> list[str]:
                kept = [params["exe"] for params in [*self.kept, self.last.params, self.last.params]]
                return [*kept, *sorted(set(self.shared))]
    """)
    from support.embedded import event_buffer

    for number in range(1, 9):
        assert library.parse(event_buffer(encode_execve(f"/bin/{number}")), number) == SUCCESS
    found = library.extract(encode_raw(CLOSE), "keeps.all", 9, "syscall").values
    assert found == ["/bin/3", "/bin/6", "/bin/7", "/bin/7", "True"]


def test_method_that_fails_is_logged_once_and_counted(load) -> None:
    library = load("""
        from falco_plugin import Event, Plugin, field, parse

        class Fails(Plugin):
            name = "fails"
            extract_event_sources = ("syscall",)
            after = 0

            @parse("close")
            def broken(self, event: Event) -> None:
                raise ValueError("no such thing")

            @parse("close")
            def missing(self, event: Event) -> None:
                event.params["nothing"]

            @parse("close")
            def works(self, event: Event) -> None:
                self.after += 1

            @field("fails.after", desc="How often the method after it ran")
            def ran(self, event: Event) -> int:
                return self.after
    """)
    for number in range(10):
        assert library.parse(encode_raw(CLOSE, [bytes(8)]), number) == SUCCESS
    assert library.extract(encode_raw(CLOSE), "fails.after", 99, "syscall").values == [10]
    lines = [text.partition("\n")[0].removeprefix("falco_plugin: ") for _, text in library.logs]
    broken = [line for line in lines if line.startswith("broken")]
    assert len(broken) == 2
    assert broken[0].startswith("broken failed to parse an event: ValueError: no such thing (")
    assert broken[1].startswith("broken failed to parse 10 events: ValueError (")
    assert "this close event has no parameter 'nothing': it has res" in "".join(lines)


def test_damaged_events_and_missing_ones_are_failures(load) -> None:
    library = load(SEEN)
    assert library.parse(None) == FAILURE
    assert library.last_error() == "the function was called without an event"
    whole = encode_execve("/bin/ls")
    for damaged in (whole[:16] + (20).to_bytes(4, "little") + whole[20:], whole[:16] + bytes(4) + whole[20:]):
        assert library.parse(damaged) == FAILURE
        assert library.last_error() == "the event is malformed"
    assert library.api.plugin_parse_event(None, None, None) == FAILURE


def test_parse_is_called_on_any_thread(load) -> None:
    library = load(SEEN)
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(library.parse(encode_execve("/bin/ls")))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [SUCCESS] * 4
    assert len(library.extract(encode_raw(CLOSE), "seen.calls", 9, "syscall").values) == 8


@pytest.mark.linked("the process that forks is a Python")
def test_parse_fails_in_a_forked_child(build) -> None:
    library = build(SEEN)
    code = """if True:
        import os, sys
        from pathlib import Path
        sys.path.insert(0, sys.argv[2])
        from support.embedded import Library
        from support.events import encode_execve
        with Library(Path(sys.argv[1])) as library:
            assert library.parse(encode_execve("/bin/ls")) == 0
            if child := os.fork():
                _, status = os.waitpid(child, 0)
                assert os.waitstatus_to_exitcode(status) == 0, status
            else:
                os._exit(0 if library.parse(encode_execve("/bin/ls")) == 1 else 3)
    """
    folder = os.path.dirname(os.path.dirname(__file__))
    done = subprocess.run([sys.executable, "-c", code, library, folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_library_exports_the_functions_of_parsing(build) -> None:
    (line,) = c_host_lines("symbols", build(SEEN))
    symbols = set(line["symbols"])
    assert {
        "plugin_parse_event",
        "plugin_get_parse_event_types",
        "plugin_get_parse_event_sources",
        "plugin_get_required_event_schema_version",
        "plugin_extract_fields",
    } <= symbols
    assert "plugin_open" not in symbols


@pytest.mark.parametrize("kind", ["parse", "extract"])
def test_library_reports_its_event_types(build, kind: str) -> None:
    import ctypes

    with Library(build(SEEN)) as library:
        get = getattr(library.api, f"plugin_get_{kind}_event_types")
        get.restype, get.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_void_p]
        count = ctypes.c_uint32(99)
        address = get(ctypes.byref(count), library.state)
        codes = list((ctypes.c_uint16 * count.value).from_address(address)) if address else []
        if kind == "extract":
            assert codes == [], "the host chooses"
        else:
            assert {CLOSE, EXECVE, GENERIC, 402} <= set(codes)
            assert codes == sorted(codes)
        version = library.api.plugin_get_required_event_schema_version
        version.restype, version.argtypes = ctypes.c_char_p, [ctypes.c_void_p]
        assert version(library.state) == b"4.0.0"
        sources = library.api.plugin_get_parse_event_sources
        sources.restype = ctypes.c_char_p
        assert sources() == b'["syscall", "shop"]'


def test_metrics_count_parsed_events_and_failures(load) -> None:
    library = load("""
        from falco_plugin import Event, Plugin, parse

        class Fails(Plugin):
            name = "fails"

            @parse("close")
            def broken(self, event: Event) -> None:
                raise ValueError("no such thing")
    """)
    for number in range(3):
        library.parse(encode_raw(CLOSE, [bytes(8)]), number)
    library.parse(encode_execve("/bin/ls"), 9)
    metrics = library.metrics()
    assert (metrics["sdk_events_parsed"], metrics["sdk_parsing_failed"]) == (3, 3)
    assert "sdk_fields_extracted" not in metrics


def test_own_async_event_is_parsed_by_its_name(load) -> None:
    library = load("""
        from falco_plugin import AsyncEvent, Plugin, async_events, field, parse

        class Own(Plugin):
            name = "own"
            extract_event_sources = ("syscall",)
            seen = ""

            @async_events("own_changed")
            def changes(self):
                yield AsyncEvent("own_changed")

            @parse("own_changed")
            def changed(self, event) -> None:
                self.seen = event.text

            @field("own.seen", desc="The data of the last change")
            def last(self, event) -> str:
                return self.seen
    """)
    assert library.parse(encode_async("own_changed", b"data"), 1, "syscall") == SUCCESS
    assert library.extract(encode_raw(CLOSE), "own.seen", 2, "syscall").values == ["data"]
