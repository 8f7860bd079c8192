"""Reads the body of an answer, up to a limit.

httpx would decompress each received part as a whole, and several times if the answer asks for it. A few kilobytes could
then fill the memory of Falco.
"""

from __future__ import annotations

import zlib

import httpx

ACCEPTED = "gzip"
"""The value of ``Accept-Encoding``."""

_GZIP = 31
"""The argument ``wbits`` of zlib for the format gzip."""


class UnreadableBody(Exception):
    """The body is damaged, cut off, or compressed in a way that was not requested."""


async def read_content(response: httpx.Response, limit: int) -> bytes:
    """Returns the body, decompressed. It is cut to ``limit + 1`` bytes if it is larger than the limit.

    Raises:
        UnreadableBody: the body cannot be decompressed.
        httpx.HTTPError: the connection failed.
    """
    coding = response.headers.get("Content-Encoding", "").strip().lower()
    if coding not in {"", "identity", "gzip", "x-gzip"}:
        raise UnreadableBody("is compressed in another way than gzip")
    is_compressed = coding in {"gzip", "x-gzip"}
    body = bytearray()
    member = zlib.decompressobj(_GZIP)
    is_cut = False
    async for part in response.aiter_raw():
        if not is_compressed:
            body += part[: limit + 1 - len(body)]
        while is_compressed and part and len(body) <= limit:
            if member.eof:
                member = zlib.decompressobj(_GZIP)
            try:
                body += member.decompress(part, limit + 1 - len(body))
            except zlib.error:
                raise UnreadableBody("is damaged gzip") from None
            is_cut = not member.eof
            part = member.unused_data
        if len(body) > limit:
            return bytes(body)
    if is_cut:
        raise UnreadableBody("is gzip that is cut off")
    return bytes(body)
