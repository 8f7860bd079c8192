"""The testing tools for plugin authors: `collect`, `run`, running plugins and the pytest fixture."""

from __future__ import annotations

import os
import signal
import textwrap
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import tested_plugins
from support.libraries import build_plugin, simple_plugin, write_sources
from tested_plugins import Broken, Elsewhere, Endless, Numbers, Orders, Sizes, Tuned

import falco_plugin
from falco_plugin import Event, Plugin, PluginError
from falco_plugin.testing import ExtractedEvent, LogLine, RunError, RunningPlugin, collect, run

pytest_plugins = ["pytester"]


def test_collect_returns_complete_events():
    events = collect(Numbers, "3")
    assert [event.data for event in events] == [b"0", b"1", b"2"]
    assert [event.number for event in events] == [1, 2, 3]
    assert [event.timestamp for event in events] == [1, 2, 3]
    assert {event.source for event in events} == {"numbers"}


@pytest.mark.parametrize("kind", ["class", "function", "file", "path", "named", "folder", "library"])
def test_plugin_may_be_any_target_of_command(kind, tmp_path):
    folder = write_sources(tmp_path / "folder", {"plugin.py": simple_plugin("named")})
    targets = {
        "class": (Numbers, "2"),
        "function": (tested_plugins.make, "2"),
        "named": (f"{tested_plugins.__file__}:Numbers", "2"),
        "file": (str(folder / "plugin.py"), ""),
        "path": (folder / "plugin.py", ""),
        "folder": (folder, ""),
    }
    plugin, params = targets[kind] if kind in targets else (build_plugin(tmp_path, simple_plugin("built")), "")
    assert len(collect(plugin, params)) == 2


def test_binary_payload_is_unchanged(tmp_path):
    (tmp_path / "plugin.py").write_text(simple_plugin("raw", events="[bytes(range(256))]"))
    assert collect(tmp_path / "plugin.py")[0].data == bytes(range(256))


@pytest.mark.parametrize(("config", "seen"), [(None, ""), ("text", "text"), ({"a": ["b"]}, '{"a": ["b"]}'), ({}, "{}")])
def test_configuration_is_string_or_mapping(config, seen):
    assert run(Numbers, "0", config=config).log[0] == LogLine("info", f"config {seen}")


def test_stdout_of_plugin_is_not_an_event():
    assert [event.data for event in collect(tested_plugins.Loud)] == [b"event"]


def test_limit_ends_endless_source():
    assert [event.data for event in collect(Endless, limit=1)] == [b"first"]


def test_run_returns_result_of_source():
    ran = run(Numbers, "2")
    assert (ran.result, ran.error) == ("eof", None)
    assert ran.texts == ["number 0", "number 1"]
    assert LogLine("warning", "the end is near") in ran.log
    failed = run(Numbers, "1", config="fail")
    assert failed.result == "failure"
    assert "ValueError: the source is broken" in failed.error
    assert len(failed.events) == 1


def test_failure_shows_traceback_of_plugin():
    with pytest.raises(RunError) as failed:
        collect(Numbers, "1", config="fail")
    for text in ("failure after 1 event: ", "Traceback (most recent call last)", 'raise ValueError("the source is'):
        assert text in str(failed.value)


def test_running_source_is_reported_and_closed():
    ran = run(Endless, timeout=1)
    assert ran.result == "timeout"
    assert "set a limit, or a longer timeout" in ran.error
    assert ran.log[-1].text == "closed"
    with pytest.raises(RunError, match=r"timeout after [01] events?: the source did not end within 1 s"):
        collect(Endless, timeout=1)


def test_source_that_ends_before_limit_is_error():
    with pytest.raises(RunError, match="ended before 3 events"):
        collect(Numbers, "2", limit=3)


def test_build_failure_has_reason(tmp_path):
    class Local(Plugin):
        name = "local"

        def open(self, params):
            return [b"x"]

    with pytest.raises(PluginError, match="of the top level of a module"):
        collect(Local)
    (tmp_path / "bad.py").write_text("1 / 0\n")
    with pytest.raises(PluginError, match="division by zero") as failed:
        collect(tmp_path / "bad.py")
    assert isinstance(failed.value.__cause__, ZeroDivisionError)
    with pytest.raises(PluginError, match="no such file or folder"):
        collect(tmp_path / "none.py")


class TestFields:
    def test_default_to_all_without_required_argument(self):
        full, empty = collect(Orders)
        assert dict(full.fields) == {
            "order.number": 2**64 - 1,
            "order.text": "x",
            "order.paid": True,
            "order.at": datetime(2020, 1, 1, 0, 0, 0, 123456, UTC),
            "order.took": timedelta(seconds=1.5),
            "order.ip": ip_address("10.0.0.1"),
            "order.net": ip_address("2001:db8::"),
            "order.items": ["a", "b"],
            "order.times": [datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)],
        }
        assert full.fields["order.paid"] is True
        assert full.fields["order.at"].tzinfo is UTC
        assert set(empty.fields) == set(full.fields)
        assert set(empty.fields.values()) == {None}

    def test_have_requested_names(self):
        names = ["order.items[1]", "order.any[/text]", "order.any['/took']", "order.number"]
        full, _ = collect(Orders, fields=names)
        assert list(full.fields.items()) == [*zip(names, [["b"], "x", "1.5", 2**64 - 1], strict=True)]
        (event,) = collect(Orders, fields=[], limit=1)
        assert dict(event.fields) == {}

    def test_not_requested_raise_with_advice(self):
        (event,) = collect(Orders, fields=["order.number", "order.text"], limit=1)
        advice = r"order.ip was not extracted: name it in fields=\[…\], .*order.number, order.text"
        with pytest.raises(KeyError, match=advice):
            event.fields["order.ip"]
        assert "order.ip" not in event.fields
        assert event.fields.get("order.ip", 7) == 7

    def test_are_immutable(self):
        (event,) = collect(Orders, limit=1)
        with pytest.raises(TypeError):
            event.fields["order.ip"] = None

    def test_include_other_plugins(self):
        events = collect(Numbers, "2", plugins=[Sizes])
        assert [dict(event.fields) for event in events] == [{"size.bytes": 1}] * 2
        both = collect(Orders, plugins=[Sizes], fields=["size.bytes", "order.text"])
        assert both[1].fields == {"size.bytes": 2, "order.text": None}

    def test_of_plugins_with_equal_names_are_rejected(self):
        expected = (
            r"two plugins have the name orders, .* \(\S*/tested_plugins.py:Orders and \S*/tested_plugins.py:Orders\)"
        )
        with pytest.raises(RunError, match=expected):
            collect(Orders, plugins=[Orders])

    def test_unknown_fail_the_run(self):
        ran = run(Orders, fields=["order.txt"])
        assert ran.result == "failure"
        assert ran.error == "no loaded plugin has the field order.txt: did you mean order.text?"
        assert str(ran) == f"failure after 0 events: {ran.error}"
        with pytest.raises(RunError, match="did you mean order.text"):
            collect(Orders, fields=["order.txt"])

    def test_failing_are_absent_and_logged(self):
        ran = run(Broken)
        assert ran.events[0].fields["broken.field"] is None
        assert "ValueError: no field today" in "".join(line.text for line in ran.log)

    def test_work_with_running_plugin(self, start_plugin):
        running = start_plugin(Numbers, "1", plugins=[Sizes], fields=["size.bytes"])
        event = running.next_event()
        assert isinstance(event, ExtractedEvent)
        assert isinstance(event, Event)
        assert (event.data, event.fields["size.bytes"]) == (b"0", 1)

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            ({"fields": "order.text"}, "fields must be a list of names, not str"),
            ({"plugins": Sizes}, "plugins must be a list of plugins, not Sizes"),
            ({"plugins": "sizes.py"}, "plugins must be a list of plugins, not str"),
            ({"plugins": Path("sizes.py")}, "plugins must be a list of plugins, not "),
            ({"plugins": tested_plugins.make}, "plugins must be a list of plugins, not function"),
            ({"plugins": (Sizes, {"a": "SECRET"})}, "plugins or pairs of plugin and config, not dict"),
        ],
    )
    def test_are_requested_as_list(self, arguments, expected):
        with pytest.raises(TypeError, match=expected):
            collect(Orders, **arguments)

    def test_of_other_plugins_use_their_configuration(self):
        further = [Sizes, (Tuned, {"word": "here"})]
        (event,) = collect(Numbers, "1", plugins=further, fields=["tuned.word", "size.bytes"])
        assert event.fields == {"tuned.word": "here", "size.bytes": 1}
        expected = r"the configuration of the plugin tuned does not match its schema: word: expected string, got number"
        with pytest.raises(RunError, match=f"^failure after 0 events: {expected}$"):
            collect(Numbers, "1", plugins=[(Tuned, {"word": 5})])

    def test_of_plugin_for_other_source_are_reported(self):
        expected = "the plugin elsewhere has no fields for the source numbers: it names nmbers"
        assert LogLine("warning", expected) in run(Numbers, "1", plugins=[Elsewhere]).log

    def test_require_source(self):
        expected = (
            "the plugin sizes has no event source to run: give it events by events=[…], or run a plugin that has a "
            "source, and add this one by plugins=[…]"
        )
        assert run(Sizes).error == expected


class TestRunning:
    def test_running_plugin_awaits_events_and_log_lines(self, start_plugin):
        running = start_plugin(Endless)
        assert running.next_event().data == b"first"
        assert running.wait_for_log("open") == LogLine("info", "opened")
        with pytest.raises(RunError, match="event 2 did not come: running"):
            running.next_event(timeout=0.05)
        ran = running.stop()
        assert ran.result == "interrupted"
        assert [line.text for line in ran.log] == ["opened", "closed"]
        with pytest.raises(RunError, match="did not come: interrupted"):
            running.next_event()

    def test_kill_closes_nothing(self, start_plugin):
        running = start_plugin(Endless)
        running.next_event()
        ran = running.kill()
        assert ran.result == "killed"
        assert "closed" not in [line.text for line in ran.log]

    def test_host_crash_is_reported(self):
        with RunningPlugin(Endless) as running:
            running.next_event()
            os.kill(running.pid, signal.SIGABRT)
            ran = running.wait()
        assert (ran.result, ran.error[:29]) == ("failure", "the host crashed with SIGABRT")

    def test_no_host_or_folder_is_left(self, start_plugin, tmp_path, monkeypatch):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        with RunningPlugin(Endless) as running:
            running.next_event()
            pid = running.pid
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_class_in_file_with_sibling_import_is_found(pytester):
    pytester.makepyfile(
        helper="WORD = b'word'",
        plain="from helper import WORD\n" + textwrap.dedent(simple_plugin("plain")),
        test_it="""
            from plain import Simple
            from falco_plugin.testing import collect

            def test_it():
                collect(Simple)
        """,
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    expected = "*plain.py imports helper, which lies beside it but is not packed with a single file: build the folder*"
    result.stdout.fnmatch_lines([expected])


def test_file_may_import_installed_sibling(pytester):
    # The SDK is the only package that is certainly installed.
    folder = Path(falco_plugin.__file__).parent.parent
    file = pytester.path / "plain.py"
    file.write_text(textwrap.dedent(simple_plugin("plain")))
    (pytester.path / "falco_plugin").symlink_to(folder / "falco_plugin")
    assert len(collect(file)) == 2


def test_fixture_shows_log_of_failed_test(pytester):
    pytester.makepyfile(
        plugin=textwrap.dedent(simple_plugin("shown", "def init(self):\n    self.log.warning('look here')")),
        test_it="""
            def test_it(start_plugin):
                plugin = start_plugin("plugin.py")
                assert plugin.next_event().data == b"one"
                plugin.wait()
                assert False

            def test_well(start_plugin):
                assert start_plugin("plugin.py").wait().result == "eof"
        """,
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*log of the plugin*", "*warning*look here*"])
    assert Path(pytester.path, "plugin.py").exists()


def test_written_events_replace_the_source():
    time = datetime(2026, 1, 2, tzinfo=UTC)
    events = collect(Orders, events=[{"id": 1}, "text", b"\xff", ("timed", 5), (["a"], time)])
    assert [event.data for event in events] == [b'{"id": 1}', b"text", b"\xff", b"timed", b'["a"]']
    assert [event.timestamp for event in events[3:]] == [5, int(time.timestamp()) * 10**9]
    with pytest.raises(TypeError, match="an event must be a mapping or list"):
        collect(Orders, events=[5])


def test_recorded_events_replace_the_source(tmp_path):
    recording = tmp_path / "recording"
    recording.write_text('{"kind": "event", "timestamp": 9, "data": "recorded"}\n')
    ran = run(Orders, replay=recording)
    assert [(event.data, event.timestamp) for event in ran.events] == [(b"recorded", 9)]
    with pytest.raises(TypeError, match="replay and events both replace the source: give one of them"):
        run(Orders, replay=recording, events=[])
