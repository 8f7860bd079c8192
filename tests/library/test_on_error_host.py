"""The option `on_error` in a built library."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.hosts import cycle_payloads, run_cycle
from support.libraries import build_plugin

PLUGIN = """
    import threading
    from falco_plugin import Plugin, source

    class Lossy(Plugin):
        name, event_source = "lossy", "lossy_records"

        def open(self, params):
            return getattr(self, params)()

        def generator(self):
            return source.IterInstance(self.records(), event_size=8, on_error="log")

        def push(self):
            sender, receiver = source.channel(event_size=8, on_error="log")
            threading.Thread(target=self.produce, args=(sender,)).start()
            return source.PushInstance(receiver)

        def produce(self, sender):
            with sender:
                for record in self.records():
                    sender.send(record)

        def records(self):
            yield b"one"
            for _ in range(3):
                yield b"much too large"
            yield b"two"
"""


@pytest.mark.parametrize(("kind", "location"), [("generator", ""), ("push", " (plugin.py:22 in produce)")])
def test_skipped_items_are_logged_with_source(tmp_path: Path, kind: str, location: str) -> None:
    ran = run_cycle(build_plugin(tmp_path, PLUGIN), params=kind)
    assert (cycle_payloads(ran), ran.status) == ([b"one", b"two"], 0)
    large = (
        "EventTooLargeError: an event of 14 bytes is larger than the event size of 8 bytes: raise event_size, or "
        "cut the event"
    )
    assert [log["text"] for log in ran.values("log") if "skipped" in log["text"]] == [
        f'lossy_records: skipped 1 item (on_error="log"): {large}{location}',
        f'lossy_records: skipped 2 more items, 3 in total (on_error="log"), the latest: {large}{location}',
    ]
