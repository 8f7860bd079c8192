"""Tests the position of a poller."""

from __future__ import annotations

from pathlib import Path

from falco_plugin import Cursor
from falco_plugin.polling import Request
from falco_plugin.polling.poller import HttpPoller
from falco_plugin.polling.position import MOST_SEEN, Position

NOW = 1_800_000_000_000_000_000
PAGE = 10_000
REQUEST = Request("https://api.example/logs")


class Rounds(HttpPoller):
    """Records without ids"""

    name = "rounds"


def test_largest_position_fits_into_a_cursor_file(tmp_path: Path) -> None:
    start = position = Position(REQUEST)
    cursor = Cursor(Rounds(), "", path=tmp_path / "cursor", start=start)
    number = 0
    for _ in range(2):
        position = position.next_round(60)
        for _ in range(MOST_SEEN // PAGE + 3):
            found = [(f"sha256:{number + index:064x}", NOW + number + index) for index in range(PAGE)]
            number += PAGE
            position = position.within_round(found, REQUEST, 60, 2 * NOW)
    assert len(position.seen) == MOST_SEEN
    assert cursor.save(position)
    assert position.time_of(f"sha256:{number - 1:064x}") == NOW + number - 1
    assert position.time_of(f"sha256:{0:064x}") is None
