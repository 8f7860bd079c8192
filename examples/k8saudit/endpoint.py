"""What is done with a request: checked, its body split into events, and these queued for Falco."""

from __future__ import annotations

from email.message import Message
from http import HTTPStatus

from falco_plugin.source import ChannelClosedError, ChannelFullError, Sender

from .events import Events
from .reports import Reports

_DELIVERY_TIMEOUT = 5.0
_RETRY_AFTER = "5"


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
        self.sender = sender
        self.reports = reports

    def length_of(self, path: str, headers: Message) -> int:
        """Checks a request, and says how long its body is.

        Raises:
            Refusal: it is not taken.
        """
        # Clients of Kubernetes add a query, their time limit.
        if path.partition("?")[0] != self._path:
            raise Refusal(HTTPStatus.NOT_FOUND, "unknown path")
        if headers.get_content_type() != "application/json":
            raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the Content-Type is not application/json")
        if headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body is compressed")
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

    def take(self, body: bytes) -> None:
        """Returns when the events wait for Falco.

        Raises:
            Refusal: they do not, or only some do.
        """
        try:
            events = self._events.of(body)
        except ValueError as problem:
            raise Refusal(HTTPStatus.BAD_REQUEST, f"a body: {problem}") from None
        try:
            self.sender.send_many(events, timeout=_DELIVERY_TIMEOUT)
        except ChannelFullError:
            raise _try_again("Falco is behind") from None
        except ChannelClosedError:
            raise _try_again("the source is closing") from None


def _try_again(reason: str) -> Refusal:
    return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, reason, Retry_After=_RETRY_AFTER)
