"""The records of an answer."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import msgspec

from falco_plugin import Event, source

_BLANK = bytes(range(0x21))
"""Blanks and control characters, which count as white space in damaged JSON."""

_page = msgspec.json.Decoder(list[msgspec.Raw])
_record = msgspec.json.Decoder(dict[str, msgspec.Raw])
_id = msgspec.json.Decoder(str | int)
_string = msgspec.json.Decoder(str)


class Record(NamedTuple):
    """One entry of the audit log."""

    data: bytes
    """The JSON of the record unchanged, except for white space between values."""
    id: str
    time: str | None
    """The time of the record: a string unquoted, any other value as JSON, or ``None`` if it is missing."""


def parse(body: bytes, id_field: str, timestamp_field: str) -> list[Record]:
    """Reads an array of objects. A fault within a record costs at most the value that it is in.

    Raises:
        ValueError: the body is not an array of objects. The message does not quote the body.
    """
    # White space and a byte order mark may precede the array.
    body = body.lstrip(b"\xef\xbb\xbf" + _BLANK)
    try:
        return [_read(bytes(raw), id_field, timestamp_field) for raw in _page.decode(body)]
    except (ValueError, RecursionError) as error:
        if (damaged := _split(body)) is None:
            raise ValueError(_cause(error)) from None
        return [_read_damaged(raw, id_field, timestamp_field) for raw in damaged]


def _cause(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


def _split(body: bytes) -> list[bytes] | None:
    """Returns the elements of an array that holds nothing but objects and is not cut off; else ``None``."""
    text = body.strip(_BLANK)
    if text[:1] != b"[" or text[-1:] != b"]":
        return None
    found = source.split_json(text)
    return None if found == [text] else found


def _read(raw: bytes, id_field: str, timestamp_field: str) -> Record:
    # Not decoded and encoded again, which would change numbers and escapes.
    data = msgspec.json.format(raw, indent=-1)
    fields = _record.decode(data)
    return Record(data, _id_of(fields.get(id_field), data), _text_of(fields.get(timestamp_field)))


def _read_damaged(raw: bytes, id_field: str, timestamp_field: str) -> Record:
    """Reads a record of a page that is not valid JSON, as far as fields of rules can be read from it."""
    try:
        return _read(raw, id_field, timestamp_field)
    except (ValueError, RecursionError):
        pass
    try:
        found = Event(raw).json
    except ValueError:
        found = None
    if not isinstance(found, dict):
        # For example an extra bracket. It is still delivered as an event.
        return Record(raw, _hash(raw), None)
    value, time = found.get(id_field), found.get(timestamp_field)
    # Invalid bytes are replaced, so different ids may look the same.
    is_id = isinstance(value, str | int) and not isinstance(value, bool)
    id = str(value) if is_id and value != "" and "\ufffd" not in str(value) else _hash(raw)
    return Record(raw, id, None if time is None else str(time))


def _id_of(value: msgspec.Raw | None, data: bytes) -> str:
    if value is not None:
        try:
            # Records with an empty id are distinguished by their content.
            return str(_id.decode(value)) or _hash(data)
        except msgspec.ValidationError:
            pass
    return _hash(data)


def _hash(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _text_of(value: msgspec.Raw | None) -> str | None:
    if value is None:
        return None
    # Numbers stay text: a float is not exact.
    text = bytes(value).decode(errors="replace")
    if text == "null":
        return None
    try:
        return _string.decode(text)
    except msgspec.DecodeError:
        return text
