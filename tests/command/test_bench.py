"""``falco-plugin bench``: what it counts, what it extracts, how it ends. How long something takes is no matter here."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.hosts import Output, environment, run_command
from support.libraries import build_plugin, simple_plugin, write_sources

COUNTS = """
    from falco_plugin import EOF, Plugin, field, json_field, source

    class Counts(Plugin):
        name = event_source = "counts"
        even = json_field("counts.even", "/even", type=int, desc="Half of the number, of even ones")
        element = json_field("counts.list", "/list/{index}", desc="An element")

        @field("counts.size", desc="Bytes")
        def size(self, event) -> int:
            return len(event.data)

        @field("counts.config", desc="The configuration")
        def what(self, event) -> str | None:
            return self.config or None

        def open(self, params):
            numbers = iter(range(int(params or 10**12)))

            def pull(context, writer):
                for number in numbers:
                    half = "" if number % 2 else f'"even": {number // 2}'
                    writer.write(f"{{{half}}}".encode() + b" " * (number % 12))
                    return
                raise EOF

            return source.PullInstance(pull)
"""

SIZE = """
    from falco_plugin import Plugin, field

    class Size(Plugin):
        name = "size"
        extract_event_sources = ("counts",)

        @field("size.bytes", desc="Size of the event")
        def bytes(self, event) -> int:
            return len(event.data)
"""


def payloads(number: int) -> list[bytes]:
    """What the plugin of this file sends."""
    halves = ["" if each % 2 else f'"even": {each // 2}' for each in range(number)]
    return [f"{{{half}}}".encode() + b" " * (each % 12) for each, half in enumerate(halves)]


def checksum(events: list[bytes]) -> str:
    """As the reference says."""
    most = 2**64 - 1

    def turned(number: int, bits: int) -> int:
        return (number << bits | number >> 64 - bits) & most

    state = 0x9E3779B97F4A7C15
    for event in events:
        first, last = (int.from_bytes(part, "little") for part in (event[:8], event[-8:]))
        state = (turned(state, 27) ^ len(event) ^ first ^ turned(last, 23)) * 0xD6E8FEB86659FD93 & most
    return f"{state:016x}"


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_plugin(tmp_path_factory.mktemp("counts"), COUNTS, "counts")


def measured(*words: object) -> dict[str, Any]:
    """What ``bench --json`` says; it has to succeed."""
    ran = run_command("bench", "--json", *words)
    assert (ran.status, ran.stderr) == (0, "")
    (told,) = ran.lines
    return told


def refused(ran: Output) -> str:
    """The last line on stderr of a call that failed, below what the plugin logged."""
    assert ran.status == 1, ran
    assert ran.stdout == ""
    assert ran.stderr.count("falco-plugin-host: ") == 1
    return ran.stderr.splitlines()[-1]


@pytest.mark.parametrize("number", [1, 127, 128, 129, 1000])
def test_bench_limit_is_exact_and_checksum_matches(counts: Path, number: int) -> None:
    told = measured(counts, "--limit", number)
    assert told["result"] == "limit"
    events, expected = told["events"], payloads(number)
    assert (events["count"], events["bytes"]) == (number, sum(map(len, expected)))
    assert events["batches"] == -(-number // 128)
    assert events["checksum"] == checksum(expected)


def test_bench_ends_with_source_before_limit(counts: Path) -> None:
    words = (counts, "--params", "300", "--limit", 1000)
    told = measured(*words)
    assert (told["result"], told["events"]["count"]) == ("eof", 300)
    assert told["events"]["checksum"] == checksum(payloads(300))
    assert run_command("bench", *words).stdout.splitlines()[0].endswith(", until the source ended")


def test_bench_ends_after_seconds_before_limit(counts: Path) -> None:
    told = measured(counts, "--seconds", 0.05, "--limit", 10**12)
    assert told["result"] == "time"
    assert told["events"]["count"] > 0


def test_bench_json_has_documented_members(counts: Path) -> None:
    told = measured(counts, "--limit", 200, "--fields", "counts.size")
    cost, latency = {"min_ns", "median_ns", "slices"}, {"p50_ns", "p99_ns", "max_ns"}
    assert (told["name"], told["version"]) == ("counts", "0.1.0")
    assert set(told) == {
        *("name", "version", "result", "load_ns", "first_event_ns"),
        *("events", "latency", "memory", "fields", "live"),
    }
    span = {"count", "bytes", "batches", "timeouts", "wall_ns", "cpu_ns", "checksum", "per_event"}
    assert set(told["events"]) == span
    assert set(told["events"]["per_event"]) == cost
    assert set(told["latency"]) == {"batch", "timeout", "age"}
    assert set(told["latency"]["batch"]) == latency
    assert set(told["memory"]) == {"start_kib", "load_kib", "open_kib", "end_kib", "peak_kib"}
    assert set(told["fields"]) == {"events", "columns", "together"}
    (column,) = told["fields"]["columns"]
    described = {"asked", "name", "argument", "type", "is_list", "plugin"}
    assert set(column) == {*described, "present", "first", "again"}
    assert set(column["first"]) == set(column["again"]) == set(told["fields"]["together"]) == cost
    (calls,) = measured(counts, "--limit", 200, "--fields", "counts.size", "--live")["live"]
    assert set(calls) == {*described, "count", "present", "latency"}
    assert set(calls["latency"]) == latency


def test_bench_memory_counts_python_after_init(counts: Path) -> None:
    memory = measured(counts, "--limit", 200)["memory"]
    assert memory["load_kib"] < memory["start_kib"] + 2048
    assert memory["open_kib"] > memory["load_kib"] + 2048
    assert memory["peak_kib"] >= memory["open_kib"]


@pytest.mark.parametrize("live", [False, True])
def test_bench_counts_present_fields(counts: Path, live: bool) -> None:
    words = ["--fields", "counts.even,counts.size,counts.list[3],counts.config"]
    told = measured(counts, "--params", "100", *words, *(["--live"] if live else []))
    columns = told["live"] if live else told["fields"]["columns"]
    assert [(column["asked"], column["type"], column["present"]) for column in columns] == [
        ("counts.even", "uint64", 50),
        ("counts.size", "uint64", 100),
        ("counts.list[3]", "string", 0),
        ("counts.config", "string", 0),
    ]
    assert (told["fields"] is None, told["live"] is None) == (live, not live)


def test_bench_keeps_one_batch_for_fields(counts: Path) -> None:
    told = measured(counts, "--limit", 1000, "--all-fields", "--config", "set")
    assert told["fields"]["events"] == 128
    present = {column["name"]: column["present"] for column in told["fields"]["columns"]}
    assert present == {"counts.even": 64, "counts.size": 128, "counts.config": 128}


def test_bench_builds_target_and_other_plugins(tmp_path: Path) -> None:
    write_sources(tmp_path, {"counts.py": COUNTS, "size.py": SIZE})
    words = ["--params", "40", "--fields", "size.bytes,counts.even", "--with", tmp_path / "size.py", "--live"]
    told = measured(tmp_path / "counts.py", *words)
    assert [(calls["plugin"], calls["present"]) for calls in told["live"]] == [("size", 40), ("counts", 20)]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["counts.py", "size.py"]


def test_bench_counts_timeouts_and_measures_event_age(tmp_path: Path) -> None:
    source = simple_plugin("waits").replace("raise EOF", "raise Timeout").replace("EOF,", "EOF, Timeout,")
    source = source.replace("writer.write(item)", "writer.write(item); writer.timestamp = 1_700_000_000_000_000_000")
    told = measured(build_plugin(tmp_path, source), "--seconds", 0.05)
    assert (told["result"], told["events"]["count"]) == ("time", 2)
    assert told["events"]["timeouts"] > 0
    assert told["latency"]["timeout"]["p50_ns"] > 0
    assert told["latency"]["age"]["p50_ns"] > 10**9


def test_bench_json_is_null_without_measurements(tmp_path: Path) -> None:
    told = measured(build_plugin(tmp_path, simple_plugin("none", events="[]")))
    assert told["result"] == "eof"
    assert told["events"]["checksum"] == checksum([])
    assert told["first_event_ns"] is None
    assert told["events"]["per_event"] is None
    assert told["latency"] == {"batch": None, "timeout": None, "age": None}


def test_bench_text_summarizes_measurement(counts: Path) -> None:
    ran = run_command("bench", counts, "--limit", 1280, "--fields", "counts.even,counts.size")
    assert (ran.status, ran.stderr) == (0, "")
    number = r"\d+(\.\d+)? (ns|us|ms|s)"
    for expected in (
        rf"counts 0\.1\.0: 1,280 events in {number}, until the limit was reached",
        r"speed    [\d,]+ events/s, \S+ [kMG]B/s",
        rf"wall     {number} an event( \(best {number}, median {number}\))?",
        rf"CPU      {number} an event, \d+\.\d\d cores",
        r"batches  10 of 128\.0 events; 0 timeouts",
        rf"start    loaded in {number}; first event {number} from init on",
        r"memory   .* MiB at most",
        rf"  a batch +{number} +{number} +{number}",
        r"fields of 128 events:",
        rf"  counts\.even +{number} +{number} +64",
        rf"  counts\.size +{number} +{number} +128",
        rf"  all +{number}",
    ):
        assert re.search(f"^{expected}$", ran.stdout, re.MULTILINE), f"{expected} is not in\n{ran.stdout}"


def test_bench_separates_plugin_output_from_result(tmp_path: Path) -> None:
    source = simple_plugin(
        "talks", "def init(self):\n    self.log.warning('logged')\n    print('printed', flush=True)\n"
    )
    ran = run_command("bench", "--json", build_plugin(tmp_path, source))
    assert ran.status == 0
    assert len(ran.lines) == 1
    assert "[warning] logged" in ran.stderr
    assert "printed" in ran.stderr


def test_bench_reports_only_failing_next_batch(tmp_path: Path) -> None:
    source = simple_plugin("fails").replace("raise EOF", "raise ValueError('no more')")
    for words in ([], ["--json"]):
        ran = run_command("bench", build_plugin(tmp_path, source), *words)
        assert refused(ran).startswith("falco-plugin-host: next_batch failed: ValueError: no more (plugin.py:")


def test_bench_requires_source(tmp_path: Path) -> None:
    told = refused(run_command("bench", build_plugin(tmp_path, SIZE), "--all-fields"))
    assert "the plugin size has no event source to run: run a plugin that has one, and add this one by --with" in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--fields", "counts.od"], "no loaded plugin has the field counts.od"),
        (["--live"], "--live needs --fields or --all-fields"),
        (["--params", "many"], "open failed: ValueError: invalid literal"),
    ],
)
def test_bench_reports_cause_of_failure(counts: Path, words: list[str], told: str) -> None:
    assert told in refused(run_command("bench", counts, *words))


@pytest.mark.parametrize("words", [["--limit", "0"], ["--seconds", "0"], ["--seconds", "-1"], ["--with-config", "a"]])
def test_bench_rejects_invalid_numbers(counts: Path, words: list[str]) -> None:
    ran = run_command("bench", counts, *words)
    assert ran.status == 2
    assert words[0] in ran.stderr


def test_ctrl_c_ends_bench_with_result(tmp_path: Path) -> None:
    # The plugin itself says when it runs.
    source = simple_plugin("endless", events="__import__('itertools').repeat(b'again')")
    source = source.replace("writer.write(item)", "writer.write(item); self.say()")
    source += "\n    def say(self):\n        self.log.error('runs')\n        self.say = int\n"
    process = subprocess.Popen(
        [sys.executable, "-m", "falco_plugin", "bench", "--json", "--seconds", "600", build_plugin(tmp_path, source)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        start_new_session=True,
        text=True,
    )
    try:
        assert process.stderr is not None
        assert process.stderr.readline() == "[error] runs\n"
        # As a terminal does it: to all processes of the group.
        os.killpg(process.pid, signal.SIGINT)
        result, errors = process.communicate(timeout=20)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert (process.returncode, errors) == (0, "")
    told = json.loads(result)
    assert told["result"] == "interrupted"
    assert told["events"]["count"] > 0
