"""The table of faults: what an author's code does wrong, and what comes of it in a host. See `faults/table.py`."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from support.hosts import Output
from support.libraries import build_plugin
from support.paths import REPOSITORY

from faults import page
from faults.playing import expected, logged, matches, play, steps
from faults.table import CALLBACKS, FAULTS, TABLE, cells

AT_ONCE = 2
LONGEST_LOG = 20_000
CELLS = [pytest.param(*cell, id=f"{cell[0]} {cell[1]}".replace("_", " ")) for cell in cells()]


@pytest.fixture(scope="module")
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict]:
    """All cells that are asked for, each in a process of its own, some at once."""
    source = (REPOSITORY / "tests" / "faults" / "plugin.py").read_text()
    library = build_plugin(tmp_path_factory.mktemp("faults"), source, "faulty")
    items = [item for item in request.session.items if item.path == Path(__file__) and hasattr(item, "callspec")]
    wanted = [(item.callspec.params["callback"], item.callspec.params["fault"]) for item in items]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {cell: pool.submit(play, library, *cell) for cell in wanted}


def test_every_fault_is_tried_in_every_callback() -> None:
    assert list(TABLE) == list(CALLBACKS)
    assert {tuple(faults) for faults in TABLE.values()} == {tuple(FAULTS)}


@pytest.mark.parametrize(("callback", "fault", "cell"), CELLS)
def test_a_fault_is_told_and_what_comes_after_it_is_as_it_must_be(played, callback: str, fault: str, cell) -> None:
    future: Future[Output] = played[callback, fault]
    ran = future.result()
    assert ran.status == 0, ran.stderr
    for got, due in zip(steps(ran), expected(cell), strict=True):
        assert (got.call, got.got) == (due.call, due.got), ran.stdout
        assert matches(due.error, got.error), f"{got.error}\nnot\n{due.error}"
    told, found = logged(ran)
    for due in cell.may_log:
        told = [line for line in told if not matches(due, line)]
    assert_lines(told, cell.log)
    assert_lines(found, cell.found)
    assert_lines(ran.stderr.splitlines(), cell.stderr)
    assert max((len(log["text"]) for log in ran.values("log")), default=0) < LONGEST_LOG


def assert_lines(lines: list[str], due: list[str]) -> None:
    same = len(lines) == len(due) and all(map(matches, due, lines))
    assert same, f"{lines}\nnot\n{list(due)}"


def test_the_page_is_what_the_table_says() -> None:
    assert page.PATH.read_text() == page.text(), "run 'make pages'"
