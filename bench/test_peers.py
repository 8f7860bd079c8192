"""The measurement beside other SDKs, in a short form: that all do the same work, and none crashes. No time counts."""

from __future__ import annotations

import os
import re
import shutil
from xml.etree import ElementTree

import pytest
from bench import chart, libraries, noise, report, works
from bench.measure import Failed, Host, Measured, compare
from bench.rows import QUICK, Against, Case, Limit, Row, UnknownRow, select, table
from support.hosts import native_lines

MODES = {
    "c": ("batch",),
    "ours": ("pull", "generator", "extend", "send", "send_many"),
    "golang": ("pull", "push128", "push0"),
    "rust": ("batch", "channel"),
}
NOT_FOR_LARGE = ("extend", "send_many", "generator")
FIELDS = sorted({field for row in table(QUICK) for case in row.cases() for field in case.fields})
TIMED = {"busy": 5, "beside": 5, "live": 5, "idle": 0, "burst": 128 + 1000 * 128}


def built(*names: str) -> Host:
    """A host with these libraries; where Go is missing the test is skipped, but not in CI."""
    if "golang" in names and shutil.which("go") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI needs Go for the peer")
        pytest.skip("the peer needs Go, which is not installed")
    return Host.start(libraries.host(), libraries.build(names), libraries.BUILD / "works")


@pytest.mark.parametrize("work", ["empty", "log300", "log1k", "cloudtrail", "audit", "random"])
@pytest.mark.parametrize("peer", ["ours", "golang", "rust"])
def test_every_way_emits_the_same_bytes_as_the_program_in_c(peer, work):
    host = built("c", peer)
    modes = [mode for mode in MODES[peer] if work != "random" or mode not in NOT_FOR_LARGE]
    checksums = {mode: host.checksum(Case(peer, peer, mode, work)) for mode in modes}
    assert checksums == dict.fromkeys(modes, host.checksum(Case("c", "c", "batch", work)))


def test_the_lines_of_a_file_are_the_same_as_of_the_program_in_c():
    host = built("c", "ours")
    assert host.checksum(Case("", "ours", "lines", "file-small")) == host.checksum(Case("", "c", "batch", "file-small"))


@pytest.mark.parametrize(("mode", "least"), TIMED.items())
def test_the_ways_that_are_only_timed_run(mode, least):
    case = next(case for row in table(QUICK) for case in row.cases() if case.mode == mode)
    assert built("ours").measure(case, 0.02)["events"]["count"] >= least


@pytest.mark.parametrize(
    ("peer", "mode", "work", "prefix"),
    [
        ("golang", "pull", "log300", "bench."),
        ("rust", "batch", "log300", "bench."),
        ("golang", "pull", "audit", "audit."),
    ],
)
def test_fields_have_the_same_values_in_every_library(peer, mode, work, prefix):
    host = built("ours", peer)
    fields = ",".join(field for field in FIELDS if field.startswith(prefix))
    path = works.prepare(work, host.works)

    def values(library, mode):
        options = ["--limit", 128, "--params", f"{mode} {path}", "--fields", fields]
        return [line["fields"] for line in native_lines(host.libraries[library], *options) if line["kind"] == "event"]

    ours = values("ours", "extend")
    assert len(ours) == 128
    assert all(value is not None for line in ours for value in line.values())
    assert values(peer, mode) == ours


def test_a_library_that_emits_other_bytes_is_named():
    class Liar:
        def checksum(self, case):
            return case.library

    rows = select(table(QUICK), ["batch-1k"], ["rust"])
    with pytest.raises(Failed, match="rust batch does not emit the bytes of ours extend in the work log1k"):
        compare(Liar(), [case for row in rows for case in row.cases()], lambda text: None)


def test_rows_are_chosen_by_name_or_how_it_begins():
    rows = table(QUICK)
    assert [row.name for row in select(rows, ["pull-e", "start"], ["golang"])] == ["pull-empty", "start"]
    assert select(rows, [], ["c", "golang", "rust"]) == rows
    with pytest.raises(UnknownRow, match="no row is called nonsense.*pull-empty, "):
        select(rows, ["nonsense"], [])


def test_peers_that_are_left_out_are_not_measured_and_rows_without_one_neither():
    rows = select(table(QUICK), [], ["c"])
    cases = [case for row in rows for case in row.cases()]
    assert {case.library for case in cases} == {"c", "ours", "smallest"}
    assert "field-again" not in [row.name for row in rows]


def test_a_missing_tool_is_named_with_the_way_to_go_on(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "go" else f"/usr/bin/{name}")
    with pytest.raises(libraries.Unbuildable, match=re.escape("go is missing, which builds the peer golang")) as info:
        libraries.build(["golang"])
    assert "PEERS=c,rust" in str(info.value)


def test_a_ratio_is_made_of_runs_of_the_same_round_and_judged_by_their_median():
    def raw(ns):
        events = {"count": 10, "bytes": 1000, "cpu_ns": 20, "wall_ns": 10, "per_event": {"median_ns": ns}}
        return {"events": events, "memory": {"peak_kib": 2000}}

    ours, fast, slow, same = (Case(title, "ours") for title in ("ours", "fast", "slow", "same"))
    against = (Against(fast, 1.5), Against(slow, 0.5), Against(same, 1.1, 0.9))
    row = Row("row", "Row", ours, against, limits=(Limit("events", "", lambda r: 7),))
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
    drawing = ElementTree.fromstring(chart.draw([to_fast, to_slow], "a < b"))
    texts = [text.text for text in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert {"a < b", "Row: fast", "Row: slow", "2.00", "0.50"} <= set(texts)


def test_what_others_computed_meanwhile_is_told_with_the_row_that_had_most_of_it():
    case = Case("", "ours")
    results = [
        Measured(Row(name, "", case), [{case: {"others": share}} for share in shares])
        for name, shares in (("first", (0, 0.25)), ("second", (0.5, 0)), ("third", (0.04,)))
    ]
    told = "took 4% of the processors' time while it was measured, at most 50% (second)"
    assert report.noise(results) == told


def test_what_the_measurement_itself_computes_is_no_noise():
    before = noise.Moment(busy=10, idle=20, own=5)
    for after, share in [((13, 21, 8), 0), ((13, 21, 7), 0.25), ((10, 24, 5), 0), ((10, 20, 5), 0)]:
        assert noise.Moment(*after).others_since(before) == share
    now = noise.Moment.now()
    assert 0 <= noise.Moment.now().others_since(now) <= 1
    assert noise.wait_for_quiet(0) >= 0
