"""The records of an answer."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TO_NANOSECONDS = 1_000_000

_page = msgspec.json.Decoder(list[msgspec.Raw])
_record = msgspec.json.Decoder(dict[str, msgspec.Raw])
_id = msgspec.json.Decoder(str | int)
_time = msgspec.json.Decoder(datetime | int | float)


class Record(NamedTuple):
    """One entry of the audit log."""

    data: bytes
    """Its JSON as it came, without white space between its parts."""
    id: str
    timestamp: int | None
    """When it happened, in nanoseconds since the epoch; ``None`` where the record does not say."""


def parse(body: bytes, id_field: str, timestamp_field: str) -> list[Record]:
    """Reads an array of objects.

    Raises:
        ValueError: it is something else. Nothing of the content is in its text.
    """
    try:
        return [_read(bytes(raw), id_field, timestamp_field) for raw in _page.decode(body)]
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None


def _read(raw: bytes, id_field: str, timestamp_field: str) -> Record:
    # Not decoded and encoded again, which would change numbers and escapes.
    data = msgspec.json.format(raw, indent=-1)
    fields = _record.decode(data)
    return Record(data, _id_of(fields.get(id_field), data), _nanoseconds(fields.get(timestamp_field)))


def _id_of(value: msgspec.Raw | None, data: bytes) -> str:
    if value is not None:
        try:
            return str(_id.decode(value))
        except msgspec.ValidationError:
            pass
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _nanoseconds(value: msgspec.Raw | None) -> int | None:
    if value is None:
        return None
    try:
        time = _time.decode(value)
    except msgspec.ValidationError:
        return None
    if isinstance(time, datetime):
        since = (time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH
        nanoseconds = since // timedelta(microseconds=1) * 1_000
    elif abs(time) < 1 << 63:
        nanoseconds = int(time * _TO_NANOSECONDS)
    else:
        return None
    return nanoseconds if 0 <= nanoseconds < 1 << 63 else None
