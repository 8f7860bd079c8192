"""The records of an answer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec

from falco_plugin import Event, source

_BLANK = bytes(range(0x21))
"""Blanks and control characters, which count as white space in damaged JSON."""

_array = msgspec.json.Decoder(list[msgspec.Raw])
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_id = msgspec.json.Decoder(str | int)
_string = msgspec.json.Decoder(str)


class Record(NamedTuple):
    """One entry of the audit log."""

    data: bytes
    """The JSON of the record unchanged, except for white space between values."""
    id: str
    time: str | None
    """The time of the record: a string unquoted, any other value as JSON, or ``None`` if it is missing."""


Path: TypeAlias = Sequence[str]
"""The names of the members that lead to a value."""


def path_of(field: str) -> Path:
    """Returns the path of a field that is given by the name of a member, or by a JSON pointer; empty for ``""``."""
    if not field.startswith("/"):
        return (field,) if field else ()
    return [token.replace("~1", "/").replace("~0", "~") for token in field[1:].split("/")]


def split(body: bytes, path: Path) -> list[bytes]:
    """Returns the elements of an array of objects, each as its JSON. A fault within an element is tolerated.

    Args:
        body: of an answer.
        path: of the array in the body.

    Raises:
        ValueError: there is no array of objects. The message does not quote the body.
    """
    # White space and a byte order mark may precede the value.
    body = body.lstrip(b"\xef\xbb\xbf" + _BLANK)
    try:
        array = msgspec.Raw(body)
        for name in path:
            array = _object.decode(array)[name]
        found = [bytes(raw) for raw in _array.decode(array)]
    except KeyError as error:
        raise ValueError(f"it has no member {error}") from None
    except (ValueError, RecursionError) as error:
        if (damaged := _split_damaged(body, path)) is None:
            raise ValueError(_cause(error)) from None
        return damaged
    for number, element in enumerate(found):
        if element[:1] != b"{":
            raise ValueError(f"Expected `object` - at `$[{number}]`")
    return found


def _cause(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


def _split_damaged(body: bytes, path: Path) -> list[bytes] | None:
    """Returns the elements of an array that holds nothing but objects and is not cut off; else ``None``."""
    text = body.strip(_BLANK)
    if len(path) > 1 or (text[:1], text[-1:]) != ((b"{", b"}") if path else (b"[", b"]")):
        return None
    found = source.split_json(text, items=path[0]) if path else source.split_json(text)
    # A text that does not hold such an array is returned as a whole.
    if found == [text] or (path and not all(element[:1] == b"{" for element in found)):
        return None
    return found


def read(raw: bytes, id_path: Path, time_path: Path) -> Record:
    """Reads a record, which may be damaged, as far as fields of rules can be read from it.

    Args:
        raw: the JSON of the record.
        id_path: of its id. If it is empty, or the record has no id, its content identifies it.
        time_path: of its time.
    """
    try:
        # Not decoded and encoded again, which would change numbers and escapes.
        data = msgspec.json.format(raw, indent=-1)
        fields = _object.decode(data)
        return Record(data, _id_of(_find(fields, id_path), data), _text_of(_find(fields, time_path)))
    except (ValueError, RecursionError):
        pass
    try:
        found = Event(raw).json
    except ValueError:
        found = None
    if not isinstance(found, dict):
        # For example an extra bracket. It is still delivered as an event.
        return Record(raw, _hash(raw), None)
    value, time = _find_damaged(found, id_path), _find_damaged(found, time_path)
    # Invalid bytes are replaced, so different ids may look the same.
    is_id = isinstance(value, str | int) and not isinstance(value, bool)
    id = str(value) if is_id and value != "" and "\ufffd" not in str(value) else _hash(raw)
    return Record(raw, id, None if time is None else str(time))


def _find(fields: dict[str, msgspec.Raw], path: Path) -> msgspec.Raw | None:
    if not path:
        return None
    value = fields.get(path[0])
    for name in path[1:]:
        if value is None or bytes(value)[:1] != b"{":
            return None
        value = _object.decode(value).get(name)
    return value


def _find_damaged(value: Any, path: Path) -> Any:
    if not path:
        return None
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


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
