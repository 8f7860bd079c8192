"""What is done with a request: checked, read, delivered, answered."""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from http import HTTPStatus
from typing import Any

from cheroot.server import Gateway

from falco_plugin.source import ChannelClosedError, ChannelFullError, Sender

from .address import HEALTH_PATH
from .body import Incomplete, length_of, read_body
from .config import Config
from .content import check_type, events_of
from .refusals import Refusal, Refusals

_RETRY_AFTER = "10"


class Endpoint:
    """One hook and its health. Its methods run in all worker threads at once."""

    def __init__(self, path: bytes, config: Config, secrets: list[bytes], sender: Sender, refusals: Refusals) -> None:
        """Without secrets, requests need no signature."""
        self._path = path
        self._config = config
        self._secrets = secrets
        self._signature_header = config.signature_header.title().encode()
        self._sender = sender
        self._thread = threading.local()
        self._behind = False
        self.refusals = refusals

    def take(self, request: Any) -> str:
        """Takes a request, and says what a client that is not refused is told.

        Raises:
            Refusal: it is not taken.
            Incomplete: the client has left.
        """
        request.conn.unread = length_of(request) != 0
        if request.path == HEALTH_PATH:
            _allow(request, b"GET", b"HEAD")
            if self._sender.closed:
                raise _closing()
            return "ok"
        if request.path != self._path:
            raise Refusal(HTTPStatus.NOT_FOUND, "unknown path")
        _allow(request, b"POST")
        content_type: bytes = request.inheaders.get(b"Content-Type", b"")
        check_type(content_type, request.inheaders.get(b"Content-Encoding", b""))
        signature = self._signature(request)
        body = self._read(request)
        self._check(signature, body)
        self._deliver(self._events(content_type, body))
        return "taken"

    def _signature(self, request: Any) -> bytes:
        signature: bytes = request.inheaders.get(self._signature_header, b"")
        if self._secrets and not signature:
            raise Refusal(HTTPStatus.UNAUTHORIZED, "no signature")
        return signature

    def _read(self, request: Any) -> bytes:
        try:
            body = read_body(request, self._config.max_body)
        except TimeoutError:
            raise Refusal(HTTPStatus.REQUEST_TIMEOUT, "the request took longer than request_timeout") from None
        except ConnectionAbortedError:
            raise _closing() from None
        except OSError:
            raise Incomplete from None
        request.conn.unread = False
        return body

    def _check(self, signature: bytes, body: bytes) -> None:
        if not self._secrets:
            return
        given = signature.strip().lower().removeprefix(b"sha256=")
        # All are compared, so that the time does not tell which one it was.
        matches = [
            hmac.compare_digest(given, hmac.new(secret, body, hashlib.sha256).hexdigest().encode())
            for secret in self._secrets
        ]
        if not any(matches):
            raise Refusal(HTTPStatus.UNAUTHORIZED, "bad signature")

    def _events(self, content_type: bytes, body: bytes) -> list[bytes]:
        events = events_of(content_type, body)
        if not events:
            raise Refusal(HTTPStatus.BAD_REQUEST, "the body is empty: send a JSON document")
        if max(map(len, events)) > self._config.event_size:
            raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "an event is larger than event_size")
        return events

    def _deliver(self, events: list[bytes]) -> None:
        """Returns when the host has taken the events and come back for more."""
        end = time.monotonic() + self._config.delivery_timeout
        try:
            sender = self._own_sender()
            # While the host is behind, nothing is queued: what clients send again would be delivered again, each time.
            if self._behind and not sender.flush(_until(end)):
                raise _try_again("the host is behind: nothing was taken")
            sender.send_many(events, timeout=_until(end))
            self._behind = not sender.flush(_until(end))
        except ChannelFullError as error:
            self._behind = True
            if error.taken:
                raise _try_again("the host is behind: a part was queued and may be delivered") from None
            raise _try_again("the host is behind: nothing was taken") from None
        except ChannelClosedError:
            raise _closing() from None
        if self._behind:
            raise _try_again("the host is behind: all was queued and may be delivered")

    def _own_sender(self) -> Sender:
        if self._sender.closed:
            raise ChannelClosedError
        if not hasattr(self._thread, "sender"):
            self._thread.sender = self._sender.clone()
        sender: Sender = self._thread.sender
        return sender


class Exchange(Gateway):
    """One request and its answer, in cheroot's terms."""

    def __init__(self, endpoint: Endpoint, request: Any) -> None:
        super().__init__(request)
        self._endpoint = endpoint

    def respond(self) -> None:
        try:
            self._answer(HTTPStatus.OK, self._endpoint.take(self.req))
        except Refusal as refusal:
            self._endpoint.refusals.count(refusal.reason, self.req.conn.remote_addr)
            self._answer(refusal.status, refusal.reason, **refusal.headers)
        except Incomplete:
            self.req.close_connection = True
            # There is no answer, so that none is missing either.
            self.req.ready = False

    def _answer(self, status: HTTPStatus, text: str, **headers: str) -> None:
        body = f"{text}\n".encode()
        request = self.req
        request.status = f"{status.value} {status.phrase}".encode()
        headers = {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body)), **headers}
        request.outheaders = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        # What follows on the connection is the rest of a body, not a request.
        request.close_connection |= request.conn.unread
        request.ensure_headers_sent()
        if request.method != b"HEAD":
            request.write(body)


def _allow(request: Any, *methods: bytes) -> None:
    if request.method not in methods:
        allowed = b", ".join(methods).decode()
        raise Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "method not allowed", Allow=allowed)


def _until(end: float) -> float:
    return max(0.0, end - time.monotonic())


def _try_again(reason: str) -> Refusal:
    return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, reason, Retry_After=_RETRY_AFTER)


def _closing() -> Refusal:
    return _try_again("the source is closing")
