"""What is done with a request: checked, its body split into events, and these queued for Falco."""

from __future__ import annotations

import re
import time
from email import errors
from email.message import Message
from http import HTTPStatus

from falco_plugin.source import ChannelClosedError, ChannelFullError, Sender

from .events import Events
from .reports import Reports

_DELIVERY_TIMEOUT = 5.0
_RETRY_AFTER = "5"
_MALFORMED = (errors.FirstHeaderLineIsContinuationDefect, errors.MissingHeaderBodySeparatorDefect)
_LINES = re.compile(r"application/(x-)?(ndjson|ldjson|jsonl|jsonlines|json-stream|stream\+json)")
# Also types such as application/problem+json.
_JSON = re.compile(r"(application|text)/(.*[+.-])?(nd|ld)?json.*")
_WIDE = re.compile(r"utf[-_]?(7|16|32)|(iso-10646-)?ucs")


class Refusal(Exception):
    """A request is not taken.

    Args:
        status: what the client gets.
        reason: for client and operator. It is counted by this text; nothing of the request may be in it.
        headers: for the client.
    """

    def __init__(self, status: HTTPStatus, reason: str, **headers: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = headers


class Endpoint:
    """The path to which events are sent. Its methods run in the threads of all connections at once."""

    def __init__(self, path: str, max_body: int, events: Events, sender: Sender, reports: Reports) -> None:
        self._path = path
        self._max_body = max_body
        self._events = events
        self._behind = False
        self.sender = sender
        self.reports = reports

    def length_of(self, path: str, headers: Message) -> int:
        """Checks a request, and returns how long its body is.

        Raises:
            Refusal: the request is not taken.
        """
        # A proxy may interpret such headers differently, and see the body end elsewhere.
        is_folded = any(character in value for value in headers.values() for character in "\r\n")
        if is_folded or any(isinstance(defect, _MALFORMED) for defect in headers.defects):
            raise Refusal(HTTPStatus.BAD_REQUEST, "malformed headers")
        # Clients of Kubernetes add a query, their time limit.
        if path.partition("?")[0] != self._path:
            raise Refusal(HTTPStatus.NOT_FOUND, "unknown path")
        if not _JSON.fullmatch(headers.get_content_type()):
            raise _unreadable("the Content-Type is not JSON: send application/json")
        if _WIDE.match(headers.get_content_charset("")):
            raise _unreadable("the body is UTF-16 or UTF-32: send UTF-8")
        if headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise _unreadable("the body is compressed: send it without compression")
        lengths = headers.get_all("Content-Length")
        if lengths is None or "Transfer-Encoding" in headers:
            raise Refusal(HTTPStatus.LENGTH_REQUIRED, "no Content-Length")
        # Of two lengths a proxy in front may have gone by the other one.
        length = lengths[0]
        if len(lengths) > 1 or not (length.isascii() and length.isdigit()):
            raise Refusal(HTTPStatus.BAD_REQUEST, "malformed Content-Length")
        if len(length) > 18 or int(length) > self._max_body:
            raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "a body larger than webhookMaxBatchSize")
        return int(length)

    def take(self, headers: Message, body: bytes) -> None:
        """Returns when Falco has taken the events and come back for more.

        Raises:
            Refusal: Falco has taken none or only some of them, or this is not known.
        """
        try:
            events = self._events.of(body, lines=_LINES.fullmatch(headers.get_content_type()) is not None)
        except ValueError as problem:
            raise Refusal(HTTPStatus.BAD_REQUEST, f"a body: {problem}") from None
        if not events:
            return
        end = time.monotonic() + _DELIVERY_TIMEOUT
        try:
            # A clone can still learn what was taken when the server has closed its own sender.
            sender = self.sender.clone()
        except ChannelClosedError:
            raise _closing() from None
        try:
            # While Falco is behind, nothing is queued: a batch that is sent again would be delivered again, each time.
            if self._behind and not sender.flush(_until(end)):
                raise _try_again("Falco is behind")
            sender.send_many(events, timeout=_until(end))
            self._behind = not sender.flush(_until(end))
        except ChannelFullError:
            self._behind = True
        except ChannelClosedError:
            raise _closing() from None
        finally:
            sender.close()
        if self._behind:
            raise _try_again("Falco is behind")


def _until(end: float) -> float:
    return max(0.0, end - time.monotonic())


def _unreadable(reason: str) -> Refusal:
    return Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, reason)


def _try_again(reason: str) -> Refusal:
    return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, reason, Retry_After=_RETRY_AFTER)


def _closing() -> Refusal:
    return _try_again("the source is closing")
