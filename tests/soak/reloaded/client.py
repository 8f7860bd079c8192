"""An async generator that polls a server with httpx. Each `open` creates a new client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from falco_plugin import Context, Plugin


class Client(Plugin):
    """Numbers from a server"""

    name = event_source = "reloaded_client"
    id = 1073741904

    async def open(self, params: str, context: Context) -> AsyncIterator[bytes | None]:
        url, path = params.split()
        cursor = Path(path)
        number = int(cursor.read_text()) if cursor.exists() else 0
        async with httpx.AsyncClient() as client:
            while True:
                answer = await client.get(url, params={"after": number})
                for line in answer.text.splitlines():
                    yield line.encode()
                    number += 1
                yield None
                cursor.write_text(str(number))
                await asyncio.sleep(0.005)
