"""Handles a request: checks it, reads its body, delivers its events, and answers."""

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
from .rejections import Rejection, RejectionLog

_RETRY_AFTER = "10"


class Endpoint:
    """The paths of the hook and of its health check. All worker threads call its methods concurrently."""

    def __init__(
        self, path: bytes, config: Config, secrets: list[bytes], sender: Sender, rejections: RejectionLog
    ) -> None:
        """Accepts requests without a signature if ``secrets`` is empty."""
        self._path = path
        self._config = config
        self._secrets = secrets
        self._signature_header = config.signature_header.title().encode()
        self._sender = sender
        self._thread = threading.local()
        self._is_behind = False
        self.rejections = rejections

    def handle(self, request: Any) -> str:
        """Handles a request, and returns the text of the answer 200.

        Raises:
            Rejection: the request is rejected.
            Incomplete: the client closed the connection.
        """
        request.conn.unread = length_of(request) != 0
        if request.path == HEALTH_PATH:
            _allow(request, b"GET", b"HEAD")
            if self._sender.closed:
                raise _closing()
            return "ok"
        if request.path != self._path:
            raise Rejection(HTTPStatus.NOT_FOUND, "unknown path")
        _allow(request, b"POST")
        content_type: bytes = request.inheaders.get(b"Content-Type", b"")
        check_type(content_type, request.inheaders.get(b"Content-Encoding", b""))
        signature = self._signature(request)
        body = self._read(request)
        self._check_signature(signature, body)
        self._deliver(self._events(content_type, body))
        return "accepted"

    def _signature(self, request: Any) -> bytes:
        signature: bytes = request.inheaders.get(self._signature_header, b"")
        if self._secrets and not signature:
            raise Rejection(HTTPStatus.UNAUTHORIZED, "the signature is missing")
        return signature

    def _read(self, request: Any) -> bytes:
        try:
            body = read_body(request, self._config.max_body)
        except TimeoutError:
            raise Rejection(HTTPStatus.REQUEST_TIMEOUT, "the request took longer than request_timeout") from None
        except ConnectionAbortedError:
            raise _closing() from None
        except OSError:
            raise Incomplete from None
        request.conn.unread = False
        return body

    def _check_signature(self, signature: bytes, body: bytes) -> None:
        if not self._secrets:
            return
        digest = signature.strip().lower().removeprefix(b"sha256=")
        # Compare with all secrets, so that the time does not reveal which one matched.
        matches = [
            hmac.compare_digest(digest, hmac.new(secret, body, hashlib.sha256).hexdigest().encode())
            for secret in self._secrets
        ]
        if not any(matches):
            raise Rejection(HTTPStatus.UNAUTHORIZED, "the signature matches no secret")

    def _events(self, content_type: bytes, body: bytes) -> list[bytes]:
        events = events_of(content_type, body)
        if not events:
            raise Rejection(HTTPStatus.BAD_REQUEST, "the body is empty: send a JSON document")
        if max(map(len, events)) > self._config.event_size:
            raise Rejection(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "an event is larger than event_size")
        return events

    def _deliver(self, events: list[bytes]) -> None:
        """Sends events, and returns when Falco has processed them and asks for more.

        Raises:
            Rejection: Falco did not process all events within ``delivery_timeout``, or the source is closing.
        """
        end = time.monotonic() + self._config.delivery_timeout
        try:
            sender = self._thread_sender()
            # Do not queue while Falco is behind: each attempt of a client would add the same events again.
            if self._is_behind and not sender.flush(_seconds_until(end)):
                raise _try_again("Falco is behind: no event was delivered")
            sender.send_many(events, timeout=_seconds_until(end))
            self._is_behind = not sender.flush(_seconds_until(end))
        except ChannelFullError as error:
            self._is_behind = True
            if error.taken:
                raise _try_again("Falco is behind: some of the events may still be delivered") from None
            raise _try_again("Falco is behind: no event was delivered") from None
        except ChannelClosedError:
            raise _closing() from None
        if self._is_behind:
            raise _try_again("Falco is behind: all of the events may still be delivered")

    def _thread_sender(self) -> Sender:
        """Returns this thread's clone of the sender.

        Raises:
            ChannelClosedError: the source was closed.
        """
        if self._sender.closed:
            raise ChannelClosedError
        if not hasattr(self._thread, "sender"):
            self._thread.sender = self._sender.clone()
        sender: Sender = self._thread.sender
        return sender


class Exchange(Gateway):
    """Answers one request (cheroot's gateway)."""

    def __init__(self, endpoint: Endpoint, request: Any) -> None:
        super().__init__(request)
        self._endpoint = endpoint

    def respond(self) -> None:
        try:
            self._answer(HTTPStatus.OK, self._endpoint.handle(self.req))
        except Rejection as rejection:
            self._endpoint.rejections.count(rejection.reason, self.req.conn.remote_addr)
            self._answer(rejection.status, rejection.reason, **rejection.headers)
        except Incomplete:
            self.req.close_connection = True
            # Otherwise cheroot would send an answer itself, because none was sent.
            self.req.ready = False

    def _answer(self, status: HTTPStatus, text: str, **headers: str) -> None:
        body = f"{text}\n".encode()
        request = self.req
        request.status = f"{status.value} {status.phrase}".encode()
        headers = {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body)), **headers}
        request.outheaders = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        # The next bytes on the connection belong to this request's body, not to another request.
        request.close_connection |= request.conn.unread
        request.ensure_headers_sent()
        if request.method != b"HEAD":
            request.write(body)


def _allow(request: Any, *methods: bytes) -> None:
    if request.method not in methods:
        allowed = b", ".join(methods).decode()
        raise Rejection(HTTPStatus.METHOD_NOT_ALLOWED, "method not allowed", Allow=allowed)


def _seconds_until(end: float) -> float:
    return max(0.0, end - time.monotonic())


def _try_again(reason: str) -> Rejection:
    return Rejection(HTTPStatus.SERVICE_UNAVAILABLE, reason, Retry_After=_RETRY_AFTER)


def _closing() -> Rejection:
    return _try_again("the source is closing")
