"""`Event.cache` in a host: which calls share it, and that no other event does."""

from __future__ import annotations

import pytest
from support.libraries import Build

from falco_plugin.testing import run

CODE = """
    from falco_plugin import Event, Plugin, field, parse


    class Value:
        deleted = 0

        def __init__(self, event):
            self.number = event.number

        def __del__(self):
            Value.deleted += 1


    class Cached(Plugin):
        name = event_source = "cached"
        kept: list[Event] = []

        def open(self, params):
            for number in range(4):
                yield str(number).encode()

        def value(self, event: Event, name: str) -> str:
            value = event.cache.setdefault("value", Value(event))
            event.cache.setdefault("readers", []).append(name)
            assert value.number == event.number
            {keep}
            return ",".join(event.cache["readers"])

        @parse("pluginevent")
        def parsed(self, event: Event) -> None:
            self.value(event, "parse")

        @field("cached.first", desc="First")
        def first(self, event: Event) -> str:
            return self.value(event, "first")

        @field("cached.second", desc="Second")
        def second(self, event: Event) -> str:
            return self.value(event, "second")

        def destroy(self) -> None:
            for event in self.kept:
                assert event.cache["value"].number == event.number
            self.log.info("%d kept, %d deleted", len(self.kept), Value.deleted)
"""


@pytest.mark.parametrize(
    ("keep", "report"),
    [("pass", "0 kept, "), ("self.kept += [] if event in self.kept else [event]", "4 kept, ")],
    ids=["reused", "kept"],
)
def test_calls_for_one_event_share_its_cache(build: Build, keep: str, report: str) -> None:
    ran = run(build(CODE.format(keep=keep)))
    assert ran.result == "eof"
    assert len(ran.events) == 4
    values = {"cached.first": "parse,first", "cached.second": "parse,first,second"}
    assert [dict(event.fields) for event in ran.events] == [values] * 4
    assert not [line for line in ran.log if "AssertionError" in line.text]
    assert [line.text for line in ran.log if report in line.text]
