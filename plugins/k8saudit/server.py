"""The webhook to which API servers send events.

It is the HTTP server of Python's standard library with limits that it lacks: the total time of a request, and the
number of connections.
"""

from __future__ import annotations

import io
import math
import socket
import ssl
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any

from .address import Address
from .endpoint import Endpoint
from .rejections import Rejection

_MAX_CONNECTIONS = 64
_IDLE_TIMEOUT = 120.0
"""Seconds between two requests. API servers wait less for a batch to fill, so their connections stay open."""
_REQUEST_TIMEOUT = 30.0
_WRITE_TIMEOUT = 5.0
_LINGER = 1.0
"""Seconds in which the rest of a rejected request is read."""
_TOO_SLOW = f"the request took longer than {_REQUEST_TIMEOUT:.0f} s"


class Server(ThreadingTCPServer):
    """Listens when it is created, and answers from :meth:`start` to :meth:`close`, with a thread for each connection.

    Raises:
        OSError: the server cannot listen on the address.
    """

    allow_reuse_address = True
    request_queue_size = _MAX_CONNECTIONS

    def __init__(self, address: Address, tls: ssl.SSLContext | None, endpoint: Endpoint) -> None:
        self._tls = tls
        self._endpoint = endpoint
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="k8saudit", daemon=True)
        if ":" in address.host or (not address.host and socket.has_dualstack_ipv6()):
            self.address_family = socket.AF_INET6
        try:
            super().__init__((address.host, address.port), partial(Exchange, endpoint))
        except OSError as error:
            raise OSError(f"cannot listen on {address}: {error.strerror or error}") from error

    @property
    def port(self) -> int:
        """The port on which the server listens. For port 0 the system chose one."""
        port: int = self.socket.getsockname()[1]
        return port

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Accepts no more connections, answers the pending requests, and returns when all threads have ended."""
        self.shutdown()
        with self._lock:
            self._is_closing = True
            for connection in self._connections:
                with suppress(OSError):
                    # SSLSocket.shutdown would end TLS, and an answer would be sent unencrypted.
                    socket.socket.shutdown(connection, socket.SHUT_RD)
        self.server_close()
        self._thread.join()
        self._endpoint.rejections.close()

    def _run(self) -> None:
        with self._endpoint.sender:
            self.serve_forever(poll_interval=0.1)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def get_request(self) -> tuple[Any, Any]:
        try:
            return super().get_request()
        except OSError as error:
            self._endpoint.rejections.count(f"a connection failed: {error.strerror}")
            # If no file descriptor is left, the connection remains pending and would fail again immediately.
            time.sleep(0.1)
            raise

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serves one connection on its thread."""
        if self._tls is not None:
            request = self._tls.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
        with request:
            if not self._admit(request):
                return
            try:
                super().finish_request(request, client_address)
            finally:
                with self._lock:
                    self._connections.discard(request)

    def _admit(self, connection: socket.socket) -> bool:
        with self._lock:
            if self._is_closing:
                return False
            if len(self._connections) >= _MAX_CONNECTIONS:
                self._endpoint.rejections.count(f"more than {_MAX_CONNECTIONS} connections")
                return False
            self._connections.add(connection)
            return True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Counts the exception of a connection by its class or OpenSSL's reason.

        Its message is not logged, because it may quote the request.
        """
        error = sys.exception()
        self._endpoint.rejections.count(
            f"a connection failed: {getattr(error, 'reason', None) or type(error).__name__}"
        )


class Incoming(io.RawIOBase):
    """The input of a connection, with one deadline for reading a whole request."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._deadline = math.inf

    def set_timeout(self, seconds: float) -> None:
        """Lets all further reads fail after so many seconds."""
        self._deadline = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class Exchange(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"
    # Used if the version of a request is unknown, because an answer in HTTP/0.9 would have no status.
    default_request_version = "HTTP/1.0"

    def __init__(self, endpoint: Endpoint, *args: Any) -> None:
        self._endpoint = endpoint
        self._has_rejected = False
        # The base class serves the whole connection in its constructor.
        super().__init__(*args)

    def setup(self) -> None:
        self.connection = self.request
        if isinstance(self.connection, ssl.SSLSocket):
            self.connection.settimeout(_REQUEST_TIMEOUT)
            self.connection.do_handshake()
        self._incoming = Incoming(self.connection)
        self.rfile = self._reader = io.BufferedReader(self._incoming)
        self.wfile = self.connection.makefile("wb")

    def handle_one_request(self) -> None:
        self._incoming.set_timeout(_IDLE_TIMEOUT)
        try:
            is_open = bool(self._reader.peek(1))
        except OSError:
            is_open = False
        if not is_open:
            self.close_connection = True
            return
        self._incoming.set_timeout(_REQUEST_TIMEOUT)
        super().handle_one_request()

    def do_POST(self) -> None:
        try:
            length = self._endpoint.length_of(self.path, self.headers)
            body = self._read(length)
            if len(body) < length:
                # The client closed the connection before its request was complete, so no answer can be sent.
                self.close_connection = True
                return
            self._endpoint.deliver(self.headers, body)
        except Rejection as rejection:
            self._reject(rejection)
        else:
            self._answer(HTTPStatus.OK, "")

    def do_GET(self) -> None:
        self._reject(Rejection(HTTPStatus.METHOD_NOT_ALLOWED, "method not allowed", Allow="POST"))

    do_HEAD = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_GET  # noqa: N815 - the base class looks for these names

    def _read(self, length: int) -> bytes:
        try:
            return self._reader.read(length)
        except TimeoutError:
            raise Rejection(HTTPStatus.REQUEST_TIMEOUT, _TOO_SLOW) from None

    def _reject(self, rejection: Rejection) -> None:
        self._endpoint.rejections.count(rejection.reason)
        self._has_rejected = True
        # The next bytes may be the rest of the body, not another request.
        self._answer(rejection.status, f"{rejection.reason}\n", Connection="close", **rejection.headers)

    def _answer(self, status: HTTPStatus, text: str, **headers: str) -> None:
        self.connection.settimeout(_WRITE_TIMEOUT)
        self.send_response_only(status)
        for name, value in {"Content-Type": "text/plain", "Content-Length": str(len(text)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text.encode())
        self.wfile.flush()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Rejects a request (called by the base class). Its message is not used, because it may quote the request."""
        self._reject(Rejection(HTTPStatus(code), f"HTTP: {HTTPStatus(code).phrase}"))

    def log_error(self, format: str, *args: Any) -> None:
        """Counts a request whose headers did not arrive in time (called by the base class)."""
        self._endpoint.rejections.count(_TOO_SLOW)

    def finish(self) -> None:
        with suppress(OSError):
            if self._has_rejected:
                self._linger()
        with suppress(OSError):
            # The socket stays open until this file is closed.
            self.wfile.close()

    def _linger(self) -> None:
        """Reads for a while after the last answer.

        Otherwise a client that is still sending would get a connection reset instead of the answer.
        """
        socket.socket.shutdown(self.connection, socket.SHUT_WR)
        end = time.monotonic() + _LINGER
        while (left := end - time.monotonic()) > 0:
            self.connection.settimeout(left)
            if not socket.socket.recv(self.connection, 65536):
                break
