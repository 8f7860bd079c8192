"""The metrics that the SDK has for every plugin, and those of the plugin itself, as a host reads them."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from support.embedded import Library
from support.events import EOF, SUCCESS, encode_event
from support.hosts import c_host_lines
from support.libraries import Build, build_plugin, simple_plugin

LOG = ["sdk_log_lines", "sdk_log_warnings", "sdk_log_errors"]
SOURCE = [
    "sdk_events_delivered",
    "sdk_events_waiting",
    "sdk_events_waiting_size",
    "sdk_events_dropped",
    "sdk_events_refused",
]
FIELDS = ["sdk_fields_extracted", "sdk_fields_absent", "sdk_fields_mistyped", "sdk_events_not_json"]
PYTHON = ["sdk_python_nanoseconds"]
GAUGES = {"sdk_events_waiting", "sdk_events_waiting_size"}

Load = Callable[..., Library]


def changed(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """Returns how much each metric of the SDK has changed, without the time, which changes with each call."""
    changes = {name: after[name] - value for name, value in before.items() if name not in PYTHON}
    return {name.removeprefix("sdk_"): change for name, change in changes.items() if change}


def test_metrics_are_those_of_the_capabilities(load: Load) -> None:
    field = """
        from falco_plugin import Plugin, json_field

        class Extracts(Plugin):
            name = "extracts"
            verb = json_field("extracts.verb", "/verb", desc="Verb")
    """
    source, extracts = load(simple_plugin("source")), load(field)
    assert list(source.metrics()) == [*LOG, *SOURCE, *PYTHON]
    assert list(extracts.metrics()) == [*LOG, *FIELDS, "sdk_fields_failed", *PYTHON]
    assert {name for name, (only_increases, _) in source.typed_metrics().items() if not only_increases} == GAUGES


DECLARED = """
    from falco_plugin import Counter, Gauge, Plugin, field


    class Declared(Plugin):
        name = "declared"
        requests = Counter("requests")
        open_files = Gauge("open_files")
        ratio = Gauge("ratio")

        def init(self):
            self.ratio.set(0.25)

        @Gauge.computed("cached", every=3600)
        def cached(self):
            return len(self.config)

        @field("declared.requests", desc="Requests")
        def count(self, event) -> int:
            self.requests.add(3)
            self.open_files.add(-1)
            self.ratio.add(0.5)
            return self.requests.value
"""


def test_metrics_of_plugin_have_their_types_and_current_values(load: Load) -> None:
    one, two = load(DECLARED, "four"), load(DECLARED, "")
    names = ["requests", "open_files", "ratio", "cached"]
    assert list(one.metrics())[-4:] == names
    event = encode_event(b"{}")
    assert one.extract(event, "declared.requests").values == [3]
    found = one.typed_metrics()
    assert [found[name] for name in names] == [(True, 3), (False, -1), (False, 0.75), (False, 4)]
    assert [type(found[name][1]) for name in names] == [int, int, float, int]
    assert [two.metrics()[name] for name in names] == [0, 0, 0.25, 0]


SENDS = """
    from falco_plugin import Plugin, source


    class Sends(Plugin):
        name = "sends"

        def open(self, params):
            self.sender, receiver = source.channel(4, event_size=8, on_error=params or "raise")
            for item in (b"one", b"three", b"seven77", b"12345678"):
                self.sender.send(item)
            return source.PushInstance(receiver, batch_size=2, timeout=0, close=self.sender.close)

        def list_open_params(self):
            for item in ("text", b"123456789", (b"", -1)):
                try:
                    self.sender.send(item)
                except (TypeError, ValueError):
                    pass
            try:
                self.sender.send(b"full", timeout=0)
            except source.ChannelFullError:
                pass
            return []
"""


@pytest.mark.parametrize("on_error", ["", "log"])
def test_events_of_channel_are_counted(load: Load, on_error: str) -> None:
    library = load(SENDS)
    before = library.metrics()
    with library.opened(on_error) as instance:
        assert changed(before, library.metrics()) == {"events_waiting": 4, "events_waiting_size": 23}
        assert library.list_open_params()[0] == SUCCESS
        found = changed(before, library.metrics())
        assert found["events_refused"] == 4
        assert instance.next_batch()[0] == SUCCESS
        found = changed(before, library.metrics())
        assert (found["events_delivered"], found["events_waiting"], found["events_waiting_size"]) == (2, 2, 15)
    found = changed(before, library.metrics())
    assert (found["events_delivered"], found["events_dropped"], found["events_refused"]) == (2, 2, 4)
    assert "events_waiting" not in found
    assert "events_waiting_size" not in found
    # The dropped events, and each cause of a skipped item, are in the log.
    assert found["log_warnings"] == found["log_lines"] == (1 if not on_error else 4)


@pytest.mark.parametrize(
    ("source", "events"),
    [
        ("return source.PullInstance(iter_of([b'a', b'b', b'c']), batch_size=2)", 3),
        ("return source.LinesInstance(params)", 2),
        ("return [b'a', b'b', b'c', b'd']", 4),
        ("return Own()", 1),
        ("return source.PullInstance(refusing([b'a', 'b', b'c']), on_error='log')", 2),
    ],
)
def test_delivered_events_of_each_source_are_counted(load: Load, tmp_path: Path, source: str, events: int) -> None:
    code = f"""
        from falco_plugin import EOF, Plugin, source


        def iter_of(items):
            items = iter(items)

            def pull(context, writer):
                for item in items:
                    writer.write(item)
                    return
                raise EOF

            return pull


        refusing = iter_of


        class Own(source.BaseInstance):
            def next_batch(self, batch):
                if self.events is batch and not getattr(self, "done", False):
                    self.done = True
                    batch.append(b"own")
                    return 1
                raise EOF


        class Sources(Plugin):
            name = "sources"

            def open(self, params):
                {source}
    """
    lines = tmp_path / "lines"
    lines.write_bytes(b"one\ntwo\n")
    library = load(code)
    before = library.metrics()
    with library.opened(str(lines)) as instance:
        assert instance.drain()[0] == EOF
    found = changed(before, library.metrics())
    assert found["events_delivered"] == events
    assert found.get("events_refused", 0) == ("refusing(" in source)


def test_events_of_generator_count_from_the_first(load: Load) -> None:
    library = load("""
        from falco_plugin import Plugin

        class Items(Plugin):
            name = "items"

            def open(self, params):
                for item in ("first", b"good"):
                    try:
                        yield item
                    except TypeError:
                        pass
    """)
    before = library.metrics()
    with library.opened() as instance:
        assert instance.drain()[0] == EOF
    found = changed(before, library.metrics())
    assert (found["events_delivered"], found["events_refused"]) == (1, 1)


CAUSES = """
    from falco_plugin import Plugin, field, json_field


    class Causes(Plugin):
        name = "causes"
        user = json_field("causes.user", "/user", desc="User")
        size = json_field("causes.size", "/size", type=int, desc="Size")

        @field("causes.raises", desc="Raises")
        def raises(self, event) -> str:
            raise ValueError("no")

        @field("causes.parsed", desc="Parsed")
        def parsed(self, event) -> str:
            return event.json["user"]
"""


def test_fields_are_counted_by_cause(load: Load) -> None:
    library = load(CAUSES)
    before = library.metrics()
    payloads = [b'{"user": "tea", "size": 1}', b'{"user": "tea", "size": "x"}', b"{}", b"no JSON"]
    for number, payload in enumerate(payloads, 1):
        event = ctypes.create_string_buffer(encode_event(payload))[:-1]
        memory = ctypes.create_string_buffer(event, len(event))
        for name in ("user", "size", "raises", "parsed"):
            for _ in range(2):
                library.extract(memory, f"causes.{name}", number)
    found = changed(before, library.metrics())
    assert {name: found[name] for name in found if not name.startswith("log")} == {
        "fields_extracted": 5,
        "fields_absent": 11,
        "fields_mistyped": 1,
        "fields_failed": 5,
        "events_not_json": 1,
    }


def test_log_lines_are_counted_by_severity(load: Load) -> None:
    library = load("""
        from falco_plugin import Plugin

        class Logs(Plugin):
            name = "logs"

            def list_open_params(self):
                for level in (10, 20, 25, 30, 40, 50):
                    self.log.log(level, "line")
                return []

            def open(self, params):
                return []
    """)
    before = library.metrics()
    library.list_open_params()
    assert changed(before, library.metrics()) == {"log_lines": 6, "log_warnings": 1, "log_errors": 2}


def test_metrics_after_failed_init_are_those_of_the_log(build: Build) -> None:
    library = Library(build(simple_plugin("fails", "def init(self):\n    raise ValueError('no')")))
    assert library.init_code != SUCCESS
    assert library.metrics() == {"sdk_log_lines": 1, "sdk_log_warnings": 0, "sdk_log_errors": 1}
    library.destroy()


def test_time_in_python_is_counted(load: Load) -> None:
    library = load("""
        import time

        from falco_plugin import Plugin

        class Slow(Plugin):
            name = "slow"

            def open(self, params):
                return []

            def list_open_params(self):
                time.sleep(0.02)
                return []
    """)
    before = library.metrics()["sdk_python_nanoseconds"]
    library.list_open_params()
    assert library.metrics()["sdk_python_nanoseconds"] - before >= 20_000_000


def test_metrics_need_no_gil(build: Build) -> None:
    body = """
        def list_open_params(self):
            import ctypes

            # Functions of a PyDLL keep the GIL.
            libc = ctypes.PyDLL(None)
            holds, release = map(int, self.config.split())
            libc.write(holds, b"x", 1)
            libc.read(release, ctypes.create_string_buffer(1), 1)
            return []
    """
    assert c_host_lines("held", build(simple_plugin("held", body))) == [
        {"held": 1000, "metrics": len(LOG + SOURCE + PYTHON)}
    ]


def test_threads_read_metrics_from_their_own_memory(load: Load) -> None:
    library = load(DECLARED)
    addresses: list[int | None] = []
    thread = threading.Thread(target=lambda: addresses.append(library.metrics_in_memory()[0]))
    own, count = library.metrics_in_memory()
    thread.start()
    thread.join()
    assert addresses[0] != own
    assert library.metrics_in_memory() == (own, count)


def test_metrics_are_read_while_events_are_counted(load: Load) -> None:
    library = load(DECLARED)
    stopped = threading.Event()
    seen: list[float] = []

    def read() -> None:
        while not stopped.is_set():
            seen.append(library.metrics()["requests"])

    reader = threading.Thread(target=read)
    reader.start()
    event = encode_event(b"{}")
    for number in range(500):
        library.extract(event, "declared.requests", number)
    stopped.set()
    reader.join()
    assert seen == sorted(seen)
    assert library.metrics()["requests"] == 1500


COMPUTED = """
    import itertools

    from falco_plugin import Gauge, Plugin
    from support.embedded import MEETING


    class Computed(Plugin):
        name = "computed"

        def init(self):
            self.calls = itertools.count()

        @Gauge.computed("value", every=0.001)
        def value(self):
            call = next(self.calls)
            if call == 1:
                # The test is here too, so the values before and after are its.
                MEETING.wait()
                MEETING.wait()
            if self.config == "raises" and call:
                raise ValueError("no value")
            if self.config == "text" and call:
                return "text"
            return call + 5

        def open(self, params):
            return []

        def destroy(self):
            self.log.info("destroyed")
"""


@pytest.mark.linked("a method of the plugin meets a thread of the test")
@pytest.mark.parametrize(
    ("config", "error"),
    [
        ("raises", "gauge value failed: ValueError: no value"),
        ("text", "gauge value failed: TypeError: value must be int or float, got str"),
    ],
)
def test_failed_gauge_keeps_its_value_and_is_logged_once(load: Load, config: str, error: str) -> None:
    from support.embedded import MEETING

    library = load(COMPUTED, config)
    assert library.metrics()["value"] == 5
    MEETING.wait()
    MEETING.wait()
    while library.metrics()["sdk_log_errors"] == 0:
        pass
    assert library.metrics()["value"] == 5
    library.destroy()
    lines = [text.partition("\n")[0] for _, text in library.logs]
    assert sum(error in line for line in lines) == 1


@pytest.mark.linked("a method of the plugin meets a thread of the test")
def test_gauge_is_computed_again(load: Load) -> None:
    from support.embedded import MEETING

    library = load(COMPUTED)
    MEETING.wait()
    assert library.metrics()["value"] == 5
    MEETING.wait()
    while library.metrics()["value"] < 7:
        pass
    library.destroy()
    assert "destroyed" in [text for _, text in library.logs]
    assert not [thread for thread in threading.enumerate() if thread.name == "falco-metrics"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('lost = Counter("Lost")', "metric Lost: Falco and Prometheus do not accept this name"),
        ('lost = Counter("sdk_lost")', "metric sdk_lost: names that begin with sdk_ are reserved for the metrics of"),
    ],
)
def test_build_refuses_wrong_metric_with_its_line(tmp_path: Path, body: str, message: str) -> None:
    source = simple_plugin("wrong", body).replace("EOF,", "EOF, Counter,")
    line = next(number for number, text in enumerate(source.splitlines(), 1) if "Counter(" in text)
    with pytest.raises(AssertionError) as raised:
        build_plugin(tmp_path, source)
    assert f"plugin.py:{line}: {message}" in str(raised.value)
