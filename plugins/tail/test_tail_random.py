"""Writes, rotates and truncates files in random order while a reader is stopped and killed.

The reader runs in a thread of the test, without a host, so that many sequences take little time.
"""

from __future__ import annotations

import itertools
import logging
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plugins.tail.config import Config
from plugins.tail.conftest import append, saved_positions, wait_until
from plugins.tail.files import Files
from plugins.tail.paths import Paths
from plugins.tail.plugin import Tail
from plugins.tail.positions import Positions, Saved
from plugins.tail.reader import Reader
from plugins.tail.reports import Reports

from falco_plugin import Context, Cursor

BATCH = 50


class ReaderThread:
    """Consumes the lines of the plugin's reader until it is stopped or killed.

    Like a host it delivers lines in batches: when a batch is full, and at a barrier. Other lines are lost at its end.
    """

    def __init__(self, params: str, position_file: Path) -> None:
        self._params = params
        self._config = Config(position_file=str(position_file), poll_interval=0.001, rotated_wait=0)
        self.lines: list[bytes] = []
        """All lines that were delivered since the first start."""
        self.start()

    def start(self) -> None:
        log = logging.Logger("tail", logging.CRITICAL)
        reports = Reports(log, follow=True)
        positions = Positions(Cursor(Tail(), "", path=self._config.position_file, start=Saved()))
        files = Files(Paths(self._params, reports, excluded=positions.path), positions, reports, self._config)
        self._reader = Reader(files, positions, self._config)
        self._context = Context()
        self._is_killed = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """Ends the reader as a host does that closes the source."""
        self._context.cancel()
        self._thread.join()
        assert self._failure is None

    def kill(self) -> None:
        """Ends the reader at the next line or barrier, which is not delivered."""
        self._is_killed = True
        self.stop()

    def _run(self) -> None:
        try:
            batch: list[bytes] = []
            for line in self._reader.lines(self._context):
                if self._is_killed:
                    return
                if line is not None:
                    batch.append(line)
                if line is None or len(batch) == BATCH:
                    self.lines += batch
                    batch = []
        except BaseException as error:
            self._failure = error


@dataclass
class Written:
    """The lines that were written to a file between its creation or truncation and the next one."""

    path: Path
    lines: list[bytes] = field(default_factory=list)


class World:
    """Files that are written, rotated and truncated, and a reader that is stopped and killed."""

    NAMES = ("a.log", "b.log", "c.log")

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count()
        self._positions = folder / "positions"
        self._all: list[Written] = []
        self._now = {name: self._begin(name) for name in self.NAMES}
        self._was_killed = False
        self._reader = ReaderThread(f"{folder}/*.log*", self._positions)

    def write(self, name: str, count: int, length: int) -> None:
        """Writes lines in pieces that do not end at line ends."""
        lines = [b"%s %d %s" % (name.encode(), next(self._numbers), b"x" * length) for _ in range(count)]
        self._now[name].lines += lines
        data = b"".join(line + b"\n" for line in lines)
        for begin in range(0, len(data), 1 + len(data) // 3):
            append(self._now[name].path, data[begin : begin + 1 + len(data) // 3])

    def rotate(self, name: str) -> None:
        self._now[name].path.rename(self._folder / f"{name}.{next(self._numbers)}")
        self._now[name] = self._begin(name)

    def rewrite(self, name: str, count: int, length: int) -> None:
        """Truncates a file that was read, and writes to it, perhaps beyond its old size before the next check."""
        self._wait_for(self._now[name].lines)
        self._now[name] = self._begin(name)
        self.write(name, count, length)

    def restart(self) -> None:
        self._wait_for_all()
        sizes = sorted(size for path in self._folder.glob("*.log*") if (size := path.stat().st_size))
        wait_until(lambda: sorted(p["offset"] for p in saved_positions(self._positions) if p["offset"]) == sizes)
        self._reader.stop()
        self._reader.start()

    def kill(self) -> None:
        self._was_killed = True
        self._reader.kill()
        self._reader.start()

    def check(self) -> None:
        self._wait_for_all()
        self._reader.stop()
        seen = self._reader.lines
        times = Counter(seen)
        assert times.keys() == {line for written in self._all for line in written.lines}
        assert self._was_killed or set(times.values()) <= {1}
        first = {line: number for number, line in reversed(list(enumerate(seen)))}
        for written in self._all:
            assert sorted(written.lines, key=first.__getitem__) == written.lines

    def close(self) -> None:
        self._reader.stop()

    def _begin(self, name: str) -> Written:
        path = self._folder / name
        path.write_bytes(b"")
        self._all.append(Written(path))
        return self._all[-1]

    def _wait_for(self, lines: list[bytes]) -> None:
        wait_until(lambda: set(lines) <= set(self._reader.lines))

    def _wait_for_all(self) -> None:
        self._wait_for([line for written in self._all for line in written.lines])


names = st.sampled_from(World.NAMES)
counts, lengths = st.integers(0, 300), st.sampled_from([0, 1, 50, 1000])
steps = st.one_of(
    st.tuples(st.just(World.write), names, counts, lengths),
    st.tuples(st.just(World.rotate), names),
    st.tuples(st.just(World.rewrite), names, counts, lengths),
    st.tuples(st.just(World.restart)),
    st.tuples(st.just(World.kill)),
)


@pytest.mark.slow
@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(steps, min_size=1, max_size=12))
def test_random_file_operations_lose_no_line(steps: list[tuple[Callable[..., None], object]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder).resolve())
        try:
            for step, *arguments in steps:
                step(world, *arguments)
            world.check()
        finally:
            world.close()
