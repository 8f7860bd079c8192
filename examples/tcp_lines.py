"""Receives lines over TCP: an async generator that yields the events of an asyncio server.

$ falco-plugin run examples/tcp_lines.py --params 127.0.0.1:5141
$ echo "a line" >/dev/tcp/127.0.0.1/5141
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from falco_plugin import Plugin


class TcpLines(Plugin):
    """Lines that are received over TCP"""

    name = event_source = "tcp_lines"
    id = 1_734_560_014

    async def open(self, params: str) -> AsyncIterator[bytes]:
        """Yields the lines of all connections. ``params`` is an address, such as ``127.0.0.1:5141``."""
        lines: asyncio.Queue[bytes] = asyncio.Queue(maxsize=1000)  # clients wait while it is full

        async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while line := await reader.readline():
                    await lines.put(line.rstrip(b"\r\n"))
            except (OSError, ValueError) as error:  # ValueError: the line exceeds the limit of 64 KiB
                self.log.warning("a connection was closed: %s", error)
            finally:
                writer.close()

        host, _, port = params.rpartition(":")
        server = await asyncio.start_server(receive, host, int(port))
        self.log.info("listening on port %d", server.sockets[0].getsockname()[1])
        try:
            while True:
                yield await lines.get()
        finally:  # when Falco closes the source, the generator is cancelled
            server.close()
