"""Checks that the measured plugins emit the same bytes and field values, and how results are selected and reported."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from xml.etree import ElementTree

import pytest
from bench import chart, libraries, machine, noise, report, workloads
from bench.measure import Host, Measured, MeasurementError, compare
from bench.rows import QUICK, Case, Comparison, Limit, Row, UnknownRowError, select, table
from support.hosts import native_lines, run

MODES = {
    "c": ("batch",),
    "ours": ("pull", "generator", "extend", "send", "send_many"),
    "golang": ("pull", "push128", "push0"),
    "rust": ("batch", "channel"),
}
MODES_WITH_THREADS = {"ours": "send", "golang": "push128", "rust": "channel"}
MODES_WITHOUT_LARGE_EVENTS = ("extend", "send_many", "generator")
FIELDS = sorted({field for row in table(QUICK) for case in row.cases() for field in case.fields})
MIN_EVENTS = {"busy": 5, "beside": 5, "live": 5, "idle": 0, "burst": 128 + 1000 * 128}


def build_host(*names: str) -> Host:
    """Returns a host with the named libraries. Without Go, skips the test, or fails it in CI."""
    if "golang" in names and shutil.which("go") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI needs Go for the peer")
        pytest.skip("the peer needs Go, which is not installed")
    return Host.start(libraries.host(), libraries.build(names), libraries.BUILD / "workloads")


@pytest.mark.extended
@pytest.mark.parametrize("workload", ["empty", "log300", "log1k", "cloudtrail", "audit", "random"])
@pytest.mark.parametrize("peer", ["ours", "golang", "rust"])
def test_modes_emit_the_bytes_of_the_c_peer(peer, workload):
    host = build_host("c", peer)
    modes = [mode for mode in MODES[peer] if workload != "random" or mode not in MODES_WITHOUT_LARGE_EVENTS]
    checksums = {mode: host.checksum(Case(peer, peer, mode, workload)) for mode in modes}
    assert checksums == dict.fromkeys(modes, host.checksum(Case("c", "c", "batch", workload)))


@pytest.mark.extended
@pytest.mark.parametrize("workload", ["equal300", "encode300"])
@pytest.mark.parametrize("peer", MODES_WITH_THREADS)
def test_threads_emit_the_bytes_of_the_c_peer(peer, workload):
    host = build_host("c", peer)
    modes = [f"{MODES_WITH_THREADS[peer]}-{number}" for number in (2, 4)]
    checksums = {mode: host.checksum(Case(peer, peer, mode, workload)) for mode in modes}
    assert checksums == dict.fromkeys(modes, host.checksum(Case("c", "c", "batch", "equal300")))


@pytest.mark.extended
@pytest.mark.parametrize("peer", ["ours", "golang", "rust"])
def test_host_threads_extract_the_fields_of_all_events(peer):
    host = build_host(peer)
    cases = [case for row in table(QUICK) for case in row.cases() if case.library == peer and case.threads is not None]
    assert cases
    for case in cases:
        (column,) = host.measure(case, 0.02)["threads"]
        assert len(column["counts"]) == case.threads
        assert column["present"] == 128 * case.threads
        assert min(column["counts"]) > 0


def test_other_python_makes_the_same_events():
    built = libraries.build(["ours", libraries.OTHER_PYTHON], sys.executable)
    host = Host.start(libraries.host(), built, libraries.BUILD / "workloads", sys.executable)
    checksums = {host.checksum(Case(name, name, "extend", "log300")) for name in built}
    assert len(checksums) == 1
    assert machine.python_version().startswith(platform.python_version())


@pytest.mark.extended
def test_file_lines_equal_those_of_the_c_peer():
    host = build_host("c", "ours")
    assert host.checksum(Case("", "ours", "lines", "file-small")) == host.checksum(Case("", "c", "batch", "file-small"))


@pytest.mark.parametrize(("mode", "min_events"), MIN_EVENTS.items())
def test_timed_modes_run(mode, min_events):
    case = next(case for row in table(QUICK) for case in row.cases() if case.mode == mode)
    assert build_host("ours").measure(case, 0.02)["events"]["count"] >= min_events


@pytest.mark.extended
@pytest.mark.parametrize(
    ("peer", "mode", "workload", "prefix"),
    [
        ("golang", "pull", "log300", "bench."),
        ("rust", "batch", "log300", "bench."),
        ("golang", "pull", "audit", "audit."),
    ],
)
def test_fields_have_equal_values_in_peers(peer, mode, workload, prefix):
    host = build_host("ours", peer)
    fields = ",".join(field for field in FIELDS if field.startswith(prefix))
    path = workloads.prepare(workload, host.workloads)

    def values(library, mode):
        options = ["--limit", 128, "--params", f"{mode} {path}", "--fields", fields]
        return [line["fields"] for line in native_lines(host.libraries[library], *options) if line["kind"] == "event"]

    ours = values("ours", "extend")
    assert len(ours) == 128
    assert all(value is not None for line in ours for value in line.values())
    assert values(peer, mode) == ours


@pytest.mark.extended
def test_tables_have_entries_in_peers():
    host = build_host("tables", "rust", "reader")
    rows = [row for row in table(QUICK) if row.name.startswith("table-")]
    assert len(rows) == 4
    for row in rows:
        for case in row.cases():
            (column,) = host.measure(case, 0.02)["fields"]["columns"]
            assert column["present"] == 128, f"{row.name}: {case.title}"


def test_compare_names_library_with_different_bytes():
    class DifferingHost:
        def checksum(self, case):
            return case.library

    rows = select(table(QUICK), ["batch-1k"], ["rust"])
    with pytest.raises(
        MeasurementError, match="rust batch does not emit the bytes of ours extend in the workload log1k"
    ):
        compare(DifferingHost(), [case for row in rows for case in row.cases()], lambda text: None)


def test_select_accepts_names_and_prefixes():
    rows = table(QUICK)
    assert [row.name for row in select(rows, ["pull-e", "start"], ["golang"])] == [
        "pull-empty",
        "start",
        "start-self-contained",
    ]
    assert select(rows, [], ["c", "golang", "rust", libraries.SELF_CONTAINED]) == rows
    with pytest.raises(UnknownRowError, match="no row starts with 'nonsense'.*pull-empty, "):
        select(rows, ["nonsense"], [])


def test_select_drops_excluded_peers_and_empty_rows():
    rows = select(table(QUICK), [], ["c"])
    cases = [case for row in rows for case in row.cases()]
    assert {case.library for case in cases} == {
        *("c", "ours", "parsing", "sending", "smallest"),
        f"smallest-{libraries.SELF_CONTAINED}",
    }
    assert "field-again" not in [row.name for row in rows]


def test_each_own_case_is_compared_with_other_python():
    rows = {row.name: row.beside_other_python("Python 3.14.0t") for row in table(QUICK)}

    def others(name):
        return [(case.title, case.mode) for case in rows[name].cases() if case.library == libraries.OTHER_PYTHON]

    expected = [("Python 3.14.0t", "send-2"), ("Python 3.14.0t, one thread", "send")]
    assert others("push-send-2-threads") == expected
    assert others("latency-send") == [("Python 3.14.0t", "live")]
    assert others("start") == []
    assert [len(rows["latency-send"].against), len(rows["latency-send"].unlimited)] == [0, 1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--peers", "other-python"], "the peer other-python needs --other-python"),
        (["--other-python", "/nonexistent/python"], "--other-python: /nonexistent/python is not a program"),
        (["--other-python", "/bin/false"], "cannot build other-python: `/bin/false -c` failed"),
    ],
)
def test_options_name_unusable_other_python(words, message):
    ran = run(sys.executable, "-m", "bench", *words, cwd=libraries.ROOT)
    assert ran.status != 0
    assert message in ran.stderr


def test_build_names_missing_tool_and_alternative(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "go" else f"/usr/bin/{name}")
    with pytest.raises(libraries.BuildError, match=re.escape("go is missing, which builds the peer golang")) as caught:
        libraries.build(["golang"])
    assert "PEERS=c,rust" in str(caught.value)


def test_ratio_compares_same_round_and_judges_median():
    def raw(ns):
        events = {"count": 10, "bytes": 1000, "cpu_ns": 20, "wall_ns": 10, "per_event": {"median_ns": ns}}
        return {"events": events, "memory": {"peak_kib": 2000}}

    ours, fast, slow, same = (Case(title, "ours") for title in ("ours", "fast", "slow", "same"))
    against = (Comparison(fast, 1.5), Comparison(slow, 0.5), Comparison(same, 1.1, 0.9))
    limits = (Limit("events", "", lambda r: r["events"]["count"], at_most=9),)
    row = Row("row", "Row", ours, against, limits=limits, unlimited=(same,))
    rounds = [
        {ours: raw(ns), fast: raw(ns / times), slow: raw(2 * ns), same: raw(1.25 * ns)}
        for ns, times in ((10, 1), (40, 2), (90, 3))
    ]
    result = Measured(row, rounds)
    to_fast, to_slow, to_same = report.verdicts([result])
    assert (to_fast.ratios, to_fast.ratio, to_fast.met) == ([1, 2, 3], 2, False)
    assert (to_slow.ratios, to_slow.ratio, to_slow.met) == ([0.5, 0.5, 0.5], 0.5, True)
    assert (to_same.ratio, to_same.met) == (0.8, False)
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in report.markdown([result], {}).splitlines()]
    assert ["row", "Row", "10.0 / 40.0", "fast", "10.0 / 20.0", "1.00 / **2.00**", "1.5", "**no**"] in lines
    assert ["row", "Row", "ours", "events", "**10.0**  (10.0 to 10.0)", "at most 9", "**no**"] in lines
    assert ["row", "Row", "same", "events", "**10.0**  (10.0 to 10.0)", "", ""] in lines
    drawing = ElementTree.fromstring(chart.draw([to_fast, to_slow], "a < b"))
    texts = [text.text for text in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert {"a < b", "Row: fast", "Row: slow", "2.00", "0.50"} <= set(texts)


def test_noise_reports_median_and_noisiest_row():
    case = Case("", "ours")
    results = [
        Measured(Row(name, "", case), [{case: {"others": share}} for share in shares])
        for name, shares in (("first", (0, 0.25)), ("second", (0.5, 0)), ("third", (0.04,)))
    ]
    expected = "took 4% of the processors' time during the measurement (median), at most 50% (second)"
    assert report.noise(results) == expected


def test_noise_excludes_own_processor_time():
    before = noise.Moment(busy=10, idle=20, own=5)
    for after, share in [((13, 21, 8), 0), ((13, 21, 7), 0.25), ((10, 24, 5), 0), ((10, 20, 5), 0)]:
        assert noise.Moment(*after).others_since(before) == share
    now = noise.Moment.now()
    assert 0 <= noise.Moment.now().others_since(now) <= 1
    assert noise.wait_for_quiet(0) >= 0
