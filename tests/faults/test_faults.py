"""Compares the effects of faults in user code with the table in `faults/table.py`."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.hosts import Output
from support.libraries import build_plugin
from support.paths import REPOSITORY

from faults import page
from faults.playing import Cell, expected, matches, play, read_log, steps
from faults.table import CALLBACKS, FAULTS, RAISES, RETURNS, TABLE, cells

LONGEST_LOG = 20_000
# Cells that change nothing but the current call share a process; each of the others has its own.
ALONE = [fault for fault in FAULTS if fault not in RAISES + RETURNS]
GROUPS = {"raises": RAISES, "returns": RETURNS} | {fault.replace("_", " "): (fault,) for fault in ALONE}
CELLS = {(callback, fault): cell for callback, fault, cell in cells()}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = (REPOSITORY / "tests" / "faults" / "plugin.py").read_text()
    return build_plugin(tmp_path_factory.mktemp("faults"), source, "faulty")


def test_table_has_each_fault_in_each_callback() -> None:
    assert list(TABLE) == list(CALLBACKS)
    assert {tuple(faults) for faults in TABLE.values()} == {tuple(FAULTS)}


@pytest.mark.parametrize("faults", GROUPS.values(), ids=GROUPS)
@pytest.mark.parametrize("callback", CALLBACKS)
def test_fault_is_reported_and_later_calls_succeed(library: Path, callback: str, faults: tuple[str, ...]) -> None:
    for fault, ran in zip(faults, play(library, callback, faults), strict=True):
        check(ran, CELLS[callback, fault], f"{callback}, {fault}")


def check(ran: Output, cell: Cell, name: str) -> None:
    """Checks the calls and the log lines of a cell."""
    assert ran.status == 0, f"{name}: {ran.stderr}"
    for got, expectation in zip(steps(ran), expected(cell), strict=True):
        assert (got.call, got.got) == (expectation.call, expectation.got), f"{name}: {ran.stdout}"
        assert matches(expectation.error, got.error), f"{name}: {got.error}\nnot\n{expectation.error}"
    reported, found = read_log(ran)
    for expectation in cell.may_log:
        reported = [line for line in reported if not matches(expectation, line)]
    assert_lines(reported, cell.log, name)
    assert_lines(found, cell.found, name)
    assert_lines(ran.stderr.splitlines(), cell.stderr, name)
    assert max((len(log["text"]) for log in ran.values("log")), default=0) < LONGEST_LOG


def assert_lines(lines: list[str], expectation: list[str], name: str) -> None:
    same = len(lines) == len(expectation) and all(map(matches, expectation, lines))
    assert same, f"{name}: {lines}\nnot\n{list(expectation)}"


def test_page_has_the_results_of_the_table() -> None:
    assert page.PATH.read_text() == page.text(), "run 'make pages'"
