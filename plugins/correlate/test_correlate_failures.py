"""Compares the memory of failed logins with a list of all of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugins.correlate import failures as module
from plugins.correlate.failures import MAX_OF_USER, MAX_TEXT, Failures

USERS = ["alice", "bob", "eve", "x" * (MAX_TEXT + 1), "x" * (MAX_TEXT + 2)]
LONGEST = 100
ADDED = st.lists(st.tuples(st.sampled_from(USERS), st.integers(0, 400), st.sampled_from(["", "a", "b"])), max_size=60)


@given(ADDED, st.integers(1, LONGEST), st.integers(0, 20))
def test_window_has_all_failures_of_user_in_it(added: list[tuple[str, int, str]], window: int, lag: int) -> None:
    memory, newest = Failures(longest=LONGEST, max_failures=1000), dict.fromkeys(USERS, 0)
    for number, (user, time, address) in enumerate(added):
        memory.add(user, time, address)
        newest[user] = max(newest[user], time)
        # Failures that are too old when they arrive may be forgotten.
        now = newest[user] - lag
        recent = sorted(
            (at, where)
            for who, at, where in added[: number + 1]
            if who == user and now - window < at <= now and at > newest[user] - LONGEST
        )
        assert sorted(memory.within(user, now, window)) == recent
    assert not memory.forgotten


@given(ADDED, st.integers(1, 10))
def test_memory_is_bounded_and_counts_what_it_forgets(added: list[tuple[str, int, str]], most: int) -> None:
    memory = Failures(longest=10**6, max_failures=most)
    for number, (user, time, address) in enumerate(added, 1):
        memory.add(user, time, address)
        assert 0 < len(memory) <= most
        assert memory.forgotten == number - len(memory)
    kept = sum(len(memory.within(user, 10**6, 2 * 10**6)) for user in USERS)
    assert kept == len(memory)


def test_one_user_cannot_take_the_memory_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_OF_USER > 100
    monkeypatch.setattr(module, "MAX_OF_USER", 3)
    memory = Failures(longest=100, max_failures=10)
    memory.add("alice", 1, "")
    for time in range(50):
        memory.add("eve", time, "")
    assert [time for time, _ in memory.within("eve", 50, 100)] == [47, 48, 49]
    assert len(memory.within("alice", 50, 100)) == 1
    assert memory.forgotten == 47
