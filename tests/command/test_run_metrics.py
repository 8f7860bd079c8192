"""Metrics and ``set_config`` in ``falco-plugin run`` and in `falco_plugin.testing`."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.hosts import native_lines, run_command
from support.libraries import build_plugin, write_sources

from falco_plugin.testing import RunningPlugin, run
from falco_plugin.testing.fixtures import StartPlugin

PLUGIN = """
    from dataclasses import dataclass

    from falco_plugin import Counter, Gauge, Plugin, json_field


    @dataclass
    class Config:
        number: int = 2


    class Counting(Plugin):
        name = "counting"
        config: Config
        made = Counter("made")
        ratio = Gauge("ratio")
        value = json_field("counting.value", "/value", desc="Value")

        def set_config(self, config):
            if config.number > 9:
                raise ValueError("too many")
            self.ratio.set(config.number / 4)

        def open(self, params, context):
            for number in range(self.config.number):
                self.made.add()
                yield b'{"value": %d}' % number
            if params:
                context.wait()
"""
EXTRACTS = """
    from falco_plugin import Counter, Plugin, field

    class Extracts(Plugin):
        name = "extracts"
        calls = Counter("calls")

        @field("extracts.size", desc="Size")
        def size(self, event) -> int:
            self.calls.add()
            return len(event.data)
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = write_sources(tmp_path_factory.mktemp("files"), {"counting.py": PLUGIN, "extracts.py": EXTRACTS})
    return folder / "counting.py", folder / "extracts.py"


def test_run_prints_metrics_of_all_plugins_after_events(files: tuple[Path, Path]) -> None:
    source, extractor = files
    ran = run_command("run", source, "--metrics", "--with", extractor, "--fields", "extracts.size")
    assert ran.status == 0, ran.stderr
    first, second, *metrics = ran.stdout.splitlines()
    assert [line.rpartition("\t")[2] for line in (first, second)] == ["extracts.size=12"] * 2
    values = dict(line.split(" ") for line in metrics)
    assert (values["counting.made"], values["counting.ratio"], values["extracts.calls"]) == ("2", "0", "2")
    assert values["counting.sdk_events_delivered"] == "2"
    assert "counting.made" not in run_command("run", source).stdout


def test_json_has_metrics_before_the_end(files: tuple[Path, Path]) -> None:
    *_, metrics, end = native_lines(files[0], "--metrics", "--set-config", '{"number": 3}')
    assert (metrics["kind"], end["kind"], end["events"]) == ("metrics", "end", 3)
    assert metrics["metrics"][-2:] == [
        {"name": "counting.made", "type": "counter", "value": 3},
        {"name": "counting.ratio", "type": "gauge", "value": 0.75},
    ]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ('{"number": 10}', "set_config failed: ValueError: too many (counting.py:21 in set_config)"),
        ('{"number": "x"}', "the configuration of the plugin counting does not match its schema: number: expected"),
    ],
)
def test_refused_configuration_ends_the_run(files: tuple[Path, Path], config: str, message: str) -> None:
    ran = run_command("run", files[0], "--set-config", config)
    assert ran.status == 1
    assert message in ran.stderr
    assert ran.stdout == ""


def test_run_has_metrics_of_all_plugins(files: tuple[Path, Path]) -> None:
    ran = run(files[0], config={"number": 3}, plugins=[files[1]], set_config={"number": 8})
    assert ran.metrics["counting.sdk_events_delivered"] == len(ran.events) == 8
    assert (ran.metrics["counting.made"], ran.metrics["counting.ratio"]) == (8, 2.0)
    assert ran.metrics["counting.sdk_fields_extracted"] == ran.metrics["extracts.calls"] == 8
    assert "metrics" not in repr(ran)


def test_run_has_no_metrics_if_the_source_was_not_open(files: tuple[Path, Path]) -> None:
    assert run(files[0], set_config={"number": 10}).metrics == {}


def test_stopped_plugin_has_metrics(files: tuple[Path, Path], start_plugin: StartPlugin) -> None:
    running: RunningPlugin = start_plugin(files[0], "wait", set_config={"number": 1})
    running.next_event()
    assert running.stop().metrics["counting.made"] == 1
    assert running.kill().metrics["counting.made"] == 1


def test_bench_measures_metrics(files: tuple[Path, Path], tmp_path: Path) -> None:
    library = build_plugin(tmp_path, PLUGIN, "counting")
    ran = run_command("bench", library, "--json")
    assert ran.status == 0, ran.stderr
    (report,) = ran.lines
    # The SDK's metrics of the log, of a source, of fields, and the time in Python.
    assert report["metrics"]["count"] == 3 + 5 + 5 + 1 + 2
    assert report["metrics"]["each"]["min_ns"] > 0
