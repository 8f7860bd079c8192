"""A source whose threads send through a channel, each with its own series of numbers and its own cursor."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

from falco_plugin import Context, Plugin, source

THREADS = 3


class Threads(Plugin):
    """Numbers of several threads"""

    name = event_source = "reloaded_threads"
    id = 1073741902

    def open(self, params: str, context: Context) -> source.PushInstance:
        sender, receiver = source.channel(64)
        with sender:
            for series in range(THREADS):
                arguments = (series, Path(f"{params}.{series}"), sender.clone())
                threading.Thread(target=self.produce, args=arguments, daemon=True).start()
        return source.PushInstance(receiver, context=context)

    def produce(self, series: int, cursor: Path, sender: source.Sender) -> None:
        number = int(cursor.read_text()) if cursor.exists() else 0
        with sender, suppress(source.ChannelClosedError):
            while True:
                count = sender.send_many([b"%d %d" % (series, number + each) for each in range(10)])
                sender.flush()
                number += count
                cursor.write_text(str(number))
