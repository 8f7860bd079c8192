"""Handles a request: checks it, splits its body into events, and delivers them to Falco."""

from __future__ import annotations

import re
import time
from email import errors
from email.message import Message
from http import HTTPStatus

from falco_plugin.source import ChannelClosedError, ChannelFullError, Sender

from .events import Events
from .rejections import Rejection, RejectionLog

_DELIVERY_TIMEOUT = 5.0
_RETRY_AFTER = "5"
_MALFORMED = (errors.FirstHeaderLineIsContinuationDefect, errors.MissingHeaderBodySeparatorDefect)
_LINES = re.compile(r"application/(x-)?(ndjson|ldjson|jsonl|jsonlines|json-stream|stream\+json)")
# Also types such as application/problem+json.
_JSON = re.compile(r"(application|text)/(.*[+.-])?(nd|ld)?json.*")
_WIDE = re.compile(r"utf[-_]?(7|16|32)|(iso-10646-)?ucs")


class Endpoint:
    """The path to which API servers send events. The threads of all connections call its methods concurrently."""

    def __init__(self, path: str, max_body: int, events: Events, sender: Sender, rejections: RejectionLog) -> None:
        self._path = path
        self._max_body = max_body
        self._events = events
        self._is_behind = False
        self.sender = sender
        self.rejections = rejections

    def length_of(self, path: str, headers: Message) -> int:
        """Checks the headers of a request, and returns the length of its body.

        Raises:
            Rejection: the request is rejected.
        """
        # A proxy may interpret such headers differently, and see the body end elsewhere.
        is_folded = any(character in value for value in headers.values() for character in "\r\n")
        if is_folded or any(isinstance(defect, _MALFORMED) for defect in headers.defects):
            raise Rejection(HTTPStatus.BAD_REQUEST, "malformed headers")
        # API servers add a query with their timeout.
        if path.partition("?")[0] != self._path:
            raise Rejection(HTTPStatus.NOT_FOUND, "unknown path")
        if not _JSON.fullmatch(headers.get_content_type()):
            raise _unreadable("the Content-Type is not JSON: send application/json")
        if _WIDE.match(headers.get_content_charset("")):
            raise _unreadable("the body is UTF-16 or UTF-32: send UTF-8")
        if headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise _unreadable("the body is compressed: send it without compression")
        lengths = headers.get_all("Content-Length")
        if lengths is None or "Transfer-Encoding" in headers:
            raise Rejection(HTTPStatus.LENGTH_REQUIRED, "Content-Length is missing")
        # If there are two lengths, a proxy may have used the other one.
        length = lengths[0]
        if len(lengths) > 1 or not (length.isascii() and length.isdigit()):
            raise Rejection(HTTPStatus.BAD_REQUEST, "malformed Content-Length")
        if len(length) > 18 or int(length) > self._max_body:
            raise Rejection(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is larger than webhookMaxBatchSize")
        return int(length)

    def deliver(self, headers: Message, body: bytes) -> None:
        """Sends the events of a body, and returns when Falco has processed them and asks for more.

        Raises:
            Rejection: the body has no events, or it is not certain that Falco has processed all of them.
        """
        try:
            events = self._events.split(body, lines=_LINES.fullmatch(headers.get_content_type()) is not None)
        except ValueError as problem:
            raise Rejection(HTTPStatus.BAD_REQUEST, f"the body {problem}") from None
        if not events:
            return
        end = time.monotonic() + _DELIVERY_TIMEOUT
        try:
            # A clone can still flush after the server has closed its own sender.
            sender = self.sender.clone()
        except ChannelClosedError:
            raise _closing() from None
        try:
            # Do not queue while Falco is behind: each attempt of a client would add the same batch again.
            if self._is_behind and not sender.flush(_seconds_until(end)):
                raise _try_again("Falco is behind")
            sender.send_many(events, timeout=_seconds_until(end))
            self._is_behind = not sender.flush(_seconds_until(end))
        except ChannelFullError:
            self._is_behind = True
        except ChannelClosedError:
            raise _closing() from None
        finally:
            sender.close()
        if self._is_behind:
            raise _try_again("Falco is behind")


def _seconds_until(end: float) -> float:
    return max(0.0, end - time.monotonic())


def _unreadable(reason: str) -> Rejection:
    return Rejection(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, reason)


def _try_again(reason: str) -> Rejection:
    return Rejection(HTTPStatus.SERVICE_UNAVAILABLE, reason, Retry_After=_RETRY_AFTER)


def _closing() -> Rejection:
    return _try_again("the source is closing")
