"""Writes, rotates and truncates files in random order while the plugin is stopped and killed."""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plugins.tail.conftest import Follow, append, saved_positions, wait_until


@dataclass
class Written:
    """The lines that were written to a file between its creation or truncation and the next one."""

    path: Path
    lines: list[bytes] = field(default_factory=list)


class World:
    """Files that are written, rotated and truncated, and a plugin that is stopped and killed."""

    NAMES = ("a.log", "b.log", "c.log")

    def __init__(self, folder: Path, follow: Follow) -> None:
        self._folder = folder
        self._numbers = itertools.count()
        self._positions = folder / "positions"
        self._all: list[Written] = []
        self._now = {name: self._begin(name) for name in self.NAMES}
        self._seen: list[bytes] = []
        self._seen_before = 0
        self._was_killed = False
        self._follower = follow(f"{folder}/*.log*", position_file=str(self._positions), rotated_wait=0)

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
        self._see(self._now[name].lines)
        self._now[name] = self._begin(name)
        self.write(name, count, length)

    def restart(self) -> None:
        self._wait_for_all()
        sizes = sorted(size for path in self._folder.glob("*.log*") if (size := path.stat().st_size))
        wait_until(lambda: sorted(p["offset"] for p in saved_positions(self._positions) if p["offset"]) == sizes)
        self._see_rest(self._follower.stop())
        self._follower.start()

    def kill(self) -> None:
        self._was_killed = True
        self._see_rest(self._follower.kill())
        self._follower.start()

    def check(self) -> None:
        self._wait_for_all()
        self._see_rest(self._follower.stop())
        times = Counter(self._seen)
        assert times.keys() == {line for written in self._all for line in written.lines}
        assert self._was_killed or set(times.values()) <= {1}
        first = {line: number for number, line in reversed(list(enumerate(self._seen)))}
        for written in self._all:
            assert sorted(written.lines, key=first.__getitem__) == written.lines

    def _begin(self, name: str) -> Written:
        path = self._folder / name
        path.write_bytes(b"")
        self._all.append(Written(path))
        return self._all[-1]

    def _see(self, lines: list[bytes]) -> None:
        missing = set(lines).difference(self._seen)
        while missing:
            self._seen.append(self._follower.host.next_event(timeout=20).data)
            missing.discard(self._seen[-1])

    def _wait_for_all(self) -> None:
        # Wait for an event: before that, the signal would end the host without the plugin.
        self.write("a.log", 1, 0)
        for written in self._all:
            self._see(written.lines)

    def _see_rest(self, events: list[bytes]) -> None:
        """Adds all events of the last host, including those that were not read with ``next_event``."""
        self._seen[self._seen_before :] = events
        self._seen_before = len(self._seen)


names = st.sampled_from(World.NAMES)
counts, lengths = st.integers(0, 300), st.sampled_from([0, 1, 50, 1000])
steps = st.one_of(
    st.tuples(st.just(World.write), names, counts, lengths),
    st.tuples(st.just(World.rotate), names),
    st.tuples(st.just(World.rewrite), names, counts, lengths),
    st.tuples(st.just(World.restart)),
    st.tuples(st.just(World.kill)),
)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(steps, min_size=1, max_size=12))
def test_random_file_operations_lose_no_line(steps: list[tuple[Callable[..., None], object]], follow: Follow) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder).resolve(), follow)
        for step, *arguments in steps:
            step(world, *arguments)
        world.check()
