"""Serves one connection: reads its requests, each with one time limit, and writes the answers."""

from __future__ import annotations

import errno
import io
import math
import socket
import time
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from falco_plugin.receiving.body import read_body
from falco_plugin.receiving.delivery import try_again
from falco_plugin.receiving.head import Head, Incomplete, read_head
from falco_plugin.receiving.request import Rejection

if TYPE_CHECKING:
    from falco_plugin.receiving.endpoint import Endpoint
    from falco_plugin.receiving.receiver import HttpReceiver
    from falco_plugin.source import Sender

_WRITE_TIMEOUT = 5.0
_IDLE_TIMEOUT = 120.0
"""Seconds that a connection may pause after an accepted POST. API servers of Kubernetes wait less for a batch."""
_LINGER = 1.0
"""Seconds in which the rest of a rejected request is read."""
_BUFFER = 64 << 10
_TLS_HANDSHAKE = b"\x16"
"""The first byte of a client that uses TLS. It would wait for an answer without ending its request line."""
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Connection:
    """One connection of a client. :meth:`serve` runs in the connection's thread.

    Args:
        connected: the socket. With TLS, its handshake was not made yet.
        client: the IP address of the client.
        plugin: counts the answers.
        endpoint: handles the requests.
        request_timeout: seconds until a request must be complete.
    """

    def __init__(
        self, connected: socket.socket, client: str, plugin: HttpReceiver, endpoint: Endpoint, request_timeout: float
    ) -> None:
        self._socket = connected
        self.client = client
        """The IP address of the client."""
        self._plugin = plugin
        self._endpoint = endpoint
        self._request_timeout = request_timeout
        self._incoming = _Incoming(connected)
        self._stream = io.BufferedReader(self._incoming, _BUFFER)
        self._sender: Sender | None = None
        self._is_body_unread = False
        self._cut_reason = ""
        self._has_body = False
        self.started: float = time.monotonic()
        """When the client has connected, as a value of ``time.monotonic``."""

    def serve(self) -> None:
        """Answers requests until the connection ends, and closes it."""
        try:
            with self._socket:
                if self._is_open():
                    # The first request has the same deadline as the handshake.
                    pause = self._answer_next() if self._stream.peek(1) else 0
                    while pause and self._has_next(pause):
                        self._incoming.set_timeout(self._request_timeout)
                        pause = self._answer_next()
        except OSError:
            pass  # The client has closed the connection.
        finally:
            if self._sender is not None:
                self._sender.close()

    @property
    def is_idle(self) -> bool:
        """Whether the client has not sent a complete body yet, and the connection was not cut.

        Only accepted bodies keep a connection open, so a client without the secret cannot stay by sending one.
        """
        return not self._has_body and not self._incoming.is_cut

    def cut(self, reason: str) -> None:
        """Ends reading, in any thread. An answer can still be sent.

        Args:
            reason: the reason in the answer to a request whose body is not complete.
        """
        self._cut_reason = reason
        self._incoming.is_cut = True
        with suppress(OSError):
            # SSLSocket.shutdown would end TLS, and an answer would be sent unencrypted.
            socket.socket.shutdown(self._socket, socket.SHUT_RD)

    def _is_open(self) -> bool:
        """Waits for the first byte, and makes the handshake of TLS. The deadline begins with that byte."""
        self._socket.settimeout(self._request_timeout)
        # Probes of load balancers send nothing. They are not reported as failed handshakes.
        if not socket.socket.recv(self._socket, 1, socket.MSG_PEEK):
            return False
        self._incoming.set_timeout(self._request_timeout)
        if (handshake := getattr(self._socket, "do_handshake", None)) is None:
            return True
        try:
            handshake()
        except OSError as error:
            if not self._incoming.is_cut:
                self._plugin._report(
                    f"TLS handshake: {getattr(error, 'reason', None) or type(error).__name__}", self.client
                )
            # OpenSSL has sent an alert.
            self._linger()
            return False
        return True

    def _has_next(self, pause: float) -> bool:
        self._incoming.set_timeout(pause)
        return bool(self._stream.peek(1))

    def _answer_next(self) -> float:
        """Answers one request. Returns the seconds until the next one must begin; 0 if the connection ends."""
        self._is_body_unread = False
        method = ""
        try:
            if self._stream.peek(1).startswith(_TLS_HANDSHAKE):
                raise Rejection(HTTPStatus.BAD_REQUEST, "the client uses TLS: use http, or set open_params to https")
            head = read_head(self._stream)
            method = head.method
            self._is_body_unread = head.length != 0
            accepted = self._endpoint.handle(head, self.client, lambda: self._read_body(head), self._get_sender)
        except Incomplete:
            return 0
        except TimeoutError:
            reason = f"the request took longer than {self._request_timeout:g} s"
            self._reject(method, Rejection(HTTPStatus.REQUEST_TIMEOUT, reason))
        except Rejection as rejection:
            self._reject(method, rejection)
        else:
            keeps_alive = head.keeps_alive and not self._is_body_unread
            self._write(HTTPStatus.OK, accepted.text, method, {} if keeps_alive else {"Connection": "close"})
            if keeps_alive:
                # A client without the secret must not occupy a connection for long.
                return max(_IDLE_TIMEOUT if accepted.is_from_sender else 0, self._request_timeout)
            if not self._is_body_unread:
                return 0
        # The next bytes may be the rest of the body, not another request.
        self._linger()
        return 0

    def _read_body(self, head: Head) -> bytes:
        if head.expects_continue:
            self._send(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            body = read_body(self._stream, head.length, self._endpoint.max_body)
        except ConnectionAbortedError:
            raise try_again(self._cut_reason) from None
        self._is_body_unread = False
        self._has_body = True
        return body

    def _get_sender(self) -> Sender:
        if self._sender is None:
            self._sender = self._endpoint.clone_sender()
        return self._sender

    def _reject(self, method: str, rejection: Rejection) -> None:
        self._plugin._report(rejection.reason, self.client, rejection.status)
        self._write(rejection.status, f"{rejection.reason}\n", method, {"Connection": "close", **rejection.headers})

    def _write(self, status: HTTPStatus, text: str, method: str, headers: dict[str, str]) -> None:
        body = text.encode()
        head = [
            f"HTTP/1.1 {status.value} {status.phrase}",
            f"Date: {_http_date()}",
            "Content-Type: text/plain; charset=utf-8",
            f"Content-Length: {len(body)}",
            *(f"{name}: {value}" for name, value in headers.items()),
            "\r\n",
        ]
        self._send("\r\n".join(head).encode("latin-1", "replace") + (b"" if method == "HEAD" else body))

    def _send(self, data: bytes) -> None:
        self._socket.settimeout(_WRITE_TIMEOUT)
        self._socket.sendall(data)

    def _linger(self) -> None:
        """Reads for a while after the last answer.

        Otherwise a client that is still sending would get a connection reset instead of the answer.
        """
        socket.socket.shutdown(self._socket, socket.SHUT_WR)
        end = time.monotonic() + _LINGER
        while not self._incoming.is_cut and (left := end - time.monotonic()) > 0:
            self._socket.settimeout(left)
            if not socket.socket.recv(self._socket, _BUFFER):
                break


class _Incoming(io.RawIOBase):
    """The input of a connection, with one deadline for all reads."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._deadline = math.inf
        self.is_cut = False
        """Whether the connection was cut, so that reading fails."""

    def set_timeout(self, seconds: float) -> None:
        """Lets all further reads fail after so many seconds."""
        self._deadline = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        self._check_cut()
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        count = self._connection.recv_into(buffer)
        self._check_cut()
        return count

    def _check_cut(self) -> None:
        if self.is_cut:
            raise ConnectionAbortedError(errno.ECONNABORTED, "the connection was cut")


def _http_date() -> str:
    """Returns the time as HTTP writes it, whatever the locale."""
    now = time.gmtime()
    return (
        f"{_DAYS[now.tm_wday]}, {now.tm_mday:02} {_MONTHS[now.tm_mon - 1]} {now.tm_year} "
        f"{now.tm_hour:02}:{now.tm_min:02}:{now.tm_sec:02} GMT"
    )
