"""Decompresses the content of a file, also if it is damaged.

The package isal needs about half the time of ``zlib``.
"""

from __future__ import annotations

from typing import cast

from isal import isal_zlib

_MAGIC = b"\x1f\x8b"
_FORMAT = 16 + isal_zlib.MAX_WBITS
# The type stubs of isal declare an exception instead of a class.
_FAULT = cast("type[Exception]", isal_zlib.error)
_STEP = 256
"""Bytes of a damaged stream that are decompressed in one step. The output of the step with the fault is lost."""
_LARGEST = 512 << 20
"""Bytes of the largest content. Files of CloudTrail have some megabytes; a crafted one must not use up the memory."""


def inflate(data: bytes) -> tuple[bytes, str | None]:
    """Returns the content of a file, and why it is not complete, or ``None``.

    Data that is not gzip is returned unchanged. Several gzip streams in a row are one content, as for ``gzip``.
    """
    if not data.startswith(_MAGIC):
        return data, None
    parts: list[bytes] = []
    rest = data
    left = _LARGEST
    while rest.startswith(_MAGIC):
        stream = isal_zlib.decompressobj(_FORMAT)
        try:
            parts.append(stream.decompress(rest, left))
        except _FAULT:
            return b"".join([*parts, *_readable(rest, left)]), "the gzip data is damaged: copy the file again"
        left -= len(parts[-1])
        if stream.unconsumed_tail or left <= 0:
            return b"".join(parts), f"is larger than {_LARGEST} bytes uncompressed: split it"
        if not stream.eof:
            return b"".join(parts), "the gzip data is truncated: copy the file again"
        rest = stream.unused_data
    return parts[0] if len(parts) == 1 else b"".join(parts), None


def _readable(data: bytes, left: int) -> list[bytes]:
    """Returns the content before the fault of a damaged stream."""
    stream = isal_zlib.decompressobj(_FORMAT)
    parts: list[bytes] = []
    try:
        for start in range(0, len(data), _STEP):
            parts.append(stream.decompress(data[start : start + _STEP], max(left, 1)))
            left -= len(parts[-1])
    except _FAULT:
        pass
    return parts
