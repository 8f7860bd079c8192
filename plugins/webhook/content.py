"""Finds the events in a body: by its Content-Type if that is decisive, else by the body itself."""

from __future__ import annotations

import re
from http import HTTPStatus

from falco_plugin.source import split_json

from .refusals import Refusal

_LINES = re.compile(rb"application/(x-)?(ndjson|ldjson|jsonl|jsonlines|json-stream|stream\+json)")
# Formats that are text, also as suffix of types such as application/problem+json. A body without a type is text, too.
_TEXT = re.compile(
    rb"|text/.*|application/(.*[+.-])?((nd|ld)?json.*|xml|ya?ml|csp-report)",
)
_FORM = b"application/x-www-form-urlencoded"
# Clients send one of these if their user sets no type: curl and urllib send a form, aiohttp bytes.
_UNDECIDED = {_FORM, b"application/octet-stream"}
_FORMS = {_FORM, b"multipart/form-data"}

_SPACE = rb"(?:[\x00-\x20]|\xef\xbb\xbf)*+"
_JSON = re.compile(
    _SPACE + rb"(?:\{" + _SPACE + rb'["}]|\[' + _SPACE + rb'[\[{\]"\-0-9tfn])',
)
_WIDE_CHARSET = re.compile(rb';\s*charset\s*=\s*"?\s*(utf[-_]?(7|16|32)|(iso-10646-)?ucs)', re.IGNORECASE)
# Byte order marks, or the NUL that UTF-16 and UTF-32 have in every character of ASCII.
_WIDE = re.compile(rb"\xff\xfe|\xfe\xff|\x00\x00\xfe\xff|[\x00-\x20]*+[\x21-\x7e]\x00")
_COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")


def check_type(content_type: bytes, encoding: bytes) -> None:
    """Checks the headers, before the body is read.

    Raises:
        Refusal: no rule could read the body.
    """
    if encoding.strip().lower() not in {b"", b"identity"}:
        raise _compressed()
    media = _media(content_type)
    if media not in _UNDECIDED and not _TEXT.fullmatch(media):
        raise _unreadable(media)
    if _WIDE_CHARSET.search(content_type):
        raise _wide()


def events_of(content_type: bytes, body: bytes) -> list[bytes]:
    """Returns the events in a body whose headers were checked.

    Raises:
        Refusal: no rule could read the body.
    """
    media = _media(content_type)
    if body.startswith(_COMPRESSED):
        raise _compressed()
    if _WIDE.match(body):
        raise _wide()
    if media in _UNDECIDED and body and not _JSON.match(body):
        raise _unreadable(media)
    return split_json(body, lines=_LINES.fullmatch(media) is not None)


def _media(content_type: bytes) -> bytes:
    return content_type.partition(b";")[0].strip().lower()


def _unreadable(media: bytes) -> Refusal:
    if media in _FORMS:
        return _refusal(
            "the body is a form, which no rule can read: send JSON with Content-Type: application/json"
            " (GitHub: choose the content type application/json)"
        )
    return _refusal(
        "the Content-Type is not one that rules can read: send JSON with Content-Type: application/json,"
        " or text with text/plain"
    )


def _wide() -> Refusal:
    return _refusal("the body is UTF-16 or UTF-32, which no rule can read: send UTF-8")


def _compressed() -> Refusal:
    return _refusal("the body is compressed, so that no rule can read it: send it without compression")


def _refusal(reason: str) -> Refusal:
    return Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, reason)
