"""Handles a request: checks it, reads its body, verifies it, and delivers its events."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from falco_plugin import source
from falco_plugin.errors import ChannelClosedError
from falco_plugin.receiving.address import HEALTH_PATH, decode_path
from falco_plugin.receiving.body import too_large
from falco_plugin.receiving.delivery import Delivery, closing
from falco_plugin.receiving.head import Head
from falco_plugin.receiving.request import Rejection, Request

if TYPE_CHECKING:
    from falco_plugin.receiving.config import ReceiverConfig
    from falco_plugin.receiving.receiver import HttpReceiver
    from falco_plugin.source import Sender

_Result = TypeVar("_Result")


class Accepted(NamedTuple):
    """The answer 200."""

    text: str
    is_from_sender: bool
    """Whether the request was verified, if the receiver verifies requests. A health check is not."""


class Endpoint:
    """The paths of the receiver and of its health check. The threads of all connections call its methods.

    Args:
        plugin: checks requests, and makes events of them.
        path: the path of the receiver.
        config: the limits, and the secrets of the senders.
        delivery: passes the events to Falco.
    """

    def __init__(self, plugin: HttpReceiver, path: str, config: ReceiverConfig, delivery: Delivery) -> None:
        self._plugin = plugin
        self._path = path
        self._event_size = config.event_size
        self.max_body: int = config.max_body
        self._config = config
        self._delivery = delivery
        self._logged: set[str] = set()

    def handle(self, head: Head, client: str, read_body: Callable[[], bytes], sender: Callable[[], Sender]) -> Accepted:
        """Handles a request, and returns the answer 200.

        Args:
            head: the request up to its body.
            client: the IP address of the client.
            read_body: reads the body, once.
            sender: returns the sender of the connection. It raises ``ChannelClosedError`` if the source has ended.

        Raises:
            Rejection: the request is rejected.
            Incomplete: the client closed the connection.
        """
        path = decode_path(head.path)
        if path == HEALTH_PATH:
            _allow(head.method, "GET", "HEAD")
            if self._delivery.sender.closed:
                raise closing()
            return Accepted("ok\n", is_from_sender=False)
        if path != self._path:
            raise Rejection(HTTPStatus.NOT_FOUND, "unknown path")
        _allow(head.method, "POST")
        if not head.declares_body:
            raise Rejection(HTTPStatus.LENGTH_REQUIRED, "Content-Length is missing")
        request = Request(head.method, path, head.query, head.headers, client)
        self._call("check", lambda: self._plugin.check(request))
        if head.length is not None and head.length > self.max_body:
            raise too_large(self.max_body)
        request = replace(request, body=read_body())
        if secrets := self._read_secrets():
            self._call("verify", lambda: self._plugin.verification.verify(request, secrets))
        with self._delivery.admit(len(request.body)):
            events, is_complete = self._call("events", lambda: self._events_of(request))
            if events:
                try:
                    self._delivery.deliver(sender(), events)
                except ChannelClosedError:
                    raise closing() from None
        if not is_complete:
            others = "; the others were delivered" if events else ""
            raise Rejection(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"an event is larger than {self._event_size} bytes{others}"
            )
        self._plugin.accepted_requests.add()
        return Accepted("", is_from_sender=True)

    def clone_sender(self) -> Sender:
        """Returns a sender for one connection.

        Raises:
            ChannelClosedError: the source was closed.
        """
        return self._delivery.sender.clone()

    def _read_secrets(self) -> list[bytes]:
        try:
            return self._config.secrets()
        except ValueError as error:
            # The file was removed while Falco runs. The client may try again when it is back.
            self._log_once(str(error), str(error))
            raise Rejection(HTTPStatus.SERVICE_UNAVAILABLE, "the secret cannot be read", Retry_After="60") from None

    def _events_of(self, request: Request) -> tuple[list[bytes | source.PushEvent], bool]:
        """Returns the events that are not too large, and whether these are all.

        Most senders do not repeat a request that was answered with 413. A large event must not hide those beside it.
        """
        events: list[bytes | source.PushEvent] = []
        is_complete = True
        # Check all of them before the first is sent: a rejected request delivers no event.
        for item in self._plugin.events(request):
            data, timestamp = item if isinstance(item, tuple) else (item, None)
            if not isinstance(data, bytes | bytearray | memoryview):
                raise TypeError(f"events must yield bytes or (bytes, timestamp), got {type(data).__name__}")
            size = data.nbytes if isinstance(data, memoryview) else len(data)
            if size > self._event_size:
                is_complete = False
                continue
            # PushEvent checks the timestamp. Do without one where possible: there may be many small events.
            events.append(data if type(data) is bytes and timestamp is None else source.PushEvent(data, timestamp))
        return events, is_complete

    def _call(self, method: str, call: Callable[[], _Result]) -> _Result:
        """Calls user code. An exception other than a rejection is answered with 500, and logged once for each cause.

        Otherwise any client that can cause it could fill Falco's log.
        """
        try:
            return call()
        except Rejection:
            raise
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            cause = f"{type(error).__name__} at {frame.filename}:{frame.lineno}"
            self._log_once(cause, f"{method} failed, so a request was answered with 500", error)
            raise Rejection(HTTPStatus.INTERNAL_SERVER_ERROR, f"{method} of the plugin failed") from None

    def _log_once(self, cause: str, message: str, error: Exception | None = None) -> None:
        if cause not in self._logged:
            self._logged.add(cause)
            self._plugin.log.error(message, exc_info=error)


def _allow(method: str, *methods: str) -> None:
    if method not in methods:
        raise Rejection(HTTPStatus.METHOD_NOT_ALLOWED, "method not allowed", Allow=", ".join(methods))
