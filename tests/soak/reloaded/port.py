"""A source that listens on a port, and needs some time to release it."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from pathlib import Path

from falco_plugin import Context, Plugin, source

SECONDS_TO_STOP = 0.3


class Port(Plugin):
    """Numbers of a listener"""

    name = event_source = "reloaded_port"
    id = 1073741905

    def open(self, params: str, context: Context) -> source.PushInstance:
        port, path = params.split()
        listener = socket.create_server(("127.0.0.1", int(port)))
        sender, receiver = source.channel()
        arguments = (listener, Path(path), sender, context)
        threading.Thread(target=self.serve, args=arguments, daemon=True).start()
        return source.PushInstance(receiver, context=context)

    def serve(self, listener: socket.socket, cursor: Path, sender: source.Sender, context: Context) -> None:
        number = int(cursor.read_text()) if cursor.exists() else 0
        with sender, listener, selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(context, selectors.EVENT_READ)
            with contextlib.suppress(source.ChannelClosedError):
                while not context.cancelled:
                    sender.send(b"0 %d" % number)
                    sender.flush()
                    number += 1
                    cursor.write_text(str(number))
                    selector.select(0.005)
            time.sleep(SECONDS_TO_STOP)
