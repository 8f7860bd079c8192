"""``falco-plugin bench``: counts, fields and ends. The measured times are not checked."""

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
        even = json_field("counts.even", "/even", type=int, desc="Half of the number, if it is even")
        element = json_field("counts.list", "/list/{index}", desc="An element")

        @field("counts.size", desc="Number of bytes")
        def size(self, event) -> int:
            return len(event.data)

        @field("counts.config", desc="The configuration")
        def configuration(self, event) -> str | None:
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
    """Returns the payloads of the first events of the plugin `COUNTS`."""
    halves = ["" if index % 2 else f'"even": {index // 2}' for index in range(number)]
    return [f"{{{half}}}".encode() + b" " * (index % 12) for index, half in enumerate(halves)]


def checksum(events: list[bytes]) -> str:
    """Returns the checksum of the events as the reference documentation defines it."""
    mask = 2**64 - 1

    def rotate_left(number: int, bits: int) -> int:
        return (number << bits | number >> 64 - bits) & mask

    state = 0x9E3779B97F4A7C15
    for event in events:
        first, last = (int.from_bytes(part, "little") for part in (event[:8], event[-8:]))
        state = (rotate_left(state, 27) ^ len(event) ^ first ^ rotate_left(last, 23)) * 0xD6E8FEB86659FD93 & mask
    return f"{state:016x}"


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_plugin(tmp_path_factory.mktemp("counts"), COUNTS, "counts")


def run_bench(*words: object) -> dict[str, Any]:
    """Returns the result of ``bench --json``, which must succeed."""
    ran = run_command("bench", "--json", *words)
    assert (ran.status, ran.stderr) == (0, "")
    (result,) = ran.lines
    return result


def last_error_line(ran: Output) -> str:
    """Returns the last line on stderr of a failed run, which follows the log lines of the plugin."""
    assert ran.status == 1, ran
    assert ran.stdout == ""
    assert ran.stderr.count("falco-plugin-host: ") == 1
    return ran.stderr.splitlines()[-1]


@pytest.mark.parametrize("number", [1, 127, 128, 129, 1000])
def test_bench_limit_is_exact_and_checksum_matches(counts: Path, number: int) -> None:
    result = run_bench(counts, "--limit", number)
    assert result["result"] == "limit"
    events, expected = result["events"], payloads(number)
    assert (events["count"], events["bytes"]) == (number, sum(map(len, expected)))
    assert events["batches"] == -(-number // 128)
    assert events["checksum"] == checksum(expected)


def test_bench_ends_with_source_before_limit(counts: Path) -> None:
    words = (counts, "--params", "300", "--limit", 1000)
    result = run_bench(*words)
    assert (result["result"], result["events"]["count"]) == ("eof", 300)
    assert result["events"]["checksum"] == checksum(payloads(300))
    assert run_command("bench", *words).stdout.splitlines()[0].endswith(", until the source ended")


def test_bench_ends_after_seconds_before_limit(counts: Path) -> None:
    result = run_bench(counts, "--seconds", 0.05, "--limit", 10**12)
    assert result["result"] == "time"
    assert result["events"]["count"] > 0


def test_bench_json_has_documented_members(counts: Path) -> None:
    result = run_bench(counts, "--limit", 200, "--fields", "counts.size")
    cost, latency = {"min_ns", "median_ns", "slices"}, {"p50_ns", "p99_ns", "max_ns"}
    assert (result["name"], result["version"]) == ("counts", "0.1.0")
    assert set(result) == {
        *("name", "version", "result", "load_ns", "first_event_ns"),
        *("events", "latency", "memory", "metrics", "fields", "live"),
    }
    span = {"count", "bytes", "batches", "timeouts", "wall_ns", "cpu_ns", "checksum", "per_event"}
    assert set(result["events"]) == span
    assert set(result["events"]["per_event"]) == cost
    assert set(result["latency"]) == {"batch", "timeout", "age"}
    assert set(result["latency"]["batch"]) == latency
    assert set(result["memory"]) == {"start_kib", "load_kib", "open_kib", "end_kib", "peak_kib"}
    assert set(result["fields"]) == {"events", "columns", "together"}
    (column,) = result["fields"]["columns"]
    described = {"asked", "name", "argument", "type", "is_list", "plugin"}
    assert set(column) == {*described, "present", "first", "again"}
    assert set(column["first"]) == set(column["again"]) == set(result["fields"]["together"]) == cost
    (calls,) = run_bench(counts, "--limit", 200, "--fields", "counts.size", "--live")["live"]
    assert set(calls) == {*described, "count", "present", "latency"}
    assert set(calls["latency"]) == latency


def test_bench_memory_counts_python_after_init(counts: Path) -> None:
    memory = run_bench(counts, "--limit", 200)["memory"]
    assert memory["load_kib"] < memory["start_kib"] + 2048
    assert memory["open_kib"] > memory["load_kib"] + 2048
    assert memory["peak_kib"] >= memory["open_kib"]


@pytest.mark.parametrize("live", [False, True])
def test_bench_counts_present_fields(counts: Path, live: bool) -> None:
    words = ["--fields", "counts.even,counts.size,counts.list[3],counts.config"]
    result = run_bench(counts, "--params", "100", *words, *(["--live"] if live else []))
    columns = result["live"] if live else result["fields"]["columns"]
    assert [(column["asked"], column["type"], column["present"]) for column in columns] == [
        ("counts.even", "uint64", 50),
        ("counts.size", "uint64", 100),
        ("counts.list[3]", "string", 0),
        ("counts.config", "string", 0),
    ]
    assert (result["fields"] is None, result["live"] is None) == (live, not live)


def test_bench_keeps_one_batch_for_fields(counts: Path) -> None:
    result = run_bench(counts, "--limit", 1000, "--all-fields", "--config", "set")
    assert result["fields"]["events"] == 128
    present = {column["name"]: column["present"] for column in result["fields"]["columns"]}
    assert present == {"counts.even": 64, "counts.size": 128, "counts.config": 128}


def test_bench_builds_target_and_other_plugins(tmp_path: Path) -> None:
    write_sources(tmp_path, {"counts.py": COUNTS, "size.py": SIZE})
    words = ["--params", "40", "--fields", "size.bytes,counts.even", "--with", tmp_path / "size.py", "--live"]
    result = run_bench(tmp_path / "counts.py", *words)
    assert [(calls["plugin"], calls["present"]) for calls in result["live"]] == [("size", 40), ("counts", 20)]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["counts.py", "size.py"]


def test_bench_counts_timeouts_and_measures_event_age(tmp_path: Path) -> None:
    source = simple_plugin("waits").replace("raise EOF", "raise Timeout").replace("EOF,", "EOF, Timeout,")
    source = source.replace("writer.write(item)", "writer.write(item); writer.timestamp = 1_700_000_000_000_000_000")
    result = run_bench(build_plugin(tmp_path, source), "--seconds", 0.05)
    assert (result["result"], result["events"]["count"]) == ("time", 2)
    assert result["events"]["timeouts"] > 0
    assert result["latency"]["timeout"]["p50_ns"] > 0
    assert result["latency"]["age"]["p50_ns"] > 10**9


def test_bench_json_is_null_without_measurements(tmp_path: Path) -> None:
    result = run_bench(build_plugin(tmp_path, simple_plugin("none", events="[]")))
    assert result["result"] == "eof"
    assert result["events"]["checksum"] == checksum([])
    assert result["first_event_ns"] is None
    assert result["events"]["per_event"] is None
    assert result["latency"] == {"batch": None, "timeout": None, "age": None}


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
        assert last_error_line(ran).startswith("falco-plugin-host: next_batch failed: ValueError: no more (plugin.py:")


def test_bench_requires_source(tmp_path: Path) -> None:
    message = last_error_line(run_command("bench", build_plugin(tmp_path, SIZE), "--all-fields"))
    assert (
        "the plugin size has no event source to run: run a plugin that has one, and add this one by --with" in message
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--fields", "counts.od"], "no loaded plugin has the field counts.od"),
        (["--live"], "--live needs --fields or --all-fields"),
        (["--params", "many"], "open failed: ValueError: invalid literal"),
    ],
)
def test_bench_reports_cause_of_failure(counts: Path, words: list[str], message: str) -> None:
    assert message in last_error_line(run_command("bench", counts, *words))


@pytest.mark.parametrize("words", [["--limit", "0"], ["--seconds", "0"], ["--seconds", "-1"], ["--with-config", "a"]])
def test_bench_rejects_invalid_numbers(counts: Path, words: list[str]) -> None:
    ran = run_command("bench", counts, *words)
    assert ran.status == 2
    assert words[0] in ran.stderr


def test_ctrl_c_ends_bench_with_result(tmp_path: Path) -> None:
    # The plugin logs when its source runs.
    source = simple_plugin("endless", events="__import__('itertools').repeat(b'again')")
    source = source.replace("writer.write(item)", "writer.write(item); self.report()")
    source += "\n    def report(self):\n        self.log.error('runs')\n        self.report = int\n"
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
        # A terminal sends the signal to all processes of the group.
        os.killpg(process.pid, signal.SIGINT)
        output, errors = process.communicate(timeout=20)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert (process.returncode, errors) == (0, "")
    result = json.loads(output)
    assert result["result"] == "interrupted"
    assert result["events"]["count"] > 0
