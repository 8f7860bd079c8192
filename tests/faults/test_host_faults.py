"""Compares the effects of faults of a host with the tables in `faults/host_table.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.events import FAILURE, SUCCESS, encode_execve
from support.libraries import build_plugin
from support.paths import REPOSITORY

from faults.faulty_host import FaultyHost, Result
from faults.host_table import CALL_ROWS, INIT_ROWS, Row
from faults.playing import SDK_PREFIX, matches


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = (REPOSITORY / "tests" / "faults" / "stateful.py").read_text()
    return build_plugin(tmp_path_factory.mktemp("stateful"), source, "stateful")


def lines(host: FaultyHost) -> list[str]:
    return [text.partition("\n")[0].removeprefix(SDK_PREFIX) for _, text in host.library.logs]


@pytest.mark.parametrize(("host", "options", "failing", "error"), INIT_ROWS, ids=[row[0] for row in INIT_ROWS])
def test_fault_during_init_fails_it(
    library: Path, host: str, options: dict[str, Any], failing: str, error: str
) -> None:
    faulty = FaultyHost(**options)
    faulty.failing.add(failing)
    assert faulty.init(library) == Result(FAILURE, error)
    assert lines(faulty) == [f"init failed: {error}"]
    assert faulty.taken == 0
    faulty.library.destroy()


@pytest.mark.parametrize("row", CALL_ROWS, ids=[row.host for row in CALL_ROWS])
def test_fault_of_a_call_is_reported_and_later_calls_succeed(library: Path, row: Row) -> None:
    faulty = FaultyHost(message=b"refused", comm=row.comm)
    assert faulty.init(library).code == SUCCESS
    faulty.failing.add(row.failing)
    faulty.missing.add(row.missing)
    results = row.act(faulty)
    for result, error in zip(results, row.errors, strict=True):
        assert result.code == (SUCCESS if error is None else FAILURE)
        assert matches(error, result.error), result
    found = lines(faulty)
    assert len(found) == len(row.log), found
    assert all(map(matches, row.log, found)), found
    assert faulty.taken == row.leaks
    if faulty.library.state:
        faulty.failing.clear()
        faulty.missing.clear()
        assert faulty.parse(encode_execve("read")).code == SUCCESS
        assert lines(faulty)[len(found) :] == [
            row.comm.decode(errors="replace") if row.comm == b"bash" else row.log[-1]
        ]
    faulty.library.destroy()
