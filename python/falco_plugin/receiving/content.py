"""Splits a body into events, by its Content-Type or by its content."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http import HTTPStatus

from falco_plugin.receiving.request import Rejection, Request
from falco_plugin.source import split_json

# Formats that are text, also as the suffix of a type such as application/problem+json. A missing type means text.
_TEXT = re.compile(r"|text/.*|application/(.*[+.-])?((nd|ld)?json.*|xml|ya?ml|csp-report)")
_FORM = "application/x-www-form-urlencoded"
# The defaults of clients whose user sets no type: curl and urllib send a form, aiohttp sends bytes.
_UNDECIDED = {_FORM, "application/octet-stream"}
_FORMS = {_FORM, "multipart/form-data"}

_SPACE = rb"(?:[\x00-\x20]|\xef\xbb\xbf)*+"
_JSON = re.compile(
    _SPACE + rb"(?:\{" + _SPACE + rb'["}]|\[' + _SPACE + rb'[\[{\]"\-0-9tfn])',
)
_WIDE_CHARSET = re.compile(r"utf[-_]?(7|16|32)|(iso-10646-)?ucs", re.IGNORECASE)
# Byte order marks, or the NULs that UTF-16 and UTF-32 have in every ASCII character.
_WIDE = re.compile(rb"\xff\xfe|\xfe\xff|\x00\x00\xfe\xff|[\x00-\x20]*+[\x21-\x7e]\x00")
_COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")


def check_type(request: Request) -> None:
    """Checks the headers before the body is read.

    Raises:
        Rejection: rules could not read the body.
    """
    if request.headers.get("content-encoding", "").lower() not in {"", "identity"}:
        raise _compressed()
    media = request.media_type
    if media not in _UNDECIDED and not _TEXT.fullmatch(media):
        raise _unreadable(media)
    if any(map(_WIDE_CHARSET.match, _charsets(request.headers.get("content-type", "")))):
        raise _wide()


def events_of(request: Request) -> list[bytes]:
    """Returns the events in the body of a request whose headers were checked by ``check_type``.

    Raises:
        Rejection: the body is empty, or rules could not read it.
    """
    body = request.body
    media = request.media_type
    if body.startswith(_COMPRESSED):
        raise _compressed()
    if _WIDE.match(body):
        raise _wide()
    if media in _UNDECIDED and body and not _JSON.match(body):
        raise _unreadable(media)
    events = split_json(body, lines=request.has_lines)
    if not events:
        raise Rejection(HTTPStatus.BAD_REQUEST, "the body is empty: send a JSON document")
    return events


def _charsets(content_type: str) -> Iterator[str]:
    """Yields the values of the parameter ``charset``."""
    # Not with a regular expression: its backtracking could take seconds for many blanks.
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            yield value.strip().removeprefix('"').lstrip()


def _unreadable(media: str) -> Rejection:
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
