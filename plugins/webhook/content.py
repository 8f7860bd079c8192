"""Splits a body into events, by its Content-Type or by its content."""

from __future__ import annotations

import re
from http import HTTPStatus

from falco_plugin.source import split_json

from .rejections import Rejection

_LINES = re.compile(rb"application/(x-)?(ndjson|ldjson|jsonl|jsonlines|json-stream|stream\+json)")
# Formats that are text, also as the suffix of a type such as application/problem+json. A missing type means text.
_TEXT = re.compile(
    rb"|text/.*|application/(.*[+.-])?((nd|ld)?json.*|xml|ya?ml|csp-report)",
)
_FORM = b"application/x-www-form-urlencoded"
# The defaults of clients whose user sets no type: curl and urllib send a form, aiohttp sends bytes.
_UNDECIDED = {_FORM, b"application/octet-stream"}
_FORMS = {_FORM, b"multipart/form-data"}

_SPACE = rb"(?:[\x00-\x20]|\xef\xbb\xbf)*+"
_JSON = re.compile(
    _SPACE + rb"(?:\{" + _SPACE + rb'["}]|\[' + _SPACE + rb'[\[{\]"\-0-9tfn])',
)
_WIDE_CHARSET = re.compile(rb';\s*charset\s*=\s*"?\s*(utf[-_]?(7|16|32)|(iso-10646-)?ucs)', re.IGNORECASE)
# Byte order marks, or the NULs that UTF-16 and UTF-32 have in every ASCII character.
_WIDE = re.compile(rb"\xff\xfe|\xfe\xff|\x00\x00\xfe\xff|[\x00-\x20]*+[\x21-\x7e]\x00")
_COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")


def check_type(content_type: bytes, encoding: bytes) -> None:
    """Checks the headers before the body is read.

    Raises:
        Rejection: rules could not read the body.
    """
    if encoding.strip().lower() not in {b"", b"identity"}:
        raise _compressed()
    media = _media(content_type)
    if media not in _UNDECIDED and not _TEXT.fullmatch(media):
        raise _unreadable(media)
    if _WIDE_CHARSET.search(content_type):
        raise _wide()


def events_of(content_type: bytes, body: bytes) -> list[bytes]:
    """Returns the events in a body whose headers were checked by ``check_type``.

    Raises:
        Rejection: rules could not read the body.
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


def _unreadable(media: bytes) -> Rejection:
    if media in _FORMS:
        return _rejection(
            "the body is a form, which rules cannot read: send JSON with Content-Type: application/json"
            " (GitHub: choose the content type application/json)"
        )
    return _rejection(
        "rules cannot read this Content-Type: send JSON with Content-Type: application/json, or text with text/plain"
    )


def _wide() -> Rejection:
    return _rejection("the body is UTF-16 or UTF-32, which rules cannot read: send UTF-8")


def _compressed() -> Rejection:
    return _rejection("the body is compressed, which rules cannot read: send it without compression")


def _rejection(reason: str) -> Rejection:
    return Rejection(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, reason)
